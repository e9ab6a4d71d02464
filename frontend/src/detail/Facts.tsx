import { useLingui } from "@lingui/react/macro";
import type { ReactNode } from "react";

import { Running } from "#/list/Row";
import { Link } from "#/app/Link";
import { hrefToList } from "#/app/place";
import { changeView } from "#/app/view";
import { Copy } from "#/pieces/Copy";
import { Icon } from "#/pieces/Icon";
import type { Task } from "#/services/types";
import { formatFull, visible } from "#/texts/format";
import { useDuration, useLocale } from "#/texts/i18n";
import { useKind } from "#/texts/kinds";

const cut = (text: string): string => visible(text.slice(0, 1000));

export function Facts({ task, traceUrl }: { task: Task; traceUrl: string | null }) {
  const { t } = useLingui();
  const locale = useLocale();
  const kind = useKind();
  const duration = useDuration();
  const link = traceUrl !== null && /^https?:\/\//i.test(traceUrl) ? traceUrl : null;
  const moment = (at: string | null): ReactNode => at && <time dateTime={at}>{formatFull(locale, at)}</time>;
  return (
    <dl className="facts">
      <Fact name={t`Task name`}>
        <Link className="link" href={hrefToList({ name: task.name })}>{t`All runs of ${cut(task.name)}`}</Link>
      </Fact>
      <Fact name={t`User`}>{task.user_id && cut(task.user_id)}</Fact>
      <Fact name={t`Kind`}>{kind(task.kind)}</Fact>
      <Fact name={t`Queue`}>{task.queue && <Link className="link" href={hrefToList({ queue: task.queue })}>{cut(task.queue)}</Link>}</Fact>
      <Fact name={t`Worker`}>{task.worker && <Link className="link mono" href={hrefToList({ worker: task.worker })}>{cut(task.worker)}</Link>}</Fact>
      <Fact name={t`Priority`}>{task.priority}</Fact>
      <Fact name={t`Created`}>{moment(task.created_at)}</Fact>
      <Fact name={t`Not before`}>{moment(task.eta)}</Fact>
      <Fact name={t`Started`}>{moment(task.started_at)}</Fact>
      <Fact name={t`Finished`}>{moment(task.finished_at)}</Fact>
      <Fact name={t`Duration`}>
        {task.duration_ms !== null ? (
          duration(task.duration_ms)
        ) : task.status === "in_progress" && task.started_at ? (
          <Running since={task.started_at} />
        ) : null}
      </Fact>
      <Fact name={t`Attempt`}>{task.attempt}</Fact>
      <Fact name={t`Parent`}>
        {task.parent_id && (
          <button type="button" className="link mono" onClick={() => changeView({ task: task.parent_id })}>
            {cut(task.parent_id)}
          </button>
        )}
      </Fact>
      <Fact name={t`Root`}>
        {task.root_id && task.root_id !== task.task_id && task.root_id !== task.parent_id && (
          <button type="button" className="link mono" onClick={() => changeView({ task: task.root_id })}>
            {cut(task.root_id)}
          </button>
        )}
      </Fact>
      <Fact name={t`Group`}>{task.group_id && <span className="mono">{cut(task.group_id)}</span>}</Fact>
      <Fact name={t`Trace ID`}>
        {task.trace_id && (
          <span className="trace">
            <span className="mono">{cut(task.trace_id)}</span>
            <Copy text={task.trace_id} label={t`Copy the trace ID`} />
            {link && (
              <a className="button" href={link} target="_blank" rel="noopener noreferrer">
                {t`View trace`}
                <Icon name="external" />
              </a>
            )}
          </span>
        )}
      </Fact>
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  if (children === null || children === undefined || children === "" || children === false) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
