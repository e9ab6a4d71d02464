import type { Status, Task, TaskFilters } from "#/services/types";

const STAGE: Record<Status, number> = { pending: 0, in_progress: 2, failed: 4, completed: 5, cancelled: 6 };

/** How far a report says that its run has come; an end without a start stands before a start. */
function stage(task: Task): number {
  const far = STAGE[task.status];
  return far > 2 && task.started_at === null ? 1 : far;
}

/**
 * Of two reports about one task return the later, so that a page fetched a moment ago does not undo what the stream
 * has said since. Same rule as the journal's: by attempt, run, how far it has come; of equals the one that came last.
 */
export function later(known: Task | undefined, incoming: Task): Task {
  if (!known) return incoming;
  const order =
    incoming.attempt - known.attempt || incoming.run - known.run || stage(incoming) - stage(known);
  return order < 0 ? known : incoming;
}

/** Return whether two rows look the same, so that nothing need be drawn again. */
export function same(a: Task, b: Task): boolean {
  return (
    a.status === b.status &&
    a.attempt === b.attempt &&
    a.updated_at === b.updated_at &&
    a.started_at === b.started_at &&
    a.finished_at === b.finished_at &&
    a.progress === b.progress &&
    a.worker === b.worker &&
    a.name === b.name
  );
}

const fits = (wanted: string, value: string | null): boolean => {
  if (wanted === "") return true;
  const text = value ?? "";
  return wanted.endsWith("*") ? text.startsWith(wanted.slice(0, -1)) : text === wanted;
};

const among = (wanted: string, value: string | null): boolean => wanted === "" || wanted.split(",").includes(value ?? "");

/** Whether a list's question has a filter that only the server can answer. */
export const needsServer = (query: TaskFilters): boolean => query.text !== "" || query.error !== "";

/**
 * Return whether a task may belong in the list that was asked for: the server's filters, told again. Where the question
 * `needsServer` too, a task that fits here is one that the server must be asked about.
 */
export function matches(query: TaskFilters, task: Task): boolean {
  return (
    (query.status.length === 0 || query.status.includes(task.status)) &&
    fits(query.name, task.name) &&
    fits(query.user, task.user_id) &&
    among(query.kind, task.kind) &&
    among(query.queue, task.queue) &&
    among(query.worker, task.worker) &&
    (query.since === "" || Date.parse(task.created_at) >= Date.parse(query.since)) &&
    (query.until === "" || Date.parse(task.created_at) < Date.parse(query.until)) &&
    (query.error === "" || task.status === "failed") &&
    task.task_id.startsWith(query.search)
  );
}

/** Order two tasks as `-created_at` does: the newest first, of one moment by id, descending. */
export function newestFirst(a: Task, b: Task): number {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? 1 : -1;
  return a.task_id < b.task_id ? 1 : a.task_id > b.task_id ? -1 : 0;
}
