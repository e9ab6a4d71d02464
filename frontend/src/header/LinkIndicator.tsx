import { useLingui } from "@lingui/react/macro";

import { formatClock } from "#/texts/format";

import { useLink } from "./useLink";

/** Whether the page is live, in a word, and if not, since when. */
export function LinkIndicator() {
  const { t, i18n } = useLingui();
  const { phase, since } = useLink();
  const at = since === null ? "" : formatClock(i18n.locale, new Date(since));
  const words = {
    away: t`Database away since ${at}`,
    stale: t`Stale since ${at}`,
    live: t`Live`,
    connecting: t`Connecting…`,
    reconnecting: t`Reconnecting…`,
  }[phase];
  return (
    <span className="link-state" data-phase={phase === "away" ? "stale" : phase} role="status">
      <span className="link-dot" aria-hidden="true" />
      <span>{words}</span>
    </span>
  );
}
