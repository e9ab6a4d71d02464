import { useQuery } from "@tanstack/react-query";
import type { UseQueryResult } from "@tanstack/react-query";
import { useEffect } from "react";

import { queries, useRoom } from "#/app/room";
import { api } from "#/services/api";
import { ApiError } from "#/services/http";
import type { Task } from "#/services/types";

const AGAIN_MS = 700;

export interface TaskTree {
  top: Task;
  rest: Task[];
  /** Whether there are more than were read. */
  more: boolean;
}

/** The tree that a task stands in, from its root; of somebody else's root, as far as one may see. */
async function readTree(task: Task, signal: AbortSignal): Promise<TaskTree> {
  const whole = async (top: Task) => {
    const page = await api.children(top.task_id, signal);
    return { top, rest: page.items, more: page.next !== null };
  };
  if (task.root_id === null || task.root_id === task.task_id) return whole(task);
  try {
    return await whole(await api.task(task.root_id, signal));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return whole(task);
    throw error;
  }
}

/** The tree that a task stands in, read again when a task of it is new. */
export function useTree(task: Task): UseQueryResult<TaskTree> {
  const { rows, feed } = useRoom();
  const rootId = task.root_id ?? task.task_id;
  const tree = useQuery({ queryKey: ["tree", rootId, task.task_id], queryFn: ({ signal }) => readTree(task, signal) });
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const known = new Set(tree.data?.rest.map((one) => one.task_id));
    const again = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void queries.invalidateQueries({ queryKey: ["tree", rootId] });
      }, AGAIN_MS);
    };
    const unfollow = feed.follow({
      tasks: (tasks) => tasks.some((one) => one.root_id === rootId && one.task_id !== rootId && !known.has(one.task_id)) && again(),
      reset: again,
    });
    return () => {
      clearTimeout(timer);
      unfollow();
    };
  }, [feed, rootId, tree.data]);
  useEffect(() => {
    if (tree.data) rows.put([tree.data.top, ...tree.data.rest]);
  }, [rows, tree.data]);
  return tree;
}
