import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";

import type { SortKey } from "#/app/view";

export type ColumnId = "task_id" | "name" | "status" | "kind" | "queue" | "user_id" | "duration" | "created_at";

export interface Column {
  id: ColumnId;
  title: MessageDescriptor;
  /** What the server sorts by; a duration is not kept, so it cannot be sorted by. */
  sort: SortKey | null;
  /** A width in the manner of CSS grid tracks. */
  width: string;
  /** The list must be at least so wide for the column to be shown. */
  from: number;
  end?: boolean;
}

export const COLUMNS: readonly Column[] = [
  { id: "task_id", title: msg`Task ID`, sort: "task_id", width: "108px", from: 0 },
  { id: "name", title: msg`Task name`, sort: "name", width: "minmax(140px, 1fr)", from: 0 },
  { id: "status", title: msg`Status`, sort: "status", width: "138px", from: 0 },
  { id: "kind", title: msg`Kind`, sort: "kind", width: "92px", from: 1120 },
  { id: "queue", title: msg`Queue`, sort: "queue", width: "112px", from: 1000 },
  { id: "user_id", title: msg`User`, sort: "user_id", width: "minmax(96px, 0.16fr)", from: 0 },
  { id: "duration", title: msg`Duration`, sort: null, width: "104px", from: 880, end: true },
  { id: "created_at", title: msg`Created`, sort: "created_at", width: "124px", from: 0, end: true },
];

/** Below this the list is written in two lines a task, as on a phone. */
export const COMPACT_BELOW = 560;

export const columnsFor = (width: number): readonly Column[] => COLUMNS.filter((column) => width >= column.from);

/** The next order when a column's title is pressed: downwards first for times, upwards first for words. */
export function nextSort(current: string, key: SortKey): string {
  const first = key.endsWith("_at") ? `-${key}` : key;
  const second = key.endsWith("_at") ? key : `-${key}`;
  return current === first ? second : first;
}
