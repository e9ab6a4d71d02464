/** The one door to the API: every request that the interface makes is a function here. */
import { ApiError, query, request } from "./http";
import type {
  Change,
  Commanded,
  LogLine,
  Me,
  Ordered,
  Page,
  Queue,
  Summary,
  Task,
  TaskDetail,
  TaskQuery,
} from "./types";

export interface Health {
  answers: boolean;
  awaySince: string | null;
}

const one = (taskId: string): string => `api/tasks/${encodeURIComponent(taskId)}`;

export const api = {
  me: (signal?: AbortSignal) => request<Me>("api/me", { signal, anonymous: true }),
  summary: (signal?: AbortSignal) => request<Summary>("api/summary", { signal }),
  queues: (signal?: AbortSignal) => request<Page<Queue>>("api/queues", { signal }),

  tasks: (wanted: TaskQuery, cursor: string | null, limit: number, signal?: AbortSignal) =>
    request<Page<Task>>(`api/tasks${query({ ...wanted, cursor, limit })}`, { signal }),
  names: (prefix: string, signal?: AbortSignal) =>
    request<Page<string>>(`api/names${query({ prefix })}`, { signal }),

  task: (taskId: string, signal?: AbortSignal) => request<TaskDetail>(one(taskId), { signal }),
  history: (taskId: string, signal?: AbortSignal) => request<Page<Change>>(`${one(taskId)}/history`, { signal }),
  logs: (taskId: string, after: number, signal?: AbortSignal) =>
    request<Page<LogLine>>(`${one(taskId)}/logs${query({ after: after || null, limit: 1000 })}`, { signal }),
  children: (taskId: string, signal?: AbortSignal) => request<Page<Task>>(`${one(taskId)}/children`, { signal }),

  retry: (taskId: string) => request<Commanded>(`${one(taskId)}/retry`, { method: "POST" }),
  cancel: (taskId: string) => request<Commanded>(one(taskId), { method: "DELETE" }),
  /** Pause a queue; all of them where none is named. */
  pause: (queue: string | null) =>
    request<Ordered>("api/admin/queue/pause", { method: "POST", json: queue === null ? {} : { queue } }),
  resume: (queue: string | null) =>
    request<Ordered>("api/admin/queue/resume", { method: "POST", json: queue === null ? {} : { queue } }),

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
      await request<unknown>("readyz", { anonymous: true });
      return { answers: true, awaySince: null };
    } catch (error) {
      if (!(error instanceof ApiError) || error.status === 0) return { answers: false, awaySince: null };
      return { answers: true, awaySince: error.status === 503 ? (error.problem.since ?? null) : null };
    }
  },
};
