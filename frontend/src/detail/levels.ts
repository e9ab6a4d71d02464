import type { Task } from "#/services/types";

export interface Placed {
  task: Task;
  level: number;
}

/** Put a subtree, given in any order, in the order in which it is read: each task followed by its own children. */
export function levelsOf(top: Task, rest: readonly Task[]): Placed[] {
  const children = new Map<string, Task[]>();
  const ids = new Set([top.task_id, ...rest.map((task) => task.task_id)]);
  for (const task of rest) {
    if (task.task_id === top.task_id) continue;
    const parent = task.parent_id !== null && ids.has(task.parent_id) ? task.parent_id : top.task_id;
    children.set(parent, [...(children.get(parent) ?? []), task]);
  }
  const placed: Placed[] = [];
  const seen = new Set<string>();
  const stack: Placed[] = [{ task: top, level: 0 }];
  for (let next = stack.pop(); next; next = stack.pop()) {
    if (seen.has(next.task.task_id)) continue;
    seen.add(next.task.task_id);
    placed.push(next);
    const level = next.level + 1;
    const below = [...(children.get(next.task.task_id) ?? [])].sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
    stack.push(...below.map((task) => ({ task, level })));
  }
  return placed;
}
