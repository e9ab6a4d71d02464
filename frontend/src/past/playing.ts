import type { Moment, MomentQueue, Turn } from "#/services/figures";
import { STATUSES } from "#/services/types";
import type { Status } from "#/services/types";

/** What is shown of a task of then. */
export interface PastTask {
  task_id: string;
  name: string;
  status: Status;
  queue: string | null;
  user_id: string | null;
  worker: string | null;
  attempt: number;
  created_at: string;
  /** It has changed in the last step that was played. */
  fresh: boolean;
}

/** The room as it was: what a moment says, and what is made of it by playing forward. */
export interface PastRoom {
  at: string;
  counts: Record<Status, number>;
  /** Of which counts there are more than was counted. */
  capped: ReadonlySet<Status>;
  queues: readonly MomentQueue[];
  tasks: readonly PastTask[];
  partial: boolean;
}

export const SHOWN = 100;

export function roomOf(moment: Moment): PastRoom {
  const counts = Object.fromEntries(STATUSES.map((status) => [status, 0])) as Record<Status, number>;
  moment.counts?.forEach((one) => (counts[one.status] = one.count));
  return {
    at: moment.at,
    counts,
    capped: new Set(moment.counts?.filter((one) => one.capped || one.partial).map((one) => one.status)),
    queues: moment.queues ?? [],
    tasks: moment.items.map((task) => ({
      task_id: task.task_id,
      name: task.name,
      status: task.status,
      queue: task.queue,
      user_id: task.user_id,
      worker: task.worker,
      attempt: task.attempt,
      created_at: task.created_at,
      fresh: false,
    })),
    partial: moment.partial,
  };
}

const WAITS: readonly (Status | null)[] = ["pending", "in_progress"];

/** Play what happened onto a room: the counts move, tasks change in place, new ones come in at the top. */
export function played(room: PastRoom, turns: readonly Turn[], at: string, fits: (status: Status) => boolean): PastRoom {
  const counts = { ...room.counts };
  const queues = new Map(room.queues.map((queue) => [queue.queue, { ...queue }]));
  const tasks = new Map(room.tasks.map((task) => [task.task_id, task.fresh ? { ...task, fresh: false } : task]));
  const fresh: PastTask[] = [];
  for (const turn of turns) {
    if (turn.task_id === null || turn.status === null) {
      pause(queues, turn);
      continue;
    }
    if (turn.previous !== null) counts[turn.previous] = Math.max(0, counts[turn.previous] - 1);
    counts[turn.status] += 1;
    flow(queues, turn);
    const known = tasks.get(turn.task_id);
    const task: PastTask = {
      task_id: turn.task_id,
      name: turn.name ?? known?.name ?? "",
      status: turn.status,
      queue: turn.queue ?? known?.queue ?? null,
      user_id: turn.user_id ?? known?.user_id ?? null,
      worker: known?.worker ?? null,
      attempt: turn.attempt ?? known?.attempt ?? 1,
      created_at: known?.created_at ?? turn.at,
      fresh: true,
    };
    if (known) tasks.set(turn.task_id, task);
    else if (turn.previous === null || fits(turn.status)) {
      tasks.set(turn.task_id, task);
      fresh.push(task);
    }
  }
  const order = [...fresh.map((task) => task.task_id).reverse(), ...room.tasks.map((task) => task.task_id)];
  const shown = order.flatMap((id) => {
    const task = tasks.get(id);
    return task && fits(task.status) ? [task] : [];
  });
  return { ...room, at, counts, queues: [...queues.values()], tasks: shown.slice(0, SHOWN) };
}

function queueOf(queues: Map<string, MomentQueue>, name: string): MomentQueue {
  const known = queues.get(name) ?? { queue: name, pending: 0, in_progress: 0, paused: false, paused_by: null, paused_at: null, reason: null };
  queues.set(name, known);
  return known;
}

function pause(queues: Map<string, MomentQueue>, turn: Turn): void {
  if (turn.queue === null || turn.paused === null) return;
  const named = turn.queue === "*" && !turn.paused ? [...queues.keys()] : [turn.queue];
  for (const name of new Set([turn.queue, ...named])) {
    const queue = queueOf(queues, name);
    queue.paused = turn.paused;
    queue.paused_by = turn.paused ? turn.author : null;
    queue.paused_at = turn.paused ? turn.at : null;
  }
}

function flow(queues: Map<string, MomentQueue>, turn: Turn): void {
  if (turn.queue === null || (!WAITS.includes(turn.status) && !WAITS.includes(turn.previous))) return;
  const queue = queueOf(queues, turn.queue);
  if (turn.previous === "pending" || turn.previous === "in_progress") queue[turn.previous] = Math.max(0, queue[turn.previous] - 1);
  if (turn.status === "pending" || turn.status === "in_progress") queue[turn.status] += 1;
}

/** Where playing has come to, `elapsed` real milliseconds on, never beyond the present. */
export const playedTo = (at: number, elapsed: number, speed: number, now: number): number => Math.min(now, at + elapsed * speed);
