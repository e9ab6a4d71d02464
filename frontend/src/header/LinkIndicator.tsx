import { useLingui } from "@lingui/react/macro";
import { useEffect, useState, useSyncExternalStore } from "react";

import { useRoom } from "#/app/room";
import { useSecond } from "#/live/clock";
import { api } from "#/services/api";
import type { Health } from "#/services/api";
import { formatClock } from "#/texts/format";

const SILENT_MS = 30_000; // a quiet fleet is silent for long; past this we ask whether Orakul is there at all
const PROBE_MS = 10_000;
const PATIENCE_MS = 10_000; // a reconnect that takes longer leaves the page stale

/** Whether what is on the page is true now: the stream is live, is being taken up again, or has been silent since. */
export function LinkIndicator() {
  const { t, i18n } = useLingui();
  const { feed } = useRoom();
  const link = useSyncExternalStore(feed.onLink, feed.linkState);
  const { heardAt } = link;
  const now = useSecond();
  const silence = heardAt === null ? 0 : now - heardAt;
  const open = link.phase === "live";
  const health = useHealth(heardAt !== null && (!open || silence > SILENT_MS));

  const moment = (at: string | number | null): string => (at === null ? "" : formatClock(i18n.locale, new Date(at)));
  const awaySince = link.awaySince ?? health?.awaySince ?? null;
  const stale = open ? health?.answers === false : heardAt !== null && silence > PATIENCE_MS;
  const since = moment(heardAt);
  const away = moment(awaySince);
  const [phase, words] =
    awaySince !== null
      ? (["stale", t`Database away since ${away}`] as const)
      : stale
        ? (["stale", t`Stale since ${since}`] as const)
        : open
          ? (["live", t`Live`] as const)
          : heardAt === null
            ? (["connecting", t`Connecting…`] as const)
            : (["reconnecting", t`Reconnecting…`] as const);
  return (
    <span className="link-state" data-phase={phase} role="status">
      <span className="link-dot" aria-hidden="true" />
      <span>{words}</span>
    </span>
  );
}

/** While there is doubt, ask how Orakul is. */
function useHealth(doubt: boolean): Health | null {
  const [health, setHealth] = useState<Health | null>(null);
  useEffect(() => {
    if (!doubt) return;
    let over = false;
    const ask = () => void api.health().then((found) => !over && setHealth(found));
    ask();
    const timer = setInterval(ask, PROBE_MS);
    return () => {
      over = true;
      clearInterval(timer);
      setHealth(null);
    };
  }, [doubt]);
  return doubt ? health : null;
}
