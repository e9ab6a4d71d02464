/** The one door to the API: every request that the interface makes is a function here. */
import { ApiError, query, request } from "./http";
import type {
  BulkCommand,
  BulkJob,
  BulkResult,
  Change,
  Commanded,
  Counts,
  Editable,
  LogLine,
  Me,
  Ordered,
  Page,
  Queue,
  SavedView,
  Summary,
  Task,
  TaskDetail,
  TaskFilters,
  TaskQuery,
  Worker,
} from "./types";

export interface Health {
  answers: boolean;
  awaySince: string | null;
}

/** What a view is kept under; `columns` empty: the usual ones. */
export interface ViewForm {
  name: string;
  query: string;
  columns: readonly string[];
  shared: boolean;
}

/** Which tasks a job is for: those that fit filters, or those named. */
export type BulkTarget = { filter: TaskFilters } | { task_ids: readonly string[] };

const because = (reason: string): { json?: unknown } => (reason === "" ? {} : { json: { reason } });
const order = (queue: string | null, reason: string): { method: "POST"; json: unknown } => ({
  method: "POST",
  json: { ...(queue === null ? {} : { queue }), ...(reason === "" ? {} : { reason }) },
});
const words = (text: string): string[] => text.split(",").filter(Boolean);

/** The filters as a body has them: lists as lists, nothing that is empty. */
const filterForm = ({ kind, queue, worker, status, ...texts }: TaskFilters): unknown => ({
  status,
  kind: words(kind),
  queue: words(queue),
  worker: words(worker),
  ...Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== "")),
});

const one = (taskId: string): string => `api/tasks/${encodeURIComponent(taskId)}`;

const HEALTH_MS = 5_000; // who does not say within this that they are well does not answer

export const api = {
  me: (signal?: AbortSignal) => request<Me>("api/me", { signal, anonymous: true }),
  summary: (signal?: AbortSignal) => request<Summary>("api/summary", { signal }),
  queues: (signal?: AbortSignal) => request<Page<Queue>>("api/queues", { signal }),
  workers: (signal?: AbortSignal) => request<Page<Worker>>("api/workers", { signal }),

  tasks: (wanted: TaskQuery, cursor: string | null, limit: number, signal?: AbortSignal) =>
    request<Page<Task>>(`api/tasks${query({ ...wanted, cursor, limit })}`, { signal }),
  counts: (filters: TaskFilters, signal?: AbortSignal) =>
    request<Counts>(`api/tasks/counts${query({ ...filters })}`, { signal }),
  names: (prefix: string, signal?: AbortSignal) =>
    request<Page<string>>(`api/names${query({ prefix })}`, { signal }),

  task: (taskId: string, signal?: AbortSignal) => request<TaskDetail>(one(taskId), { signal }),
  history: (taskId: string, signal?: AbortSignal) => request<Page<Change>>(`${one(taskId)}/history`, { signal }),
  logs: (taskId: string, after: number, signal?: AbortSignal) =>
    request<Page<LogLine>>(`${one(taskId)}/logs${query({ after: after || null, limit: 1000 })}`, { signal }),
  children: (taskId: string, signal?: AbortSignal) => request<Page<Task>>(`${one(taskId)}/children`, { signal }),

  retry: (taskId: string, reason = "") =>
    request<Commanded>(`${one(taskId)}/retry`, { method: "POST", ...because(reason) }),
  cancel: (taskId: string, reason = "") => request<Commanded>(one(taskId), { method: "DELETE", ...because(reason) }),
  /** A task's arguments, for editing: in full, with secrets masked. */
  editable: (taskId: string, signal?: AbortSignal) => request<Editable>(`${one(taskId)}/run`, { signal }),
  /** Run an ended task again with other arguments; the answer is the new task. */
  run: (taskId: string, given: Editable & { reason: string }) =>
    request<Commanded>(`${one(taskId)}/run`, {
      method: "POST",
      json: { args: given.args, kwargs: given.kwargs, ...(given.reason ? { reason: given.reason } : {}) },
    }),

  bulk: (command: BulkCommand, target: BulkTarget, reason = "") =>
    request<BulkJob>("api/bulk", {
      method: "POST",
      json: {
        command,
        ...("filter" in target ? { filter: filterForm(target.filter) } : { task_ids: target.task_ids }),
        ...(reason ? { reason } : {}),
      },
    }),
  bulkJobs: (signal?: AbortSignal) => request<Page<BulkJob>>("api/bulk", { signal }),
  bulkJob: (jobId: string, signal?: AbortSignal) =>
    request<BulkJob>(`api/bulk/${encodeURIComponent(jobId)}`, { signal }),
  bulkResults: (jobId: string, after: string | null, signal?: AbortSignal) =>
    request<Page<BulkResult>>(`api/bulk/${encodeURIComponent(jobId)}/results${query({ after, limit: 1000 })}`, { signal }),
  abortBulk: (jobId: string) => request<BulkJob>(`api/bulk/${encodeURIComponent(jobId)}`, { method: "DELETE" }),

  views: (signal?: AbortSignal) => request<Page<SavedView>>("api/views", { signal }),
  saveView: (form: ViewForm) => request<SavedView>("api/views", { method: "POST", json: form }),
  deleteView: (viewId: string) => request<unknown>(`api/views/${encodeURIComponent(viewId)}`, { method: "DELETE" }),

  /** Pause a queue; all of them where none is named. */
  pause: (queue: string | null, reason = "") => request<Ordered>("api/admin/queue/pause", order(queue, reason)),
  resume: (queue: string | null, reason = "") => request<Ordered>("api/admin/queue/resume", order(queue, reason)),

  /** Swap a name and a password for a session cookie; the token is forgotten at once. */
  signIn: async (username: string, password: string): Promise<void> => {
    const token = await request<{ access_token: string }>("v1/auth/token", {
      method: "POST",
      form: { grant_type: "password", username, password },
      anonymous: true,
    });
    await request<unknown>("api/session", { method: "POST", bearer: token.access_token, anonymous: true });
  },
  signOut: () => request<unknown>("api/session", { method: "DELETE", anonymous: true }),
  /** How Orakul is: whether it answers at all, and since when what stands behind it does not. */
  health: async (): Promise<Health> => {
    try {
      await request<unknown>("readyz", { anonymous: true, signal: AbortSignal.timeout(HEALTH_MS) });
      return { answers: true, awaySince: null };
    } catch (error) {
      if (!(error instanceof ApiError) || error.status === 0) return { answers: false, awaySince: null };
      return { answers: true, awaySince: error.status === 503 ? (error.problem.since ?? null) : null };
    }
  },
};
