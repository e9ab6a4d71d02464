import type { Task } from "#/services/types";

import { later, same } from "./merge";

type Listener = () => void;

/** All tasks that the page knows, by id. A row on the screen listens to its own task and to nothing else. */
export class Rows {
  private readonly tasks = new Map<string, Task>();
  private readonly listeners = new Map<string, Set<Listener>>();
  private readonly changedAt = new Map<string, number>();

  get(taskId: string): Task | undefined {
    return this.tasks.get(taskId);
  }

  /** When the task's status was last seen to change on this page, by `performance.now()`. */
  changed(taskId: string): number {
    return this.changedAt.get(taskId) ?? -Infinity;
  }

  /** Take what is known of some tasks; return those of which something is new. */
  put(incoming: readonly Task[]): Task[] {
    const news: Task[] = [];
    for (const task of incoming) {
      const known = this.tasks.get(task.task_id);
      const kept = later(known, task);
      if (known && (kept === known || same(known, kept))) continue;
      this.tasks.set(task.task_id, kept);
      if (known && known.status !== kept.status) this.changedAt.set(task.task_id, performance.now());
      news.push(kept);
    }
    for (const task of news) this.listeners.get(task.task_id)?.forEach((listener) => listener());
    return news;
  }

  /** Forget the tasks that nobody shows any more. */
  retain(wanted: (taskId: string) => boolean): void {
    for (const taskId of this.tasks.keys()) {
      if (wanted(taskId) || this.listeners.has(taskId)) continue;
      this.tasks.delete(taskId);
      this.changedAt.delete(taskId);
    }
  }

  size(): number {
    return this.tasks.size;
  }

  subscribe(taskId: string, listener: Listener): () => void {
    const set = this.listeners.get(taskId) ?? new Set();
    this.listeners.set(taskId, set.add(listener));
    return () => {
      set.delete(listener);
      if (set.size === 0 && this.listeners.get(taskId) === set) this.listeners.delete(taskId);
    };
  }
}
