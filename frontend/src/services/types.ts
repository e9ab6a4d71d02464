/** The forms that the API speaks, under the names that the interface uses. */

export const STATUSES = ["pending", "in_progress", "completed", "failed", "cancelled"] as const;
export type Status = (typeof STATUSES)[number];

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export interface TaskError {
  type: string;
  message: string;
  traceback?: string | null;
  place?: string | null;
}

/** A task as it stands in lists and in the stream. */
export interface Task {
  task_id: string;
  kind: string;
  name: string;
  status: Status;
  outcome: string | null;
  user_id: string | null;
  parent_id: string | null;
  root_id: string | null;
  group_id: string | null;
  queue: string | null;
  worker: string | null;
  attempt: number;
  run: number;
  priority: number | null;
  eta: string | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  updated_at: string;
  duration_ms: number | null;
  progress: Record<string, Json> | null;
  trace_id: string | null;
  error: TaskError | null;
}

export interface Permission {
  allowed: boolean;
  why: string | null;
}

/** One task, whole. */
export interface TaskDetail extends Task {
  arguments: Json;
  result: Json;
  trace_url: string | null;
  can: { retry: Permission; cancel: Permission };
}

export interface Change {
  seq: number;
  event_type: string;
  status: Status | null;
  previous: Status | null;
  attempt: number;
  run: number;
  timestamp: string;
  duration_ms: number | null;
  worker: string | null;
  author: string | null;
  reason: string | null;
  error: TaskError | null;
}

export interface LogLine {
  seq: number;
  task_id: string;
  attempt: number;
  timestamp: string;
  level: string;
  logger: string;
  message: string;
}

export interface PausedQueue {
  queue: string;
  paused_by: string | null;
  paused_at: string;
  reason: string | null;
}

export interface Summary {
  queued: number;
  active: number;
  capped: boolean;
  failure_rate_24h: number | null;
  mean_duration_24h: number | null;
  paused_queues: PausedQueue[];
  seq: number;
}

export interface Queue {
  queue: string;
  pending: number;
  in_progress: number;
  paused: boolean;
  paused_by: string | null;
  paused_at: string | null;
}

export interface Me {
  user_id: string;
  username: string | null;
  role: "admin" | "viewer" | "user";
}

export interface Settings {
  trace_url: string | null;
  version: string;
}

export interface Page<T> {
  items: T[];
  next: string | null;
}

/** What a list of tasks is asked for; empty fields do not filter. */
export interface TaskQuery {
  status: readonly Status[];
  name: string;
  user: string;
  kind: string;
  queue: string;
  search: string;
  sort: string;
}
