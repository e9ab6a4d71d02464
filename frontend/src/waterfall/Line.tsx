import { useLingui } from "@lingui/react/macro";

import { changeView } from "#/app/view";
import { Icon } from "#/pieces/Icon";
import { STATUS_NAMES } from "#/pieces/Status";
import type { Task } from "#/services/types";
import { visible } from "#/texts/format";
import { useDuration } from "#/texts/i18n";

import { placeOf } from "./bars";
import type { Bar, Span } from "./bars";

const DEEPEST = 6;

interface Props {
  id: string;
  task: Task;
  bar: Bar;
  seen: Span;
  level: number;
  index: number;
  count: number;
  top: number;
  here: boolean;
  active: boolean;
  onTell: (index: number) => void;
}

/** One task of the waterfall: its name, and its waiting and running on the line of time. */
export function Line({ id, task, bar, seen, level, index, count, top, here, active, onTell }: Props) {
  const { t, i18n } = useLingui();
  const duration = useDuration();
  const name = visible(task.name.slice(0, 200)) || t`(no name)`;
  const waited = duration((bar.begun ?? bar.to) - bar.from);
  const ran = bar.begun === null ? t`not run` : duration(bar.to - bar.begun);
  const status = i18n._(STATUS_NAMES[task.status]);
  const waiting = placeOf(bar.from, bar.begun ?? bar.to, seen);
  const running = bar.begun === null ? null : placeOf(bar.begun, bar.to, seen);
  return (
    <div
      id={id}
      role="treeitem"
      className="waterfall-line"
      aria-level={level + 1}
      aria-posinset={index + 1}
      aria-setsize={count}
      aria-selected={here}
      aria-label={t`${name}, ${status}, waited ${waited}, ran ${ran}`}
      data-status={task.status}
      data-active={active || undefined}
      data-open={bar.open || undefined}
      style={{ transform: `translateY(${top}px)` }}
      onPointerEnter={() => onTell(index)}
      onClick={() => changeView({ task: task.task_id })}
    >
      <span className="waterfall-name" style={{ paddingInlineStart: Math.min(level, DEEPEST) * 10 }}>
        <Icon name={task.status} />
        <span className="cut">{name}</span>
      </span>
      <span className="waterfall-lane">
        {waiting && <span className="waterfall-bar" data-part="waiting" style={{ insetInlineStart: `${waiting.left}%`, width: `${waiting.width}%` }} />}
        {running && <span className="waterfall-bar" data-part="running" style={{ insetInlineStart: `${running.left}%`, width: `${running.width}%` }} />}
      </span>
    </div>
  );
}
