import { useLingui } from "@lingui/react/macro";

import { Icon } from "#/pieces/Icon";
import { StatusBadge } from "#/pieces/Status";
import type { Task } from "#/services/types";
import { formatFull, visible } from "#/texts/format";
import { useDuration, useLocale } from "#/texts/i18n";

import type { Bar, Part } from "./bars";
import { useParts } from "./useParts";

const ATTEMPTS = 6; // the last ones; a task may have been retried a hundred times

/** The times of the task under the pointer, or of the one that the keyboard has come to. */
export function Told({ task, bar, beginning }: { task: Task; bar: Bar; beginning: number }) {
  const { t } = useLingui();
  const locale = useLocale();
  const duration = useDuration();
  const parts = useParts(task, bar);
  const lasted = (part: Part): string => {
    const waited = t`waited ${duration((part.begun ?? part.to) - part.from)}`;
    return part.begun === null ? waited : `${waited}, ${t`ran ${duration(part.to - part.begun)}`}`;
  };
  const facts: [string, string][] = [[t`Created`, `${formatFull(locale, task.created_at)} (+${duration(bar.from - beginning)})`]];
  if (parts.length === 1) {
    facts.push([t`Waited`, duration((bar.begun ?? bar.to) - bar.from)]);
    if (bar.begun !== null) facts.push([t`Ran`, duration(bar.to - bar.begun)]);
  }
  if (!bar.open) facts.push([t`Ended`, formatFull(locale, new Date(bar.to).toISOString())]);
  if (task.worker) facts.push([t`Worker`, visible(task.worker)]);
  return (
    <div className="waterfall-told" role="tooltip">
      <p className="waterfall-title">
        <StatusBadge status={task.status} />
        <strong>{visible(task.name.slice(0, 200)) || t`(no name)`}</strong>
        {task.attempt > 1 && <span className="attempt">{t`attempt ${task.attempt}`}</span>}
      </p>
      {parts.length > 1 && (
        <ol>
          {parts.slice(-ATTEMPTS).map((part, number) => (
            <li key={number} data-status={part.status}>
              <Icon name={part.status} />
              <span>{`${t`attempt ${part.attempt}`}: ${lasted(part)}`}</span>
            </li>
          ))}
        </ol>
      )}
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
