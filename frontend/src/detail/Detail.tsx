import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import type { ReactNode } from "react";

import { useCommands, useExplain } from "#/app/commands";
import { queries, useCommandOf, useRoom, useTask } from "#/app/room";
import { Copy } from "#/pieces/Copy";
import { Icon } from "#/pieces/Icon";
import { StatusBadge } from "#/pieces/Status";
import { api } from "#/services/api";
import { ApiError } from "#/services/http";
import type { Permission, Task, TaskDetail } from "#/services/types";
import { visible } from "#/texts/format";

import { Facts } from "./Facts";
import { Failure } from "./Failure";
import { History } from "./History";
import { JsonView } from "./JsonView";
import { Log } from "./Log";
import { Result } from "./Result";
import { Tree } from "./Tree";
import { type CommandName, useObstacle } from "./useObstacle";

const EditedRun = lazy(() => import("./EditedRun"));
const Job = lazy(() => import("./Job"));

const AGAIN_MS = 150; // changes that come together are read together
const Files = lazy(() => import("#/exports/Files"));
const EXPORT_KINDS: readonly string[] = ["export", "export_group", "export_script"];

const OPEN: readonly string[] = ["pending", "in_progress"];
/** States in which a task's message is still kept: of one that has completed it is not. */
const EDITED: readonly string[] = ["failed", "cancelled"];
/** Kinds whose work cannot be run again from arguments: commands, and what watches the work of others. */
const NOT_EDITED: readonly string[] = ["bulk", "export", "export_group", "export_script", "operation", "pipeline", "reaction", "delivery"];

/** Where the task stands in the list that it was opened from, and how to go on from there. */
export interface Place {
  at: number;
  count: number;
  more: boolean;
  onStep: (by: 1 | -1) => void;
}

interface Props {
  taskId: string;
  onClose: () => void;
  /** Null where the list that is beside it does not have it. */
  place: Place | null;
}

/** One task, whole and live. */
export default function Detail({ taskId, onClose, place }: Props) {
  const { t } = useLingui();
  const explain = useExplain();
  const { rows } = useRoom();
  const detail = useQuery({ queryKey: ["task", taskId, "detail"], queryFn: ({ signal }) => api.task(taskId, signal) });
  const history = useQuery({ queryKey: ["task", taskId, "history"], queryFn: ({ signal }) => api.history(taskId, signal) });
  const task = useTask(taskId) ?? detail.data;
  useFreshness(taskId);
  useEffect(() => {
    if (detail.data) rows.put([detail.data]);
  }, [rows, detail.data]);

  const missing = detail.error instanceof ApiError && detail.error.status === 404;
  const whole = detail.data;
  return (
    <section className="detail" aria-label={t`Task`}>
      <Head taskId={taskId} task={task} whole={whole} onClose={onClose} place={place} />
      {!whole && detail.error && (
        <div className="grid-note" role="alert">
          <strong>{missing ? t`There is no such task, or it is not yours` : t`The task could not be read`}</strong>
          {!missing && <p>{explain(detail.error)}</p>}
          {!missing && <button type="button" className="button" onClick={() => void detail.refetch()}>{t`Try again`}</button>}
        </div>
      )}
      {whole && task && (
        <div className="detail-body">
          {task.kind === "bulk" && (
            <Section title={t`Commands`}>
              <Suspense fallback={<p className="note">{t`Loading…`}</p>}>
                <Job jobId={taskId} />
              </Suspense>
            </Section>
          )}
          {EXPORT_KINDS.includes(task.kind) && (
            <Section title={t`Files`}>
              <Suspense fallback={<p className="note">{t`Loading…`}</p>}>
                <Files taskId={taskId} />
              </Suspense>
            </Section>
          )}
          {task.status === "failed" && whole.error && <Failure error={whole.error} />}
          {task.status === "completed" && task.kind !== "bulk" && <Section title={t`Result`}><Result result={whole.result} /></Section>}
          <Section title={t`History`}>
            {history.data ? <History changes={history.data.items} /> : <p className="note">{t`Loading…`}</p>}
          </Section>
          <Section title={t`Log`}><Log key={taskId} taskId={taskId} name={task.name} running={OPEN.includes(task.status)} /></Section>
          <Section title={t`Arguments`}>
            {whole.arguments === null ? <p className="note">{t`Not recorded`}</p> : <JsonView value={whole.arguments} label={t`Arguments`} />}
          </Section>
          {task.status !== "completed" && task.kind !== "bulk" && whole.result !== null && <Section title={t`Result`}><Result result={whole.result} /></Section>}
          <Section title={t`Tree`}><Tree task={whole} /></Section>
          <Section title={t`Facts`}><Facts task={task} traceUrl={whole.trace_url} /></Section>
        </div>
      )}
    </section>
  );
}

/** Read the task again when the stream says that it has changed. */
function useFreshness(taskId: string): void {
  const { feed } = useRoom();
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void queries.invalidateQueries({ queryKey: ["task", taskId] });
      }, AGAIN_MS);
    };
    const unfollow = feed.follow({
      tasks: (tasks) => tasks.some((task) => task.task_id === taskId) && again(),
      reset: again,
    });
    return () => {
      clearTimeout(timer);
      unfollow();
    };
  }, [feed, taskId]);
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="section">
      <h3>{title}</h3>
      {children}
    </section>
  );
}

