import { plural } from "@lingui/core/macro";
import { useLingui } from "@lingui/react/macro";

import { Icon } from "#/pieces/Icon";
import type { BulkCommand, Counts, TaskQuery } from "#/services/types";
import { STATUSES } from "#/services/types";

import { NAMED_MOST } from "./selection";
import type { Picked, Selection } from "./selection";
import { countText } from "./useCounts";
import type { BulkReach } from "./useBulk";

interface Props {
  selection: Selection;
  picked: Picked;
  query: TaskQuery;
  counts: Counts | undefined;
  onPage: readonly string[];
  more: boolean;
  reach: (command: BulkCommand) => BulkReach;
  onGive: (command: BulkCommand) => void;
}

/** How many tasks are selected, and what can be done to them. */
export function BulkBar({ selection, picked, query, counts, onPage, more, reach, onGive }: Props) {
  const { t, i18n } = useLingui();
  const count = picked.ids.size;
  if (count === 0 && !picked.all) return null;
  const all = countText(i18n.locale, counts, query.status.length > 0 ? query.status : STATUSES) ?? "…";
  const wholePage = count >= Math.min(onPage.length, NAMED_MOST);
  const commands: [BulkCommand, string][] = [
    ["retry", t`Retry ${reach("retry").text}`],
    ["cancel", t`Cancel ${reach("cancel").text}`],
  ];
  return (
    <div className="bulk" role="region" aria-label={t`Selected tasks`}>
      <strong className="bulk-count" role="status">
        {picked.all ? t`All ${all} selected` : t`${plural(count, { one: "# selected", other: "# selected" })}`}
      </strong>
      {commands.map(([command, name]) => (
        <button key={command} type="button" className="button" disabled={reach(command).none} onClick={() => onGive(command)}>
          <Icon name={command === "retry" ? "retry" : "stop"} />
          {name}
        </button>
      ))}
      {!picked.all && !wholePage && (
        <button type="button" className="button-quiet" onClick={() => selection.only(onPage)}>
          {t`Select all on the page`}
        </button>
      )}
      {!picked.all && (wholePage || more) && (
        <button type="button" className="button-quiet" onClick={() => selection.everything()}>
          {t`Select all ${all} that fit`}
        </button>
      )}
      <button type="button" className="button-icon bulk-close" aria-label={t`Select nothing`} title={`${t`Select nothing`} (Esc)`} onClick={() => selection.clear()}>
        <Icon name="close" />
      </button>
    </div>
  );
}
