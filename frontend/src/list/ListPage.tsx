import { useLingui } from "@lingui/react/macro";
import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";

import { useCommands } from "#/app/commands";
import { useRoom, useTask } from "#/app/room";
import { useKeys } from "#/app/useKeys";
import { useTitle } from "#/app/useTitle";
import { changeView, currentView, formatView, isFiltered, parseView, queryOf, useView } from "#/app/view";
import { questionStore } from "#/pieces/confirm";
import { visible } from "#/texts/format";

import { BrushStrip, brushIsOpen, hasBrush, keepBrush } from "./BrushStrip";
import { BulkBar } from "./BulkBar";
import { Filters } from "./Filters";
import { Grid } from "./Grid";
import type { GridHandle } from "./Grid";
import { JobStrip } from "./JobStrip";
import { ListBar } from "./ListBar";
import { Selection } from "./selection";
import { StandStill } from "./StandStill";
import { useBulk } from "./useBulk";
import { useCounts } from "./useCounts";
import { useTaskList } from "./useTaskList";

// Fetched when it is first wanted, so that the first page is light.
const Detail = lazy(() => import("#/detail/Detail"));

interface Props {
  /** Whether keys are for the page: not while a sheet lies over it. */
  quiet: boolean;
  onKeys: () => void;
}

/** The list, and beside it the task that was opened. */
export function ListPage({ quiet, onKeys }: Props) {
  const { t } = useLingui();
  const room = useRoom();
  const view = useView();
  const asked = formatView({ ...view, task: null });
  const query = useMemo(() => queryOf(parseView(asked)), [asked]); // a distance in time is counted from here on
  const [list, state] = useTaskList(query);
  const hold = useSyncExternalStore(room.feed.onHold, room.feed.holdState);
  const counts = useCounts(query);
  const selection = useMemo(() => new Selection(), [list]); // eslint-disable-line react-hooks/exhaustive-deps -- another list, another selection
  const picked = useSyncExternalStore(selection.subscribe, selection.snapshot);
  const [marked, setMarked] = useState<string | null>(view.task);
  const [chart, setChart] = useState(brushIsOpen);
  const grid = useRef<GridHandle>(null);
  const search = useRef<HTMLInputElement>(null);
  const commands = useCommands();
  const bulk = useBulk({ selection, query, counts });
  const commander = room.me.role !== "viewer";
  const cursor = marked !== null && list.has(marked) ? marked : view.task;
  const { ids } = state;

  useEffect(() => list.setFrozen(hold !== null), [list, hold]);
  useEffect(() => () => room.feed.setHold(false), [room]);

  const open = useCallback((taskId: string) => {
    setMarked(taskId);
    changeView({ task: taskId });
  }, []);
  const close = useCallback(() => {
    changeView({ task: null });
    grid.current?.focus();
  }, []);
  const pick = useCallback(
    (taskId: string, range: boolean) => {
      setMarked(taskId);
      const onPage = list.snapshot().ids;
      if (range) selection.extend(taskId, onPage);
      else selection.toggle(taskId, onPage);
    },
    [list, selection],
  );

  const showNew = useCallback(() => {
    room.feed.letGo();
    list.settle();
    grid.current?.show(0);
  }, [list, room]);

  const step = (by: number): string | undefined => {
    const at = cursor === null ? -1 : ids.indexOf(cursor);
    const next = Math.max(0, Math.min(ids.length - 1, at + by));
    const taskId = ids[next];
    if (taskId === undefined) return undefined;
    setMarked(taskId);
    grid.current?.show(next);
    return taskId;
  };
  const move = (by: number) => {
    const taskId = step(by);
    if (taskId !== undefined && currentView().task !== null) changeView({ task: taskId }, "replace");
  };
  const extend = (by: number) => {
    if (!commander) return;
    if (selection.isEmpty() && cursor !== null) selection.toggle(cursor, ids);
    const taskId = step(by);
    if (taskId !== undefined) selection.extend(taskId, ids);
  };
  const target = view.task ?? cursor;
  const withTask = (give: "retry" | "cancel") => {
    if (!commander) return;
    if (!selection.isEmpty()) {
      void bulk.give(give);
      return;
    }
    const task = target === null ? undefined : room.rows.get(target);
    if (!task) return;
    if (give === "retry" ? task.status === "failed" : ["pending", "in_progress"].includes(task.status)) void commands[give](task);
  };
  const escape = () => {
    if (!selection.isEmpty()) selection.clear();
    else if (currentView().task !== null) close();
  };
  const toggleChart = useCallback(() => {
    keepBrush(!chart);
    setChart(!chart);
  }, [chart]);
  useKeys({
    enabled: () => !quiet && questionStore.snapshot() === null,
    down: () => move(1),
    up: () => move(-1),
    extendDown: () => extend(1),
    extendUp: () => extend(-1),
    open: () => cursor !== null && open(cursor),
    close: escape,
    search: () => search.current?.focus(),
    retry: () => withTask("retry"),
    cancel: () => withTask("cancel"),
    edit: () => document.querySelector<HTMLElement>(".detail [data-edit]")?.click(),
    pick: () => commander && cursor !== null && pick(cursor, false),
    pickAll: () => commander && selection.only(ids),
    hold: () => room.feed.setHold(hold === null),
    showNew,
    list: () => grid.current?.focus(),
    keys: onKeys,
  });

  const opened = useTask(view.task ?? "");
  useTitle(view.task === null ? t`Tasks` : opened?.name ? visible(opened.name) : view.task);

  const at = view.task === null ? -1 : ids.indexOf(view.task);
  return (
    <div className="areas" data-detail={view.task !== null || undefined}>
      <section className="list" aria-label={t`Tasks`}>
        <div className="list-top">
          <ListBar
            view={view}
            counts={counts}
            held={state.held}
            onShowNew={showNew}
            chart={hasBrush ? chart : null}
            onChart={toggleChart}
          />
          {chart && <BrushStrip view={view} />}
          <Filters view={view} searchRef={search} />
          <StandStill />
          {state.partial && (
            <p className="still" role="status">{t`Too much to look through at once: these are the latest that fit. A shorter time finds the rest.`}</p>
          )}
        </div>
        <Grid
          ref={grid}
          list={list}
          state={state}
          sort={view.sort}
          selected={view.task}
          cursor={cursor}
          onOpen={open}
          onPick={commander ? pick : null}
          selection={selection}
          filtered={isFiltered(view)}
        />
        <div className="list-foot">
          {commander && (
            <BulkBar
              selection={selection}
              picked={picked}
              query={query}
              counts={counts}
              onPage={ids}
              more={state.more}
              reach={bulk.reach}
              onGive={(command) => void bulk.give(command)}
            />
          )}
          <JobStrip />
        </div>
      </section>
      {view.task !== null && (
        <Suspense fallback={<section className="detail" aria-busy="true" />}>
          <Detail
            key={view.task}
            taskId={view.task}
            onClose={close}
            place={at < 0 ? null : { at, count: ids.length, more: state.more, onStep: move }}
          />
        </Suspense>
      )}
    </div>
  );
}
