import { useLingui } from "@lingui/react/macro";

import { useSecond } from "#/live/clock";
import { Nothing } from "#/pieces/States";
import type { EventFigures, Tally } from "#/services/events";
import { formatCount, visible } from "#/texts/format";
import { useLocale, useTicking } from "#/texts/i18n";

/** What became of events, by type and by consumer. */
export function Counters({ figures }: { figures: EventFigures }) {
  const { t } = useLingui();
  return (
    <section className="card" aria-label={t`Counters`}>
      <div className="card-head">
        <h3>{t`Counters`}</h3>
        <Outbox figures={figures} />
      </div>
      {figures.types.length === 0 && figures.consumers.length === 0 ? (
        <Nothing title={t`No events yet`}>{t`Services publish them by outbox.publish; consumers run by orakul consume.`}</Nothing>
      ) : (
        <div className="event-tables">
          <Tallies title={t`Type`} items={figures.types} of="types" />
          <Tallies title={t`Consumer`} items={figures.consumers} of="consumers" />
        </div>
      )}
    </section>
  );
}

function Outbox({ figures }: { figures: EventFigures }) {
  const { t } = useLingui();
  const locale = useLocale();
  const ticking = useTicking();
  const now = useSecond();
  const waiting = `${formatCount(locale, figures.outbox_waiting)}${figures.outbox_capped ? "+" : ""}`;
  const aside = formatCount(locale, figures.outbox_dead);
  if (figures.outbox_waiting === 0 && figures.outbox_dead === 0) return <span className="note">{t`The outbox is empty`}</span>;
  const oldest = figures.outbox_oldest ? ticking(now - Date.parse(figures.outbox_oldest)) : "–";
  return (
    <span className="note">
      {t`In the outbox: ${waiting}, the oldest for ${oldest}`}
      {figures.outbox_dead > 0 && <b className="worse"> · {t`laid aside: ${aside}`}</b>}
    </span>
  );
}

function Tallies({ title, items, of }: { title: string; items: readonly Tally[]; of: "types" | "consumers" }) {
  const { t } = useLingui();
  const locale = useLocale();
  const ticking = useTicking();
  const now = useSecond();
  const heads = of === "types" ? [t`Published`, t`Delivered`] : [t`Delivered`];
  const more = [t`Failed`, t`Retried`, t`Dead`, t`Waiting`, t`Oldest`];
  const all = [...heads, ...more];
  return (
    <div className="table-frame">
      <table className="table table-cards event-table">
        <thead>
          <tr>
            <th scope="col">{title}</th>
            {all.map((head) => <th key={head} scope="col" className="number">{head}</th>)}
          </tr>
        </thead>
        <tbody>
          {items.map((each) => {
            const name = each.event_type ?? each.consumer ?? "";
            const counts = [...(of === "types" ? [each.published] : []), each.delivered, each.failed, each.retried, each.dead, each.waiting];
            return (
              <tr key={name}>
                <th scope="row" className="mono">{visible(name)}</th>
                {counts.map((count, at) => (
                  <td key={all[at]} data-label={all[at]} className={`number ${count > 0 && all[at] === t`Dead` ? "worse" : count === 0 ? "soft" : ""}`}>
                    {formatCount(locale, count)}
                    {of === "types" && at === 0 && each.unheard > 0 && <span className="soft" title={t`No consumer listens to them`}> ({t`unheard: ${formatCount(locale, each.unheard)}`})</span>}
                  </td>
                ))}
                <td data-label={all.at(-1)} className="number soft">{each.oldest ? ticking(now - Date.parse(each.oldest)) : "–"}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
