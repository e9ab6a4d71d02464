import { useLingui } from "@lingui/react/macro";

import { useCommands } from "#/app/commands";
import { Link } from "#/app/Link";
import { hrefToList } from "#/app/place";
import { useRoom } from "#/app/room";
import { useSecond } from "#/live/clock";
import { Icon } from "#/pieces/Icon";
import { Nothing } from "#/pieces/States";
import type { Queue } from "#/services/types";
import { formatCount, formatMoment, formatRate, visible } from "#/texts/format";
import { useLocale, useTicking } from "#/texts/i18n";

import { ageOf, CAPPED } from "./ages";

const OLD_MS = 60_000;

export function Queues({ items }: { items: readonly Queue[] }) {
  const { t } = useLingui();
  const { me } = useRoom();
  const heads = [t`Waiting`, t`Oldest waits`, t`Running`, t`In, a minute`, t`Out, a minute`, t`By the broker`, t`State`];
  if (items.length === 0) return <Nothing title={t`No queues yet`}>{t`A queue shows as soon as a task was sent to it.`}</Nothing>;
  return (
    <div className="table-frame">
      <table className="table table-cards fleet">
        <thead>
          <tr>
            <th scope="col">{t`Queue`}</th>
            {heads.map((head, at) => <th key={head} scope="col" className={at < 6 ? "number" : ""}>{head}</th>)}
            {me.role === "admin" && <th scope="col"><span className="off-table">{t`Commands`}</span></th>}
          </tr>
        </thead>
        <tbody>
          {items.map((queue) => <Row key={queue.queue} queue={queue} heads={heads} />)}
        </tbody>
      </table>
    </div>
  );
}

function Row({ queue, heads }: { queue: Queue; heads: readonly string[] }) {
  const { t } = useLingui();
  const locale = useLocale();
  const ticking = useTicking();
  const now = useSecond();
  const { me } = useRoom();
  const { pause, resume } = useCommands();
  const name = visible(queue.queue);
  const count = (value: number): string => `${formatCount(locale, value)}${value >= CAPPED ? "+" : ""}`;
  const age = ageOf(queue.oldest_waiting_at ?? null, now);
  const growing = queue.rate_in > 1.1 * queue.rate_out && queue.pending > 0;
  return (
    <tr data-queue={queue.queue} data-paused={queue.paused || undefined}>
      <th scope="row"><Link href={hrefToList({ queue: queue.queue })}>{name}</Link></th>
      <td className="number" data-label={heads[0]}>
        <Link href={hrefToList({ queue: queue.queue, status: "pending", sort: "created_at" })}>{count(queue.pending)}</Link>
      </td>
      <td className="number" data-label={heads[1]}>
        {age === null ? "–" : <span className={age > OLD_MS ? "worse" : ""}>{ticking(age)}</span>}
      </td>
      <td className="number" data-label={heads[2]}>
        <Link href={hrefToList({ queue: queue.queue, status: "in_progress" })}>{count(queue.in_progress)}</Link>
      </td>
      <td className="number" data-label={heads[3]}>{formatRate(locale, queue.rate_in)}</td>
      <td className="number" data-label={heads[4]}>
        <span className={growing ? "worse" : ""}>{formatRate(locale, queue.rate_out)}</span>
      </td>
      <td className="number" data-label={heads[5]}>
        {typeof queue.broker_depth === "number" ? (
          <BrokerWords queue={queue} depth={queue.broker_depth} />
        ) : (
          <abbr className="soft" title={queue.broker_note ?? undefined}>{queue.broker_note ? t`not known` : "–"}</abbr>
        )}
      </td>
      <td data-label={heads[6]}>
        {queue.paused ? <PausedWords queue={queue} now={now} /> : <span className="fleet-state" data-state="open">{t`open`}</span>}
      </td>
      {me.role === "admin" && (
        <td className="fleet-tools">
          {queue.paused ? (
            <button type="button" className="button" aria-label={t`Resume ${name}`} onClick={() => void resume(queue.queue)}>
              <Icon name="play" />
              {t`Resume`}
            </button>
          ) : (
            <button type="button" className="button" aria-label={t`Pause ${name}`} onClick={() => void pause(queue.queue)}>
              <Icon name="pause" />
              {t`Pause`}
            </button>
          )}
        </td>
      )}
    </tr>
  );
}

/** What the broker says: how many wait, and where it knows, how many are in hand and what goes in and out. */
function BrokerWords({ queue, depth }: { queue: Queue; depth: number }) {
  const { t } = useLingui();
  const locale = useLocale();
  const inHand = queue.broker_unacknowledged;
  const rateIn = queue.broker_rate_in;
  const rateOut = queue.broker_rate_out;
  const rates = typeof rateIn === "number" && typeof rateOut === "number";
  return (
    <>
      {formatCount(locale, depth)}
      {typeof inHand === "number" && <span className="soft fleet-more">{t`${formatCount(locale, inHand)} in hand`}</span>}
      {rates && (
        <span className="soft fleet-more">{t`${formatRate(locale, rateIn)} in, ${formatRate(locale, rateOut)} out a minute`}</span>
      )}
    </>
  );
}

function PausedWords({ queue, now }: { queue: Queue; now: number }) {
  const { t } = useLingui();
  const locale = useLocale();
  const by = queue.paused_by ?? "–";
  const when = queue.paused_at ? formatMoment(locale, queue.paused_at, now) : "–";
  return (
    <span>
      <span className="fleet-state" data-state="paused">{t`paused`}</span> <span className="soft">{t`by ${by} since ${when}`}</span>
    </span>
  );
}
