import { useLingui } from "@lingui/react/macro";
import { useCallback, useEffect, useImperativeHandle, useRef, useSyncExternalStore } from "react";
import type { CSSProperties, Ref } from "react";

import { useExplain } from "#/app/commands";
import { changeView, NO_FILTERS } from "#/app/view";
import type { ListState, TaskList } from "#/live/list";
import { Icon } from "#/pieces/Icon";

import { useChosenColumns } from "./chosen";
import { COMPACT_BELOW, columnsFor, leastWidth, nextSort } from "./columns";
import type { Column } from "./columns";
import { Row } from "./Row";
import { NAMED_MOST } from "./selection";
import type { Selection } from "./selection";
import { useWidth, useWindow } from "./useWindow";

const ROW = 36;
const ROW_COMPACT = 60;
const NEAR_END = 400; // rows below the window at which the next page is fetched
const NEAR_END_AT_TOP = 100; // and before anybody has scrolled: the first page is not held up by the second
const COMPACT_COLUMNS = 720; // in two lines a task has those of a list so wide
const PICK = 20; // the width of the boxes that select
const GAP = 12;
const EDGES = 32;
const HANDS_OFF_MS = 4_000; // after a key was pressed on the list

export interface GridHandle {
  focus: () => void;
  show: (index: number) => void;
}

interface Props {
  list: TaskList;
  state: ListState;
  sort: string;
  selected: string | null;
  cursor: string | null;
  onOpen: (taskId: string) => void;
  /** Null where nothing may be commanded, and so nothing is selected. */
  onPick: ((taskId: string, range: boolean) => void) | null;
  selection: Selection;
  filtered: boolean;
  ref: Ref<GridHandle>;
}

export function Grid({ list, state, sort, selected, cursor, onOpen, onPick, selection, filtered, ref }: Props) {
  const { t } = useLingui();
  const scroller = useRef<HTMLDivElement>(null);
  const width = useWidth(scroller);
  const compact = width < COMPACT_BELOW;
  const chosen = useChosenColumns();
  const rowHeight = compact ? ROW_COMPACT : ROW;
  const columns = columnsFor(compact ? COMPACT_COLUMNS : width, compact ? null : chosen);
  const stable = useStable(columns);
  const { ids } = state;
  const seen = useWindow(scroller, ids.length, rowHeight);
  const picking = useSyncExternalStore(selection.subscribe, () => !selection.isEmpty());
  const opened = selected !== null && list.has(selected);
  useCalm(list, scroller, rowHeight, picking || opened);

  useEffect(() => {
    scroller.current?.scrollTo({ top: 0 }); // another question, another list
  }, [list]);
  useEffect(() => {
    const near = seen.first === 0 ? NEAR_END_AT_TOP : NEAR_END;
    if (state.more && seen.last + near >= ids.length) void list.extend();
  }, [list, state.more, seen.first, seen.last, ids.length]);

  useImperativeHandle(ref, () => ({
    focus: () => scroller.current?.focus({ preventScroll: true }),
    show: (index) => {
      const element = scroller.current;
      if (!element) return;
      const head = compact ? 0 : ROW;
      const top = index * rowHeight;
      if (top < element.scrollTop) element.scrollTop = top;
      else if (top + rowHeight + head > element.scrollTop + element.clientHeight)
        element.scrollTop = top + rowHeight + head - element.clientHeight;
    },
  }));

  const cursorAt = cursor === null ? -1 : ids.indexOf(cursor);
  const pick = onPick ? [`${PICK}px`] : [];
  const tracks = {
    "--tracks": [...pick, ...stable.map((column) => column.width)].join(" "),
    "--least": compact || !chosen ? "0" : `${leastWidth(stable, GAP, EDGES) + (onPick ? PICK + GAP : 0)}px`,
  } as CSSProperties;
  const first = onPick ? 2 : 1;
  const waiting = state.phase === "loading" && ids.length === 0;
  return (
    <div className="grid-frame">
      <div
        ref={scroller}
        className="grid"
        role="grid"
        tabIndex={0}
        aria-label={t`Tasks`}
        aria-rowcount={state.more ? -1 : ids.length + 1}
        aria-colcount={stable.length + first - 1}
        aria-multiselectable={onPick !== null}
        aria-busy={waiting}
        aria-activedescendant={cursorAt >= seen.first && cursorAt < seen.last ? `task-row-${cursorAt}` : undefined}
        data-compact={compact || undefined}
        data-pick={onPick !== null || undefined}
        style={tracks}
      >
        <div role="rowgroup" className="grid-head">
          <div role="row" aria-rowindex={1} className="row-head">
            {onPick && <PickAll selection={selection} ids={ids} />}
            {stable.map((column, at) => (
              <Title key={column.id} column={column} at={at + first} sort={sort} />
            ))}
          </div>
        </div>
        <div role="rowgroup" className="grid-body" style={{ height: ids.length * rowHeight }}>
          <div className="grid-slice" role="presentation" style={{ transform: `translateY(${seen.first * rowHeight}px)` }}>
            {ids.slice(seen.first, seen.last).map((taskId, at) => (
              <Row
                key={taskId}
                taskId={taskId}
                columns={stable}
                index={seen.first + at}
                selected={taskId === selected}
                cursor={taskId === cursor}
                leaving={list.isLeaving(taskId)}
                onOpen={onOpen}
                onPick={onPick}
                selection={selection}
              />
            ))}
          </div>
        </div>
      </div>
      {waiting && <div className="grid-waiting" role="status" aria-label={t`Loading…`}><div className="skeleton" /></div>}
      {state.phase === "failed" && <Failed error={state.error} onAgain={() => void list.reload()} />}
      {state.phase === "ready" && ids.length === 0 && <Empty filtered={filtered} />}
    </div>
  );
}

