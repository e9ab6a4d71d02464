import { useLingui } from "@lingui/react/macro";

import { Link } from "#/app/Link";
import { hrefToList } from "#/app/place";
import { useSecond } from "#/live/clock";
import { Nothing } from "#/pieces/States";
import type { Worker } from "#/services/figures";
import { formatCount, formatFull, visible } from "#/texts/format";
import { useLocale, useTicking } from "#/texts/i18n";

import { ageOf, inOrder, stateOf } from "./ages";

const SHOWN = 5;

export function Workers({ items }: { items: readonly Worker[] }) {
  const { t } = useLingui();
  if (items.length === 0) return <Nothing title={t`No workers were seen`}>{t`A worker shows with its first sign of life.`}</Nothing>;
  return (
    <ul className="workers" aria-label={t`Workers`}>
      {inOrder(items).map((worker) => <Card key={worker.worker} worker={worker} />)}
    </ul>
  );
}

function Card({ worker }: { worker: Worker }) {
  const { t } = useLingui();
  const locale = useLocale();
  const ticking = useTicking();
  const now = useSecond();
  const state = stateOf(worker);
  const words = { online: t`online`, lost: t`lost`, offline: t`offline` }[state];
  const seen = ticking(ageOf(worker.last_seen, now) ?? 0);
  const up = worker.started_at === null ? null : ageOf(worker.started_at, now);
  const rest = worker.running - Math.min(SHOWN, worker.tasks.length);
  const pool = [worker.pool, worker.concurrency === null ? null : `× ${formatCount(locale, worker.concurrency)}`].filter(Boolean).join(" ");
  return (
    <li className="worker" data-worker={worker.worker} data-state={state}>
      <div className="worker-head">
        <h4>{visible(worker.worker)}</h4>
        <span className="fleet-state" data-state={state}>{words}</span>
      </div>
      <dl className="worker-facts">
        <div><dt>{t`Seen`}</dt><dd title={formatFull(locale, worker.last_seen)}>{t`${seen} ago`}</dd></div>
        {state === "online" && up !== null && <div><dt>{t`Up for`}</dt><dd>{ticking(up)}</dd></div>}
        {pool && <div><dt>{t`Pool`}</dt><dd>{pool}</dd></div>}
        {worker.queues.length > 0 && <div><dt>{t`Queues`}</dt><dd>{worker.queues.map(visible).join(", ")}</dd></div>}
        {worker.software && <div><dt>{t`Software`}</dt><dd>{visible(worker.software)}</dd></div>}
        <div><dt>{t`In hand`}</dt><dd><Link href={hrefToList({ worker: worker.worker, status: "in_progress" })}>{formatCount(locale, worker.running)}</Link></dd></div>
      </dl>
      {worker.tasks.length > 0 && (
        <ul className="worker-tasks">
          {worker.tasks.slice(0, SHOWN).map((task) => (
            <li key={task.task_id}>
              <Link className="cut" href={hrefToList({ task: task.task_id })}>{visible(task.name) || t`(no name)`}</Link>
              <span className="ticking">{task.started_at === null ? "" : ticking(ageOf(task.started_at, now) ?? 0)}</span>
            </li>
          ))}
          {rest > 0 && <li className="note">{t`and ${rest} more`}</li>}
        </ul>
      )}
      <p><Link href={hrefToList({ worker: worker.worker })}>{t`All its tasks`}</Link></p>
    </li>
  );
}
