import { useLingui } from "@lingui/react/macro";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useReducer, useRef, useState } from "react";
import type { KeyboardEvent, PointerEvent } from "react";

import { useRoom } from "#/app/room";
import { changeView } from "#/app/view";
import { Icon } from "#/pieces/Icon";
import { usePrinting } from "#/pieces/usePrinting";
import type { Task } from "#/services/types";
import { useDuration } from "#/texts/i18n";

import { barOf, marks, moved, placeOf, spanOf, within, zoomed } from "./bars";
import type { Span } from "./bars";
import { Line } from "./Line";
import { Told } from "./Told";
import { useNow } from "./useNow";
import "./waterfall.css";

const ROW = 24;
const PRINTED_MOST = 200; // lines that go on paper, as many as the tree above has
const MARKS = 5;
const OFTEN_MS = 250;
const SELDOM_MS = 1_000;
const LONG_MS = 60_000; // a tree that takes longer is seen to grow by the second

interface Props {
  leaves: readonly { task: Task; level: number }[];
  /** The task that is open. */
  here: string;
  more: boolean;
}

/** A task's tree over time: for each task how long it waited and how long it ran, bars growing while they go on. */
export default function Waterfall({ leaves, here, more }: Props) {
  const { t } = useLingui();
  const duration = useDuration();
  const tasks = useFresh(leaves);
  const going = tasks.some((task) => task.status === "pending" || task.status === "in_progress");
  const first = tasks.reduce((least, task) => Math.min(least, Date.parse(task.created_at)), Infinity);
  const now = useNow(going, Date.now() - first > LONG_MS ? SELDOM_MS : OFTEN_MS);
  const bars = useMemo(() => tasks.map((task) => barOf(task, now)), [tasks, now]);
  const whole = useMemo(() => spanOf(bars), [bars]);
  const [chosen, setChosen] = useState<Span | null>(null);
  const seen = chosen === null ? whole : within(chosen, whole);
  const [active, setActive] = useState(() => Math.max(0, leaves.findIndex((leaf) => leaf.task.task_id === here)));
  const [told, setTold] = useState<number | null>(null);
  const [large, setLarge] = useState(false);
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({ count: leaves.length, getScrollElement: () => scroller.current, estimateSize: () => ROW, overscan: 12 });

  const zoom = (times: number, around = (seen.from + seen.to) / 2) => {
    const next = zoomed(seen, whole, times, around);
    setChosen(next.to - next.from >= whole.to - whole.from ? null : next);
  };
  const go = (to: number) => {
    const next = Math.max(0, Math.min(leaves.length - 1, to));
    setActive(next);
    setTold(next);
    rows.scrollToIndex(next);
  };
  const onKey = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 240) / ROW) - 1);
    const actions: Record<string, () => void> = {
      ArrowDown: () => go(active + 1),
      ArrowUp: () => go(active - 1),
      PageDown: () => go(active + page),
      PageUp: () => go(active - page),
      Home: () => go(0),
      End: () => go(leaves.length - 1),
      ArrowLeft: () => chosen && setChosen(moved(seen, whole, -0.2)),
      ArrowRight: () => chosen && setChosen(moved(seen, whole, 0.2)),
      "+": () => zoom(1.6),
      "=": () => zoom(1.6),
      "-": () => zoom(1 / 1.6),
      "0": () => setChosen(null),
      Enter: () => leaves[active] && changeView({ task: leaves[active].task.task_id }),
      ...(large ? { Escape: () => setLarge(false) } : {}),
    };
    const action = event.ctrlKey || event.metaKey || event.altKey ? undefined : actions[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  };
  useWheel(scroller, (event, share) => {
    if (event.ctrlKey || event.metaKey) zoom(event.deltaY < 0 ? 1.25 : 0.8, seen.from + share * (seen.to - seen.from));
    else if (chosen && Math.abs(event.deltaX) > Math.abs(event.deltaY)) setChosen(moved(seen, whole, event.deltaX / 600));
    else return false;
    return true;
  });
  const drag = useDrag((share) => chosen && setChosen(moved(seen, whole, -share)));
  const toldTask = told === null ? undefined : tasks[told];
  const toldBar = told === null ? undefined : bars[told];
  const printing = usePrinting();
  const drawn = printing ? leaves.slice(0, PRINTED_MOST).map((_, index) => ({ index, start: index * ROW })) : rows.getVirtualItems();
  const height = printing ? drawn.length * ROW : rows.getTotalSize();
  const length = duration(whole.to - whole.from);
  return (
    <section className="waterfall" aria-label={t`Waterfall`} data-large={large || undefined}>
      <header className="waterfall-head">
        <h4>{t`Waterfall`}</h4>
        <span className="note">{t`${length} in all`}</span>
        <span className="waterfall-tools">
          <button type="button" className="button-icon" aria-label={t`Closer`} title={`${t`Closer`} (+)`} onClick={() => zoom(1.6)}><Sign plus /></button>
          <button type="button" className="button-icon" aria-label={t`Farther`} title={`${t`Farther`} (−)`} disabled={chosen === null} onClick={() => zoom(1 / 1.6)}><Sign /></button>
          <button type="button" className="button-quiet" disabled={chosen === null} onClick={() => setChosen(null)}>{t`Whole`}</button>
          <button type="button" className="button-icon" aria-pressed={large} aria-label={large ? t`Smaller` : t`Large`} title={large ? t`Smaller` : t`Large`} onClick={() => setLarge(!large)}>
            <Icon name={large ? "close" : "external"} />
          </button>
        </span>
      </header>
      <Ruler seen={seen} beginning={whole.from} />
      <div
        ref={scroller}
        className="waterfall-rows"
        role="tree"
        tabIndex={0}
        aria-label={t`Tasks over time`}
        aria-activedescendant={`waterfall-${active}`}
        onKeyDown={onKey}
        onPointerLeave={() => setTold(null)}
        onBlur={() => setTold(null)}
        {...drag}
      >
        <div className="waterfall-body" role="presentation" style={{ height }}>
          {drawn.map(({ index, start }) => {
            const task = tasks[index];
            const bar = bars[index];
            if (!task || !bar) return null;
            return (
              <Line
                key={task.task_id}
                id={`waterfall-${index}`}
                task={task}
                bar={bar}
                seen={seen}
                level={leaves[index]?.level ?? 0}
                index={index}
                count={leaves.length}
                top={start}
                here={task.task_id === here}
                active={index === active}
                onTell={setTold}
              />
            );
          })}
        </div>
      </div>
      {toldTask && toldBar && <Told task={toldTask} bar={toldBar} beginning={whole.from} />}
      <p className="waterfall-key note">
        <span className="waterfall-sample" data-part="waiting" aria-hidden="true" /> {t`waiting`}
        <span className="waterfall-sample" data-part="running" aria-hidden="true" /> {t`running`}
        {more && <span>{t`Only the first thousand are shown.`}</span>}
      </p>
    </section>
  );
}

