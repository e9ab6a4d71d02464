import { useLingui } from "@lingui/react/macro";
import { useEffect, useState, useSyncExternalStore } from "react";

import { useRoom } from "#/app/room";
import { useSecond } from "#/live/clock";
import { api } from "#/services/api";
import { formatClock } from "#/texts/format";

const STALE_MS = 20_000; // the figures come every few seconds: a longer silence means that nothing comes
const PROBE_MS = 5_000;

/** Whether what is on the page is true now: the stream is live, is being taken up again, or has been silent since. */
export function LinkIndicator() {
  const { t, i18n } = useLingui();
  const { feed } = useRoom();
  const link = useSyncExternalStore(feed.onLink, feed.linkState);
  const now = useSecond();
  const silent = link.heardAt !== null && now - link.heardAt > STALE_MS;
  const down = link.phase !== "live" || silent;
  const databaseAway = useProbe(down && link.heardAt !== null);

  const since = link.heardAt === null ? "" : formatClock(i18n.locale, link.heardAt);
  const phase =
    link.phase === "live" && !silent ? "live" : link.phase === "connecting" ? "connecting" : silent ? "stale" : "reconnecting";
  const words = {
    live: t`Live`,
    connecting: t`Connecting…`,
    reconnecting: t`Reconnecting…`,
    stale: t`Stale since ${since}`,
  }[phase];
  return (
    <span className="link-state" data-phase={phase} role="status">
      <span className="link-dot" aria-hidden="true" />
      <span>{databaseAway ? t`Database away since ${since}` : words}</span>
    </span>
  );
}

/** While the stream is down, ask what stands behind it. */
function useProbe(active: boolean): boolean {
  const [away, setAway] = useState(false);
  useEffect(() => {
    if (!active) return;
    let over = false;
    const ask = () => void api.ready().then((state) => !over && setAway(state === "database away"));
    ask();
    const timer = setInterval(ask, PROBE_MS);
    return () => {
      over = true;
      clearInterval(timer);
      setAway(false);
    };
  }, [active]);
  return active && away;
}
