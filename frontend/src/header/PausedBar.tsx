import { useLingui } from "@lingui/react/macro";

import { useCommands } from "#/app/commands";
import { useRoom } from "#/app/room";
import { useSecond } from "#/live/clock";
import { Icon } from "#/pieces/Icon";
import { formatMoment, visible } from "#/texts/format";

import { useSummary } from "./Metrics";
import { ALL_QUEUES } from "./PauseControl";

const SHOWN = 4;

/** Says which queues stand still, by whom and since when: the first thing to know where nothing moves. */
export function PausedBar() {
  const { t, i18n } = useLingui();
  const { me } = useRoom();
  const { resume } = useCommands();
  const now = useSecond();
  const paused = useSummary()?.paused_queues ?? [];
  if (paused.length === 0) return null;
  const rest = paused.length - SHOWN;
  return (
    <section className="paused" aria-label={t`Paused queues`}>
      <Icon name="pause" />
      <ul>
        {paused.slice(0, SHOWN).map((one) => {
          const name = one.queue === ALL_QUEUES ? t`All queues` : visible(one.queue);
          const by = one.paused_by ?? "–";
          const when = formatMoment(i18n.locale, one.paused_at, now);
          return (
            <li key={one.queue} title={one.reason ?? undefined}>
              <strong>{name}</strong> <span>{t`paused by ${by} since ${when}`}</span>
              {me.role === "admin" && (
                <button
                  type="button"
                  className="button-quiet"
                  aria-label={t`Resume ${name}`}
                  onClick={() => void resume(one.queue === ALL_QUEUES ? null : one.queue)}
                >
                  {t`Resume`}
                </button>
              )}
            </li>
          );
        })}
        {rest > 0 && <li>{t`and ${rest} more`}</li>}
      </ul>
    </section>
  );
}
