import { useEffect, useState, useSyncExternalStore } from "react";

import { useRoom } from "#/app/room";
import { TaskList } from "#/live/list";
import type { ListState } from "#/live/list";
import { api } from "#/services/api";
import type { TaskQuery } from "#/services/types";

const PAGE = 200;
const PAGE_BELOW = 500; // whoever scrolls means to go far
const SPARE_ROWS = 8_000; // tasks kept beyond those of the list before the room is swept

/** The list for a query: read from the server, then kept true by the stream. */
export function useTaskList(query: TaskQuery): [TaskList, ListState] {
  const { rows, feed } = useRoom();
  const key = JSON.stringify(query);
  const make = (seed: readonly string[]) =>
    new TaskList(query, rows, (wanted, cursor, signal) => api.tasks(wanted, cursor, cursor === null ? PAGE : PAGE_BELOW, signal), seed);
  const [made, setMade] = useState(() => ({ key, list: make([]) }));
  let { list } = made;
  if (made.key !== key) {
    list = make(list.snapshot().ids.slice(0, PAGE));
    setMade({ key, list });
  }
  useEffect(() => {
    void list.reload();
    const unfollow = feed.follow({
      tasks: (tasks) => {
        list.apply(tasks);
        if (rows.size() > 2 * list.snapshot().ids.length + SPARE_ROWS) rows.retain((taskId) => list.has(taskId));
      },
      foresee: (tasks) => list.foresee(tasks),
      reset: () => void list.reload(),
    });
    return () => {
      unfollow();
      list.close();
    };
  }, [list, feed, rows]);
  return [list, useSyncExternalStore(list.subscribe, list.snapshot)];
}
