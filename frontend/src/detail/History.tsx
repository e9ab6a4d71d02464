import { Trans, useLingui } from "@lingui/react/macro";

import { changeView } from "#/app/view";
import { STATUS_NAMES, StatusBadge } from "#/pieces/Status";
import type { Change } from "#/services/types";
import { formatFull, formatLogTime, visible } from "#/texts/format";
import { useDuration, useLocale } from "#/texts/i18n";

/** What happened to the task, oldest first: changes of status with how long the one before lasted, and commands. */
export function History({ changes }: { changes: readonly Change[] }) {
  return (
    <ol className="history">
      {changes.map((change) => (
        <Entry key={change.seq} change={change} />
      ))}
    </ol>
  );
}

function Entry({ change }: { change: Change }) {
  const { i18n } = useLingui();
  const locale = useLocale();
  const duration = useDuration();
  const { previous, status, duration_ms: lasted } = change;
  return (
    <li className="history-entry" data-status={status ?? "command"}>
      <time dateTime={change.timestamp} title={formatFull(locale, change.timestamp)} className="mono">
        {formatLogTime(change.timestamp)}
      </time>
      <div className="history-what">
        {status ? (
          <>
            {previous && (
              <>
                <span className="history-before" data-status={previous}>{i18n._(STATUS_NAMES[previous])}</span>
                <span className="history-arrow" aria-hidden="true">→</span>
              </>
            )}
            <StatusBadge status={status} />
            {lasted !== null && <span className="history-lasted">({duration(lasted)})</span>}
          </>
        ) : (
          <strong><CommandName change={change} /></strong>
        )}
        <Facts change={change} />
        {change.error && (
          <p className="history-error">{visible(`${change.error.type ?? ""}: ${change.error.message ?? ""}`.slice(0, 500))}</p>
        )}
      </div>
    </li>
  );
}

function CommandName({ change }: { change: Change }) {
  const { t } = useLingui();
  if (change.event_type === "task.retry_requested") return t`Retry requested`;
  if (change.event_type === "task.cancel_requested") return t`Cancellation requested`;
  if (change.event_type === "task.run_requested") return t`Run again with edited arguments`;
  return visible(change.event_type);
}

/** The other task of a run with edited arguments: the one that was made, or the one that it was made of. */
function Other({ taskId, words }: { taskId: string; words: string }) {
  return (
    <span>
      {words}{" "}
      <button type="button" className="link mono" onClick={() => changeView({ task: taskId })}>
        {visible(taskId.slice(0, 200))}
      </button>
    </span>
  );
}

function Facts({ change }: { change: Change }) {
  const { t } = useLingui();
  const { author, worker, reason, attempt, run, made, origin } = change;
  const place = visible((worker ?? "").slice(0, 200));
  const why = visible((reason ?? "").slice(0, 500));
  return (
    <span className="history-facts">
      {author && <span><Trans>by {author}</Trans></span>}
      {attempt > 1 && <span><Trans>attempt {attempt}</Trans></span>}
      {run > 0 && <span><Trans>delivered again</Trans></span>}
      {place && <span className="mono">{place}</span>}
      {why && <span className="history-reason">{`“${why}”`}</span>}
      {made && <Other taskId={made} words={t`New task:`} />}
      {origin && <Other taskId={origin} words={t`Made of:`} />}
    </span>
  );
}