interface HeadProps {
  taskId: string;
  task: Task | undefined;
  whole: TaskDetail | undefined;
  onClose: () => void;
  place: Place | null;
}

function Head({ taskId, task, whole, onClose, place }: HeadProps) {
  const { t } = useLingui();
  const { me } = useRoom();
  const command = useCommandOf(taskId);
  const { retry, cancel } = useCommands();
  const heading = useRef<HTMLHeadingElement>(null);
  const [editing, setEditing] = useState(false);
  const mayEdit = task !== undefined && EDITED.includes(task.status) && !NOT_EDITED.includes(task.kind);
  const name = task ? visible(task.name.slice(0, 1000)) : "";
  const fresh = whole !== undefined && task?.status === whole.status && task.attempt === whole.attempt;
  return (
    <header className="detail-head">
      <div className="detail-top">
        <button type="button" className="button-icon detail-back" aria-label={t`Back to the list`} onClick={onClose}>
          <Icon name="left" />
        </button>
        <h2 ref={heading} className="detail-name" tabIndex={-1}>{name || (task ? t`(no name)` : "\u00a0")}</h2>
        {place && <Steps place={place} />}
        <button type="button" className="button-icon only-wide" aria-label={t`Print`} title={t`Print`} onClick={() => print()}>
          <Icon name="print" />
        </button>
        <button type="button" className="button-icon detail-close" aria-label={t`Close`} title={`${t`Close`} (Esc)`} onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <div className="detail-id">
        <span className="mono">{visible(taskId.slice(0, 2000))}</span>
        <Copy text={taskId} label={t`Copy the ID`} />
      </div>
      {task && (
        <div className="detail-state">
          <div role="status" className="detail-status">
            <StatusBadge status={task.status} command={command} size="large" />
          </div>
          {task.attempt > 1 && <span className="attempt">{t`attempt ${task.attempt}`}</span>}
          {task.outcome && task.outcome !== task.status && <span className="outcome">{visible(task.outcome.slice(0, 100))}</span>}
          {me.role !== "viewer" && (
            <div className="detail-commands">
              <Command
                name={t`Retry`}
                command="retry"
                kind={task.kind}
                can={fresh ? whole.can.retry : null}
                possible={task.status === "failed"}
                busy={command !== null}
                onGive={() => void retry(task)}
              />
              {mayEdit && (
                <button type="button" className="button" title={`${t`Edit and run`} (e)`} data-edit onClick={() => setEditing(true)}>
                  <Icon name="edit" />
                  {t`Edit and run`}
                </button>
              )}
              <Command
                name={t`Cancel`}
                command="cancel"
                kind={task.kind}
                can={fresh ? whole.can.cancel : null}
                possible={OPEN.includes(task.status)}
                busy={command !== null}
                onGive={() => void cancel(task)}
              />
            </div>
          )}
        </div>
      )}
      <CommandReason whole={fresh ? whole : undefined} task={task} />
      {editing && task && (
        <Suspense fallback={null}>
          <EditedRun task={task} onClose={() => setEditing(false)} />
        </Suspense>
      )}
    </header>
  );
}

/** Back and forth in the list that the task was opened from. */
function Steps({ place: { at, count, more, onStep } }: { place: Place }) {
  const { t, i18n } = useLingui();
  const here = i18n.number(at + 1);
  const all = `${i18n.number(count)}${more ? "+" : ""}`;
  return (
    <div className="steps" role="group" aria-label={t`In the list`}>
      <button type="button" className="button-icon" disabled={at === 0} aria-label={t`Previous task`} title={`${t`Previous task`} (k)`} onClick={() => onStep(-1)}>
        <Icon name="up" />
      </button>
      <span className="steps-at">{t`${here} of ${all}`}</span>
      <button type="button" className="button-icon" disabled={at === count - 1} aria-label={t`Next task`} title={`${t`Next task`} (j)`} onClick={() => onStep(1)}>
        <Icon name="down" />
      </button>
    </div>
  );
}

interface CommandProps {
  name: string;
  command: CommandName;
  kind: string;
  can: Permission | null;
  possible: boolean;
  busy: boolean;
  onGive: () => void;
}

function Command({ name, command, kind, can, possible, busy, onGive }: CommandProps) {
  const obstacle = useObstacle();
  const allowed = can === null ? possible : can.allowed;
  return (
    <button type="button" className="button" disabled={!allowed || busy} title={can === null || can.allowed ? undefined : obstacle(can, command, kind)} onClick={onGive}>
      <Icon name={command === "retry" ? "retry" : "stop"} />
      {name}
    </button>
  );
}

/** Why a failed task cannot be retried, said where the eye is. */
function CommandReason({ whole, task }: { whole: TaskDetail | undefined; task: Task | undefined }) {
  const obstacle = useObstacle();
  if (!whole || task?.status !== "failed" || whole.can.retry.allowed || !whole.can.retry.why) return null;
  return <p className="detail-why">{obstacle(whole.can.retry, "retry", task.kind)}</p>;
}
