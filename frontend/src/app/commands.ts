import { useLingui } from "@lingui/react/macro";

import { confirmWhy } from "#/pieces/confirm";
import { say } from "#/pieces/toasts";
import { api } from "#/services/api";
import { ApiError } from "#/services/http";
import type { Task } from "#/services/types";

import { queries, useRoom } from "./room";

const FORGET_MS = 30_000;

/** The commands to tasks and queues: each asks first, shows at once that it is under way, and says what went wrong. */
export function useCommands() {
  const room = useRoom();
  const { t } = useLingui();
  const explain = useExplain();

  const give = async (task: Task, command: "retry" | "cancel", reason: string): Promise<void> => {
    room.setCommand(task.task_id, command);
    const timer = setTimeout(() => room.setCommand(task.task_id, null), FORGET_MS);
    try {
      const done = await (command === "retry" ? api.retry(task.task_id, reason) : api.cancel(task.task_id, reason));
      room.rows.put([done]);
      if (!done.delivered) say("good", t`The order is kept, and not delivered yet`, done.note ?? "");
    } catch (error) {
      clearTimeout(timer);
      room.setCommand(task.task_id, null);
      say("bad", command === "retry" ? t`The task was not retried` : t`The task was not cancelled`, explain(error));
    }
    void queries.invalidateQueries({ queryKey: ["task", task.task_id] });
  };

  const order = async (queue: string | null, what: "pause" | "resume", reason = ""): Promise<void> => {
    const named = queue ?? t`all queues`;
    try {
      const done = await (what === "pause" ? api.pause(queue, reason) : api.resume(queue, reason));
      say("good", what === "pause" ? t`Paused: ${named}` : t`Resumed: ${named}`, done.note ?? "");
      room.feed.setSummary(await api.summary());
    } catch (error) {
      say("bad", what === "pause" ? t`The queue was not paused` : t`The queue was not resumed`, explain(error));
    }
    void queries.invalidateQueries({ queryKey: ["queues"] });
  };

  return {
    retry: async (task: Task): Promise<void> => {
      const next = task.attempt + 1;
      const yes = await confirmWhy({
        title: t`Retry this task?`,
        text: t`${short(task)} will run again with its original arguments, as attempt ${next}.`,
        action: t`Retry`,
        danger: false,
      });
      if (yes) await give(task, "retry", yes.reason);
    },
    cancel: async (task: Task): Promise<void> => {
      const yes = await confirmWhy({
        title: t`Cancel this task?`,
        text:
          task.status === "pending"
            ? t`${short(task)} has not started and will not run.`
            : t`${short(task)} is asked to stop and clean up; if it does not, it is ended after a grace period.`,
        action: t`Cancel the task`,
        danger: true,
      });
      if (yes) await give(task, "cancel", yes.reason);
    },
    pause: async (queue: string | null): Promise<void> => {
      const yes = await confirmWhy({
        title: queue === null ? t`Pause all queues?` : t`Pause the queue “${queue}”?`,
        text: t`What runs now is finished; what waits stays waiting until the queue is resumed.`,
        action: queue === null ? t`Pause all queues` : t`Pause the queue`,
        danger: queue === null,
      });
      if (yes) await order(queue, "pause", yes.reason);
    },
    resume: async (queue: string | null): Promise<void> => {
      const yes = await confirmWhy({
        title: queue === null ? t`Resume all queues?` : t`Resume the queue “${queue}”?`,
        text: t`Workers take from it again at once.`,
        action: queue === null ? t`Resume all queues` : t`Resume the queue`,
        danger: false,
      });
      if (yes) await order(queue, "resume", yes.reason);
    },
  };
}

const short = (task: Task): string => (task.name.length > 80 ? `${task.name.slice(0, 80)}…` : task.name || task.task_id);

/** Put an error into words for the one who reads the page. */
export function useExplain(): (error: unknown) => string {
  const { t } = useLingui();
  return (error) => {
    if (!(error instanceof ApiError)) return String(error);
    if (error.status === 0) return t`Orakul does not answer. Check the network and whether it runs.`;
    if (error.detail) return error.detail;
    if (error.status === 403) return t`You may not do this.`;
    if (error.status === 404) return t`There is no such task, or it is not yours.`;
    if (error.status === 409) return t`The task's state does not allow it any more.`;
    if (error.status === 503) return t`The database or the broker does not answer. Try again in a moment.`;
    return error.title || `HTTP ${error.status}`;
  };
}
