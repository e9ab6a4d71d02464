import { useCallback, useEffect, useState, useSyncExternalStore } from "react";

import { useRoom } from "#/app/room";
import { useSecond } from "#/live/clock";
import { api } from "#/services/api";
import type { Health } from "#/services/api";

const SILENT_MS = 30_000; // a quiet fleet is silent for long; past this we ask whether Orakul is there at all
const PROBE_MS = 10_000;
const PATIENCE_MS = 10_000; // a reconnect that takes longer leaves the page stale

export interface Link {
  /** `away`: Orakul answers, and the database behind it does not. */
  phase: "live" | "connecting" | "reconnecting" | "stale" | "away";
  /** Since when what is on the page may not be true any more; null where it is. */
  since: string | number | null;
}

/** Whether what is on the page is true now: the stream is live, is being taken up again, or has been silent since. */
export function useLink(): Link {
  const { feed } = useRoom();
  const link = useSyncExternalStore(feed.onLink, feed.linkState);
  const { heardAt } = link;
  const now = useSecond();
  const silence = heardAt === null ? 0 : now - heardAt;
  const open = link.phase === "live";
  const anew = useCallback(() => feed.anew(), [feed]);
  const health = useHealth(heardAt !== null && (!open || silence > SILENT_MS), anew);
  const awaySince = link.awaySince ?? health?.awaySince ?? null;
  const stale = open ? health?.answers === false : heardAt !== null && silence > PATIENCE_MS;
  if (awaySince !== null) return { phase: "away", since: awaySince };
  if (stale) return { phase: "stale", since: heardAt };
  if (open) return { phase: "live", since: null };
  return { phase: heardAt === null ? "connecting" : "reconnecting", since: heardAt };
}

/** While there is doubt, ask how Orakul is; `onBack` is called once it answers after it did not. */
function useHealth(doubt: boolean, onBack: () => void): Health | null {
  const [health, setHealth] = useState<Health | null>(null);
  useEffect(() => {
    if (!doubt) return;
    let over = false;
    let silent = false;
    const ask = () =>
      void api.health().then((found) => {
        if (over) return;
        setHealth(found);
        if (silent && found.answers) onBack();
        silent = !found.answers;
      });
    ask();
    const timer = setInterval(ask, PROBE_MS);
    return () => {
      over = true;
      clearInterval(timer);
      setHealth(null);
    };
  }, [doubt, onBack]);
  return doubt ? health : null;
}
