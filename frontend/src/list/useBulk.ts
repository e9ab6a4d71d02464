import { plural } from "@lingui/core/macro";
import { useLingui } from "@lingui/react/macro";

import { useExplain } from "#/app/commands";
import { useRoom } from "#/app/room";
import { confirmWhy } from "#/pieces/confirm";
import { say } from "#/pieces/toasts";
import { api } from "#/services/api";
import type { BulkCommand, Counts, Status, Task, TaskQuery } from "#/services/types";

import { jobStore } from "./jobs";
import type { Selection } from "./selection";
import { countText } from "./useCounts";

/** The states that a command is for. */
export const COMMAND_FOR: Record<BulkCommand, readonly Status[]> = { retry: ["failed"], cancel: ["pending", "in_progress"] };

/** Of the states asked for, those that a command is for. */
export const statusesFor = (command: BulkCommand, asked: readonly Status[]): readonly Status[] =>
  asked.length === 0 ? COMMAND_FOR[command] : COMMAND_FOR[command].filter((status) => asked.includes(status));

export interface BulkReach {
  /** As it is written: bounded counts end in `+`. */
  text: string;
  none: boolean;
}

interface Given {
  selection: Selection;
  query: TaskQuery;
  counts: Counts | undefined;
}

/** Commands to what is selected: how many they would reach, and giving them after a question. */
export function useBulk({ selection, query, counts }: Given) {
  const { t, i18n } = useLingui();
  const { rows } = useRoom();
  const explain = useExplain();

  const named = (command: BulkCommand): Task[] =>
    [...selection.snapshot().ids].flatMap((id) => {
      const task = rows.get(id);
      return task && COMMAND_FOR[command].includes(task.status) ? [task] : [];
    });

  const reach = (command: BulkCommand): BulkReach => {
    if (!selection.snapshot().all) {
      const { length } = named(command);
      return { text: i18n.number(length), none: length === 0 };
    }
    const statuses = statusesFor(command, query.status);
    const text = statuses.length === 0 ? "0" : (countText(i18n.locale, counts, statuses) ?? "…");
    return { text, none: text === "0" };
  };

  const words = (command: BulkCommand, text: string): string => {
    const { all, ids } = selection.snapshot();
    if (all) {
      return command === "retry"
        ? t`All failed tasks that fit the filters now (${text}) will run again with their original arguments, each as its next attempt. Tasks that come later are not drawn in. It can be aborted on the way.`
        : t`All waiting and running tasks that fit the filters now (${text}) are cancelled: what waits will not run, what runs is asked to stop. Tasks that come later are not drawn in. It can be aborted on the way.`;
    }
    const count = named(command).length;
    const rest = ids.size - count;
    const left = rest === 0 ? "" : ` ${t`${plural(rest, { one: "# other selected task is left as it is.", other: "# other selected tasks are left as they are." })}`}`;
    return (
      (command === "retry"
        ? t`${plural(count, { one: "# failed task will run again with its original arguments, as its next attempt.", other: "# failed tasks will run again with their original arguments, each as its next attempt." })}`
        : t`${plural(count, { one: "# task is cancelled: if it waits it will not run, if it runs it is asked to stop.", other: "# tasks are cancelled: what waits will not run, what runs is asked to stop." })}`) + left
    );
  };

  const give = async (command: BulkCommand): Promise<void> => {
    const { all } = selection.snapshot();
    const statuses = statusesFor(command, query.status);
    const ids = named(command).map((task) => task.task_id);
    if (all ? statuses.length === 0 : ids.length === 0) return;
    const { sort: _sort, ...filters } = query;
    // The counts on the page may be some seconds old; the question says what is so now.
    const now = all ? await api.counts({ ...filters, status: [] }).catch(() => counts) : undefined;
    const text = (all ? countText(i18n.locale, now, statuses) : null) ?? reach(command).text;
    const yes = await confirmWhy({
      title: command === "retry" ? t`Retry ${text} tasks?` : t`Cancel ${text} tasks?`,
      text: words(command, text),
      action: command === "retry" ? t`Retry them` : t`Cancel them`,
      danger: command === "cancel",
    });
    if (!yes) return;
    try {
      jobStore.put(await api.bulk(command, all ? { filter: { ...filters, status: statuses } } : { task_ids: ids }, yes.reason));
      selection.clear();
    } catch (error) {
      say("bad", t`The job was not begun`, explain(error));
    }
  };
  return { reach, give };
}