/** Keep the same array while it says the same, so that rows need not be drawn again. */
function useStable(columns: readonly Column[]): readonly Column[] {
  const kept = useRef(columns);
  if (kept.current.length !== columns.length || kept.current.some((column, at) => column !== columns[at])) kept.current = columns;
  return kept.current;
}

/** Tell the list when nobody's eye or hand is on it: no pointer over it, at its top, nothing chosen, no key of late. */
function useCalm(list: TaskList, scroller: { current: HTMLDivElement | null }, rowHeight: number, chosen: boolean): void {
  const hand = useRef("");
  const touched = useRef(-Infinity);
  const look = useCallback(
    (over: boolean, keyAt: number) => {
      const top = (scroller.current?.scrollTop ?? 0) < rowHeight;
      list.setCalm(!over && !chosen && top && performance.now() - keyAt > HANDS_OFF_MS);
    },
    [list, scroller, rowHeight, chosen],
  );
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    let over = element.matches(":hover") && hand.current !== "touch";
    let keyAt = touched.current;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const tell = () => look(over, keyAt);
    const on = (event: PointerEvent) => {
      hand.current = event.pointerType;
      if (event.pointerType === "touch") return; // a finger that has lifted points at nothing
      over = event.type !== "pointerleave";
      tell();
    };
    const key = () => {
      keyAt = touched.current = performance.now();
      clearTimeout(timer);
      timer = setTimeout(tell, HANDS_OFF_MS + 50);
      tell();
    };
    tell();
    element.addEventListener("pointerenter", on);
    element.addEventListener("pointermove", on, { passive: true });
    element.addEventListener("pointerleave", on);
    element.addEventListener("scroll", tell, { passive: true });
    element.addEventListener("keydown", key);
    return () => {
      clearTimeout(timer);
      element.removeEventListener("pointerenter", on);
      element.removeEventListener("pointermove", on);
      element.removeEventListener("pointerleave", on);
      element.removeEventListener("scroll", tell);
      element.removeEventListener("keydown", key);
    };
  }, [scroller, look]);
}

/** Select all that are on the page, or nothing. */
function PickAll({ selection, ids }: { selection: Selection; ids: readonly string[] }) {
  const { t } = useLingui();
  const { all, ids: picked } = useSyncExternalStore(selection.subscribe, selection.snapshot);
  const whole = all || (picked.size > 0 && picked.size >= Math.min(ids.length, NAMED_MOST));
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (box.current) box.current.indeterminate = !whole && picked.size > 0;
  });
  return (
    <div role="columnheader" aria-colindex={1} className="cell cell-pick">
      <input
        ref={box}
        type="checkbox"
        checked={whole}
        aria-label={t`Select all on the page`}
        onChange={() => (whole ? selection.clear() : selection.only(ids))}
      />
    </div>
  );
}

function Title({ column, at, sort }: { column: Column; at: number; sort: string }) {
  const { i18n } = useLingui();
  const { sort: key } = column;
  const sorted = key !== null && sort.replace(/^-/, "") === key;
  const down = sort.startsWith("-");
  return (
    <div
      role="columnheader"
      aria-colindex={at}
      aria-sort={sorted ? (down ? "descending" : "ascending") : key === null ? undefined : "none"}
      className={`cell cell-${column.id}`}
    >
      {key === null ? (
        <span className="title">{i18n._(column.title)}</span>
      ) : (
        <button type="button" className="title" onClick={() => changeView({ sort: nextSort(sort, key) })}>
          {i18n._(column.title)}
          {sorted && <Icon name={down ? "down" : "up"} />}
        </button>
      )}
    </div>
  );
}

function Empty({ filtered }: { filtered: boolean }) {
  const { t } = useLingui();
  return (
    <div className="grid-note">
      <strong>{filtered ? t`No task fits these filters` : t`No tasks yet`}</strong>
      {filtered ? (
        <button
          type="button"
          className="button"
          onClick={() => changeView(NO_FILTERS)}
        >
          {t`Clear filters`}
        </button>
      ) : (
        <p>{t`They appear here as soon as your application sends them.`}</p>
      )}
    </div>
  );
}

function Failed({ error, onAgain }: { error: unknown; onAgain: () => void }) {
  const { t } = useLingui();
  const explain = useExplain();
  return (
    <div className="grid-note" role="alert">
      <strong>{t`The list could not be read`}</strong>
      <p>{explain(error)}</p>
      <button type="button" className="button" onClick={onAgain}>{t`Try again`}</button>
    </div>
  );
}
