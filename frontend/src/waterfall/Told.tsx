import { useLingui } from "@lingui/react/macro";

import { StatusBadge } from "#/pieces/Status";
import type { Task } from "#/services/types";
import { formatFull, visible } from "#/texts/format";
import { useDuration, useLocale } from "#/texts/i18n";

import type { Bar } from "./bars";

/** The times of the task under the pointer, or of the one that the keyboard has come to. */
export function Told({ task, bar, beginning }: { task: Task; bar: Bar; beginning: number }) {
  const { t } = useLingui();
  const locale = useLocale();
  const duration = useDuration();
  const facts: [string, string][] = [
    [t`Created`, `${formatFull(locale, task.created_at)} (+${duration(bar.from - beginning)})`],
    [task.attempt > 1 ? t`Before this attempt` : t`Waited`, duration((bar.begun ?? bar.to) - bar.from)],
  ];
  if (bar.begun !== null) facts.push([t`Ran`, duration(bar.to - bar.begun)]);
  if (!bar.open) facts.push([t`Ended`, formatFull(locale, new Date(bar.to).toISOString())]);
  if (task.worker) facts.push([t`Worker`, visible(task.worker)]);
  return (
    <div className="waterfall-told" role="tooltip">
      <p className="waterfall-title">
        <StatusBadge status={task.status} />
        <strong>{visible(task.name.slice(0, 200)) || t`(no name)`}</strong>
        {task.attempt > 1 && <span className="attempt">{t`attempt ${task.attempt}`}</span>}
      </p>
      <dl>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
