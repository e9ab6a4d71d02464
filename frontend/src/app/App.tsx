import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo } from "react";

import { Mark } from "#/pieces/Icon";
import { Toasts } from "#/pieces/Toasts";
import { api } from "#/services/api";
import { whenSessionExpires } from "#/services/http";
import { SignIn } from "#/signin/SignIn";

import { ControlRoom } from "./ControlRoom";
import { meQuery, remember } from "./me";
import { queries, Room, RoomProvider } from "./room";

const between = new BroadcastChannel("orakul-session");

/** The page: a sign-in, or the control room of whoever is signed in. The address stays as it is through both. */
export function App() {
  const { t } = useLingui();
  const me = useQuery(meQuery);

  useEffect(() => {
    whenSessionExpires(() => queries.setQueryData(meQuery.queryKey, null));
    between.onmessage = () => void queries.invalidateQueries({ queryKey: meQuery.queryKey });
  }, []);

  const entered = useCallback(async () => {
    between.postMessage("changed");
    await queries.refetchQueries({ queryKey: meQuery.queryKey });
  }, []);
  const leave = useCallback(async () => {
    await api.signOut().catch(() => undefined);
    between.postMessage("changed");
    queries.removeQueries({ predicate: (query) => query.queryKey[0] !== "me" });
    queries.setQueryData(meQuery.queryKey, null);
  }, []);

  const who = me.data;
  useEffect(() => {
    if (who !== undefined) remember(who !== null);
  }, [who]);
  const key = who ? `${who.user_id}/${who.role}` : null;
  // eslint-disable-next-line react-hooks/exhaustive-deps -- a room belongs to a person, not to an answer about one
  const room = useMemo(() => (who ? new Room(who) : null), [key]);

  return (
    <>
      {who === undefined && (
        <main className="waiting" aria-busy="true">
          <Mark size={44} />
          <p role="status">{me.failureCount > 0 ? t`Orakul does not answer. Trying again…` : ""}</p>
        </main>
      )}
      {who === null && <SignIn onEntered={entered} />}
      {room && (
        <RoomProvider value={room} key={key}>
          <ControlRoom onLeave={leave} />
        </RoomProvider>
      )}
      <Toasts />
    </>
  );
}
