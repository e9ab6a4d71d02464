import { useLingui } from "@lingui/react/macro";

import { useExplain } from "#/app/commands";
import { queries } from "#/app/room";
import { jobStore } from "#/list/jobs";
import { confirmWhy } from "#/pieces/confirm";
import { say } from "#/pieces/toasts";
import { api } from "#/services/api";
import type { ErrorGroup } from "#/services/figures";
import { formatCount } from "#/texts/format";
import { useLocale } from "#/texts/i18n";

interface Filter {
  name: string;
  queue: string;
  since: string;
}

/** Retry all tasks of a group as one job, after a question that says what will happen. */
export function useRetryGroup(): (group: ErrorGroup, filter: Filter) => Promise<void> {
  const { t } = useLingui();
  const locale = useLocale();
  const explain = useExplain();
  return async (group, filter) => {
    const count = `${formatCount(locale, group.count)}${group.capped ? "+" : ""}`;
    const type = group.type ?? t`(no exception)`;
    const yes = await confirmWhy({
      title: t`Retry all of this group?`,
      text: t`All tasks that failed with ${type} at this place (${count}) will run again with their original arguments, each as its next attempt. It can be aborted on the way.`,
      action: t`Retry all`,
      danger: false,
    });
    if (!yes) return;
    const every = { status: ["failed"] as const, error: group.key, ...filter };
    try {
      const rest = { user: "", kind: "", worker: "", until: "", search: "", text: "" };
      jobStore.put(await api.bulk("retry", { filter: { ...rest, ...every } }, yes.reason));
      void queries.invalidateQueries({ queryKey: ["errors"] });
    } catch (error) {
      say("bad", t`The job was not begun`, explain(error));
    }
  };
}