/** The tasks as they now are. */
function useFresh(leaves: Props["leaves"]): Task[] {
  const { rows, feed } = useRoom();
  const [version, bump] = useReducer((count: number) => count + 1, 0);
  const ids = useMemo(() => new Set(leaves.map((leaf) => leaf.task.task_id)), [leaves]);
  useEffect(() => feed.follow({ tasks: (tasks) => tasks.some((task) => ids.has(task.task_id)) && bump() }), [feed, ids]);
  // eslint-disable-next-line react-hooks/exhaustive-deps -- the version says when the rows have changed
  return useMemo(() => leaves.map((leaf) => rows.get(leaf.task.task_id) ?? leaf.task), [leaves, rows, version]);
}

function Ruler({ seen, beginning }: { seen: Span; beginning: number }) {
  const duration = useDuration();
  return (
    <div className="waterfall-ruler" aria-hidden="true">
      <div className="waterfall-scale">
        {marks(seen, beginning, MARKS).map((mark) => {
          const place = placeOf(beginning + mark, beginning + mark, seen);
          return place && place.left < 97 && <span key={mark} style={{ insetInlineStart: `${place.left}%` }}>{duration(mark)}</span>;
        })}
      </div>
    </div>
  );
}

function Sign({ plus = false }: { plus?: boolean }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" width="16" height="16" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" aria-hidden="true" focusable="false">
      <path d={plus ? "M3.5 8h9M8 3.5v9" : "M3.5 8h9"} />
    </svg>
  );
}

type OnWheel = (event: WheelEvent, share: number) => boolean;

/** The wheel over the bars; React's own listener could not keep the page from zooming. */
function useWheel(place: { current: HTMLDivElement | null }, onWheel: OnWheel): void {
  const latest = useRef(onWheel);
  useEffect(() => {
    latest.current = onWheel;
  });
  useEffect(() => {
    const element = place.current;
    const listen = (event: WheelEvent) => {
      const scale = element?.parentElement?.querySelector(".waterfall-scale")?.getBoundingClientRect();
      if (!scale) return;
      const share = Math.min(1, Math.max(0, (event.clientX - scale.left) / scale.width));
      if (latest.current(event, share)) event.preventDefault();
    };
    element?.addEventListener("wheel", listen, { passive: false });
    return () => element?.removeEventListener("wheel", listen);
  }, [place]);
}

/** Dragging sideways moves what is seen. */
function useDrag(onMove: (share: number) => unknown) {
  const from = useRef<number | null>(null);
  return {
    onPointerDown: (event: PointerEvent) => {
      if (event.button === 0 && event.pointerType === "mouse") from.current = event.clientX;
    },
    onPointerMove: (event: PointerEvent<HTMLDivElement>) => {
      if (from.current === null || event.buttons === 0) return;
      const by = event.clientX - from.current;
      if (Math.abs(by) < 3) return;
      from.current = event.clientX;
      onMove(by / Math.max(1, event.currentTarget.clientWidth * 0.6));
    },
    onPointerUp: () => {
      from.current = null;
    },
  };
}
