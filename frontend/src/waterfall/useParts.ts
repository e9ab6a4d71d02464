import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";

import { api } from "#/services/api";
import type { Change, Task } from "#/services/types";

import { partsOf } from "./bars";
import type { Bar, Part } from "./bars";

const NONE: readonly Change[] = [];

/** Whether a task ran, or was to run, more than once. */
export const ranAgain = (task: Task): boolean => task.attempt > 1 || task.run > 0;

/** The attempts of a task; asked for only where there was more than one. */
export function useParts(task: Task, bar: Bar): readonly Part[] {
  const { task_id: id, attempt, run, status } = task;
  const history = useQuery({
    queryKey: ["attempts", id, attempt, run, status],
    queryFn: ({ signal }) => api.history(id, signal),
    enabled: ranAgain(task),
    placeholderData: (before) => before,
  });
  const changes = history.data?.items ?? NONE;
  return useMemo(() => partsOf(task, bar, changes), [task, bar, changes]);
}
