import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";

import type { SortKey } from "#/app/view";

export type ColumnId =
  | "task_id"
  | "name"
  | "status"
  | "kind"
  | "queue"
  | "worker"
  | "user_id"
  | "attempt"
  | "duration"
  | "created_at"
  | "started_at"
  | "finished_at"
  | "error"
  | "parent_id"
  | "trace_id";

export interface Column {
  id: ColumnId;
  title: MessageDescriptor;
  /** What the server sorts by; a duration is not kept, so it cannot be sorted by. */
  sort: SortKey | null;
  /** A width in the manner of CSS grid tracks. */
  width: string;
  /** The list must be at least so wide for the column to be shown; null: only where it was chosen. */
  from: number | null;
  end?: boolean;
}

export const COLUMNS: readonly Column[] = [
  { id: "task_id", title: msg`Task ID`, sort: "task_id", width: "108px", from: 0 },
  { id: "name", title: msg`Task name`, sort: "name", width: "minmax(140px, 1fr)", from: 0 },
  { id: "status", title: msg`Status`, sort: "status", width: "138px", from: 0 },
  { id: "kind", title: msg`Kind`, sort: "kind", width: "92px", from: 1120 },
  { id: "queue", title: msg`Queue`, sort: "queue", width: "112px", from: 1000 },
  { id: "user_id", title: msg`User`, sort: "user_id", width: "minmax(96px, 0.16fr)", from: 720 },
  { id: "duration", title: msg`Duration`, sort: null, width: "104px", from: 880, end: true },
  { id: "created_at", title: msg`Created`, sort: "created_at", width: "124px", from: 0, end: true },
  { id: "worker", title: msg`Worker`, sort: null, width: "minmax(110px, 0.3fr)", from: null },
  { id: "attempt", title: msg`Attempt`, sort: null, width: "72px", from: null, end: true },
  { id: "started_at", title: msg`Started`, sort: "started_at", width: "124px", from: null, end: true },
  { id: "finished_at", title: msg`Finished`, sort: "finished_at", width: "124px", from: null, end: true },
  { id: "error", title: msg`Error`, sort: null, width: "minmax(180px, 1fr)", from: null },
  { id: "parent_id", title: msg`Parent`, sort: null, width: "108px", from: null },
  { id: "trace_id", title: msg`Trace ID`, sort: null, width: "108px", from: null },
];

const COLUMN_OF = new Map(COLUMNS.map((column) => [column.id as string, column]));

/** The usual columns, in their order. */
export const USUAL: readonly ColumnId[] = COLUMNS.filter((column) => column.from !== null).map((column) => column.id);

/** Below this the list is written in two lines a task, as on a phone. */
export const COMPACT_BELOW = 560;

/** The columns to show: those that were chosen, else of the usual ones as many as the width allows. */
export function columnsFor(width: number, chosen: readonly ColumnId[] | null): readonly Column[] {
  if (chosen) return chosen.flatMap((id) => COLUMN_OF.get(id) ?? []);
  return COLUMNS.filter((column) => column.from !== null && width >= column.from);
}

/** The least width that columns need, with the gaps between them and the list's edges. */
export function leastWidth(columns: readonly Column[], gap: number, edges: number): number {
  const widths = columns.map((column) => Number(/(\d+)px/.exec(column.width)?.[1] ?? 0));
  return widths.reduce((sum, one) => sum + one + gap, edges - gap);
}

/** Read the columns that somebody chose: known ones, each once; null where none of it is known. */
export function readColumns(ids: readonly unknown[]): readonly ColumnId[] | null {
  const known = [...new Set(ids)].filter((id): id is ColumnId => typeof id === "string" && COLUMN_OF.has(id));
  return known.length > 0 ? known : null;
}

/** Move one of them by a step; at the ends it stays. */
export function moved(ids: readonly ColumnId[], id: ColumnId, step: -1 | 1): readonly ColumnId[] {
  const at = ids.indexOf(id);
  const to = at + step;
  if (at < 0 || to < 0 || to >= ids.length) return ids;
  const next = [...ids];
  next.splice(at, 1);
  next.splice(to, 0, id);
  return next;
}

const KEY = "orakul.columns";
const listeners = new Set<() => void>();
let chosen: readonly ColumnId[] | null | undefined;

function stored(): readonly ColumnId[] | null {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? "null");
    return Array.isArray(kept) ? readColumns(kept) : null;
  } catch {
    return null; // storage may be forbidden, or hold something of another's
  }
}

/** Which columns the user chose, kept in the browser; null: the usual ones. */
export const columnStore = {
  subscribe: (listener: () => void): (() => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  },
  snapshot: (): readonly ColumnId[] | null => (chosen === undefined ? (chosen = stored()) : chosen),
  set: (next: readonly ColumnId[] | null): void => {
    chosen = next;
    try {
      if (next) localStorage.setItem(KEY, JSON.stringify(next));
      else localStorage.removeItem(KEY);
    } catch {
      // it holds for this visit
    }
    listeners.forEach((listener) => listener());
  },
};

/** The next order when a column's title is pressed: downwards first for times, upwards first for words. */
export function nextSort(current: string, key: SortKey): string {
  const first = key.endsWith("_at") ? `-${key}` : key;
  const second = key.endsWith("_at") ? key : `-${key}`;
  return current === first ? second : first;
}
