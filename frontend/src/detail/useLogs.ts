import { useEffect, useState } from "react";

import { useRoom } from "#/app/room";
import { api } from "#/services/api";
import type { LogLine } from "#/services/types";

import { joinLines } from "./lines";

export interface Logs {
  lines: readonly LogLine[];
  loading: boolean;
  error: unknown;
}

/** The log of a task: what is stored, then what the stream adds; the two overlap, so that nothing falls between. */
export function useLogs(taskId: string): Logs {
  const { feed } = useRoom();
  const [logs, setLogs] = useState<Logs & { taskId: string }>({ taskId, lines: [], loading: true, error: null });
  useEffect(() => {
    const control = new AbortController();
    const add = (incoming: readonly LogLine[], loading?: boolean) =>
      setLogs((now) => {
        const known = now.taskId === taskId ? now : { taskId, lines: [], loading: true, error: null };
        return { ...known, error: null, lines: joinLines(known.lines, incoming), loading: loading ?? known.loading };
      });
    const read = async () => {
      let after = 0;
      try {
        for (;;) {
          const page = await api.logs(taskId, after, control.signal);
          const more = page.next !== null && page.items.length > 0;
          add(page.items, more);
          if (!more) return;
          after = page.items[page.items.length - 1]?.seq ?? after;
        }
      } catch (error) {
        if (!control.signal.aborted) setLogs((now) => ({ ...now, taskId, error, loading: false }));
      }
    };
    const unfollow = feed.follow({
      logs: (lines) => {
        const ours = lines.filter((line) => line.task_id === taskId);
        if (ours.length > 0) add(ours);
      },
      reset: () => void read(),
    });
    void read();
    return () => {
      control.abort();
      unfollow();
    };
  }, [taskId, feed]);
  return logs.taskId === taskId ? logs : { lines: [], loading: true, error: null };
}
