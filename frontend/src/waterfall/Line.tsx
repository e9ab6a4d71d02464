import { useLingui } from "@lingui/react/macro";

import { changeView } from "#/app/view";
import { Icon } from "#/pieces/Icon";
import { STATUS_NAMES } from "#/pieces/Status";
import type { Task } from "#/services/types";
import { visible } from "#/texts/format";
import { useDuration } from "#/texts/i18n";

import { placeOf } from "./bars";
import type { Bar, Part, Span } from "./bars";
import { useParts } from "./useParts";

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
  const parts = useParts(task, bar);
  const told = parts.map((part) => {
    const status = i18n._(STATUS_NAMES[part.status]);
    const waited = duration((part.begun ?? part.to) - part.from);
    const ran = part.begun === null ? t`not run` : duration(part.to - part.begun);
    const words = t`${status}, waited ${waited}, ran ${ran}`;
    return parts.length > 1 ? `${t`attempt ${part.attempt}`}: ${words}` : words;
  });
  return (
    <div
      id={id}
      role="treeitem"
      className="waterfall-line"
      aria-level={level + 1}
      aria-posinset={index + 1}
      aria-setsize={count}
      aria-selected={here}
      aria-label={`${name}, ${told.join("; ")}`}
      data-status={task.status}
      data-active={active || undefined}
      style={{ transform: `translateY(${top}px)` }}
      onPointerEnter={() => onTell(index)}
      onClick={() => changeView({ task: task.task_id })}
    >
      <span className="waterfall-name" style={{ paddingInlineStart: Math.min(level, DEEPEST) * 10 }}>
        <Icon name={task.status} />
        <span className="cut">{name}</span>
      </span>
      <span className="waterfall-lane">
        {parts.map((part, number) => (
          <Attempt key={number} part={part} seen={seen} />
        ))}
      </span>
    </div>
  );
}

/** One attempt: a thin dashed line while it waited, a bar in the colour of its state while it ran. */
function Attempt({ part, seen }: { part: Part; seen: Span }) {
  const waiting = placeOf(part.from, part.begun ?? part.to, seen);
  const running = part.begun === null ? null : placeOf(part.begun, part.to, seen);
  return (
    <span data-status={part.status} data-attempt={part.attempt} data-open={part.open || undefined}>
      {waiting && <span className="waterfall-bar" data-part="waiting" style={{ insetInlineStart: `${waiting.left}%`, width: `${waiting.width}%` }} />}
      {running && <span className="waterfall-bar" data-part="running" style={{ insetInlineStart: `${running.left}%`, width: `${running.width}%` }} />}
    </span>
  );
}
