import type { Task } from "#/services/types";

/** A task for tests: what a law does not speak of stays as it is here. */
export const task = (change: Partial<Task> = {}): Task => ({
  task_id: "a",
  kind: "celery",
  name: "shop.pay",
  status: "pending",
  outcome: null,
  user_id: "7",
  parent_id: null,
  root_id: null,
  group_id: null,
  queue: "celery",
  worker: null,
  attempt: 1,
  run: 0,
  priority: null,
  eta: null,
  created_at: "2025-12-01T12:00:00.000000Z",
  started_at: null,
  finished_at: null,
  updated_at: "2025-12-01T12:00:00.000000Z",
  duration_ms: null,
  progress: null,
  trace_id: null,
  error: null,
  ...change,
});
