/** The forms that the API speaks (`schema.ts` is written from the OpenAPI document), under the names used here. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export const STATUSES = ["pending", "in_progress", "completed", "failed", "cancelled"] as const satisfies Schemas["Status"][];
export type Status = Schemas["Status"];

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** A task as it stands in lists and in the stream. */
export type Task = Omit<Schemas["TaskItem"], "progress"> & { progress: Readonly<Record<string, Json>> | null };

/** One task, whole. */
export type TaskDetail = Omit<Schemas["TaskDetail"], "progress" | "arguments" | "result"> &
  Pick<Task, "progress"> & { arguments: Json; result: Json };

export type TaskError = Schemas["ErrorWhole"];
export type Permission = Schemas["Ability"];
export type Change = Schemas["Change"];
export type LogLine = Schemas["LogLine"];
export type PausedQueue = Schemas["PausedQueue"];
export type Summary = Schemas["Summary"];
export type Queue = Schemas["QueueItem"];
export type Me = Omit<Schemas["Me"], "role"> & { role: "admin" | "viewer" | "user" };

/** The answer to a command: the order may be kept, and not have reached the workers yet. */
export type Commanded = Task & Pick<Schemas["CommandedTask"], "delivered" | "note">;
export type Ordered = Schemas["QueueCommand"];
export type Problem = Schemas["Problem"];
export type Worker = Schemas["WorkerItem"];
export type Counts = Schemas["Counts"];
export type SavedView = Schemas["SavedView"];
export type BulkJob = Schemas["BulkJob"];
export type BulkResult = Schemas["BulkResult"];
export type BulkCommand = BulkJob["command"];

/** The arguments of a task, for editing. */
export interface Editable {
  args: Json;
  kwargs: Json;
}

export interface Page<T> {
  items: T[];
  next: string | null;
  /** Time ran out: only the latest of what was asked for was looked at. */
  partial?: boolean;
}

/** What narrows a list of tasks; empty fields do not filter, and kinds, queues and workers may be several, with commas. */
export interface TaskFilters {
  status: readonly Status[];
  name: string;
  user: string;
  kind: string;
  queue: string;
  worker: string;
  /** Created from here on, and before; ISO moments. */
  since: string;
  until: string;
  /** The key of a group of errors. */
  error: string;
  /** An id, or its beginning. */
  search: string;
  /** Words in arguments and errors. */
  text: string;
}

/** What a list of tasks is asked for. */
export interface TaskQuery extends TaskFilters {
  sort: string;
}
