import { plural } from "@lingui/core/macro";
import { useLingui } from "@lingui/react/macro";
import { memo, useSyncExternalStore } from "react";

import { useRoom } from "#/app/room";
import { useLink } from "#/header/useLink";
import { Icon } from "#/pieces/Icon";
import { formatClock } from "#/texts/format";

/** Says why the list stands still: held by the reader, or cut off from what it shows, and since when. */
export const StandStill = memo(function StandStill() {
  const { t, i18n } = useLingui();
  const { feed } = useRoom();
  const hold = useSyncExternalStore(feed.onHold, feed.holdState);
  const { phase, since } = useLink();
  const at = since === null ? "" : formatClock(i18n.locale, new Date(since));
  const held = hold ? formatClock(i18n.locale, new Date(hold.since)) : "";
  const changed = hold?.changed ?? 0;
  return (
    <>
      {(phase === "stale" || phase === "away") && (
        <p className="still still-stale" role="status">
          <Icon name="failed" />
          <span>{t`This is how it was at ${at}. It catches up by itself as soon as Orakul answers.`}</span>
        </p>
      )}
      {hold && (
        <p className="still" role="status">
          <Icon name="pause" />
          <span>
            {t`Held since ${held}`}
            {changed > 0 && ` · ${t`${plural(changed, { one: "# task has changed", other: "# tasks have changed" })}`}`}
          </span>
          <button type="button" className="button-quiet" onClick={() => feed.setHold(false)}>{t`Let go`}</button>
        </p>
      )}
    </>
  );
});
