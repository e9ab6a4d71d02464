import { useLingui } from "@lingui/react/macro";
import { memo, useCallback, useSyncExternalStore } from "react";
import type { MouseEvent, ReactNode } from "react";

import { useCommandOf, useRoom, useTask } from "#/app/room";
import { useSecond } from "#/live/clock";
import { StatusBadge } from "#/pieces/Status";
import type { Task } from "#/services/types";
import { formatFull, formatMoment, visible } from "#/texts/format";
import { useDuration, useLocale, useTicking } from "#/texts/i18n";
import { useKind } from "#/texts/kinds";

import type { Column, ColumnId } from "./columns";
import type { Selection } from "./selection";

const FRESH_MS = 700;
const LONGEST = 300; // characters of a hostile name that are worth laying out

const cut = (text: string): string => visible(text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);

function Duration({ task }: { task: Task }) {
  const duration = useDuration();
  if (task.duration_ms !== null) return <>{duration(task.duration_ms)}</>;
  return task.status === "in_progress" && task.started_at ? <Running since={task.started_at} /> : null;
}

/** The time a task has been running, ticking; only such rows listen to the clock. */
export function Running({ since }: { since: string }) {
  const ticking = useTicking();
  return <span className="ticking">{ticking(useSecond() - Date.parse(since))}</span>;
}

function Moment({ at }: { at: string | null }) {
  const locale = useLocale();
  if (at === null) return null;
  return <time dateTime={at} title={formatFull(locale, at)}>{formatMoment(locale, at, Date.now())}</time>;
}

function Progress({ task }: { task: Task }) {
  const { done, total } = task.progress ?? {};
  if (task.status !== "in_progress" || typeof done !== "number" || typeof total !== "number" || total <= 0) return null;
  return <progress className="row-progress" value={Math.min(done, total)} max={total} aria-label={`${done}/${total}`} />;
}

function Name({ task }: { task: Task }) {
  const { t } = useLingui();
  return (
    <>
      <span className="cut" title={cut(task.name)}>{cut(task.name) || <em>{t`(no name)`}</em>}</span>
      {task.attempt > 1 && <span className="attempt" title={t`Attempt ${task.attempt}`}>×{task.attempt}</span>}
      <Progress task={task} />
    </>
  );
}

function StatusCell({ task }: { task: Task }) {
  const { rows } = useRoom();
  const command = useCommandOf(task.task_id);
  const fresh = performance.now() - rows.changed(task.task_id) < FRESH_MS;
  return <StatusBadge key={task.status} status={task.status} command={command} fresh={fresh} />;
}

function Text({ text }: { text: string }) {
  const shown = cut(text);
  return (
    <span className="cut" title={shown}>
      {shown || "–"}
    </span>
  );
}

function Kind({ kind }: { kind: string }) {
  return <Text text={useKind()(kind)} />;
}

/** What stands in a cell; each kind listens to no more than it shows. */
function contentOf(id: ColumnId, task: Task): ReactNode {
  switch (id) {
    case "task_id":
      return <span className="cut mono" title={cut(task.task_id)}>{cut(task.task_id).slice(0, 60)}</span>;
    case "name":
      return <Name task={task} />;
    case "status":
      return <StatusCell task={task} />;
    case "duration":
      return <Duration task={task} />;
    case "created_at":
    case "started_at":
    case "finished_at":
      return <Moment at={task[id]} />;
    case "attempt":
      return task.attempt;
    case "error":
      return task.error && <Text text={`${task.error.type}: ${task.error.message}`} />;
    case "parent_id":
    case "trace_id":
      return <span className="cut mono" title={cut(task[id] ?? "")}>{cut(task[id] ?? "")}</span>;
    case "kind":
      return <Kind kind={task.kind} />;
    default:
      return <Text text={task[id] ?? ""} />;
  }
}

interface CellsProps {
  taskId: string;
  columns: readonly Column[];
}

interface PlacedCellsProps extends CellsProps {
  /** The number of the first of them among the row's columns. */
  first: number;
}

/** The cells of a row; they are drawn again only when their own task changes. */
const Cells = memo(function Cells({ taskId, columns, first }: PlacedCellsProps) {
  const task = useTask(taskId);
  if (!task) return null;
  return columns.map((column, at) => (
    <div key={column.id} role="gridcell" aria-colindex={at + first} className={`cell cell-${column.id}`}>
      {contentOf(column.id, task)}
    </div>
  ));
});

interface PickProps {
  taskId: string;
  selection: Selection;
  onPick: (taskId: string, range: boolean) => void;
}

function usePicked(taskId: string, selection: Selection): boolean {
  return useSyncExternalStore(selection.subscribe, useCallback(() => selection.has(taskId), [selection, taskId]));
}

/** The box that selects a row. It is out of the Tab order: `x` selects by key, where the list's mark stands. */
const Pick = memo(function Pick({ taskId, selection, onPick }: PickProps) {
  const { t } = useLingui();
  const picked = usePicked(taskId, selection);
  const pick = (event: MouseEvent) => {
    event.stopPropagation();
    if (event.shiftKey) document.getSelection()?.removeAllRanges();
    onPick(taskId, event.shiftKey);
  };
  return (
    <div role="gridcell" aria-colindex={1} className="cell cell-pick" onClick={pick}>
      <input type="checkbox" tabIndex={-1} checked={picked} readOnly aria-label={t`Select`} />
    </div>
  );
});

interface RowProps extends CellsProps {
  index: number;
  selected: boolean;
  cursor: boolean;
  leaving: boolean;
  onOpen: (taskId: string) => void;
  /** Null where nothing may be commanded, and so nothing is selected. */
  onPick: ((taskId: string, range: boolean) => void) | null;
  selection: Selection;
}

export const Row = memo(function Row({ taskId, columns, index, selected, cursor, leaving, onOpen, onPick, selection }: RowProps) {
  const picked = usePicked(taskId, selection);
  const press = (event: MouseEvent) => {
    if (onPick && (event.ctrlKey || event.metaKey || event.shiftKey)) onPick(taskId, event.shiftKey);
    else onOpen(taskId);
  };
  return (
    <div
      role="row"
      id={`task-row-${index}`}
      className="row"
      aria-rowindex={index + 2}
      aria-selected={selected || picked}
      data-open={selected || undefined}
      data-picked={picked || undefined}
      data-cursor={cursor || undefined}
      data-leaving={leaving || undefined}
      data-task={taskId}
      onClick={press}
    >
      {onPick && <Pick taskId={taskId} selection={selection} onPick={onPick} />}
      <Cells taskId={taskId} columns={columns} first={onPick ? 2 : 1} />
    </div>
  );
});
