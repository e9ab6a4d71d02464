import { useLingui } from "@lingui/react/macro";
import { lazy, Suspense, useCallback, useMemo, useRef, useState } from "react";

import { useCommands } from "#/app/commands";
import { useRoom } from "#/app/room";
import { useKeys } from "#/app/useKeys";
import { changeView, currentView, formatView, parseView, queryOf, useView } from "#/app/view";
import { questionStore } from "#/pieces/confirm";

import { Filters } from "./Filters";
import { Grid } from "./Grid";
import type { GridHandle } from "./Grid";
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
  const [marked, setMarked] = useState<string | null>(view.task);
  const grid = useRef<GridHandle>(null);
  const search = useRef<HTMLInputElement>(null);
  const commands = useCommands();
  const cursor = marked !== null && list.has(marked) ? marked : view.task;

  const open = useCallback((taskId: string) => {
    setMarked(taskId);
    changeView({ task: taskId });
  }, []);
  const close = useCallback(() => {
    changeView({ task: null });
    grid.current?.focus();
  }, []);

  const showNew = useCallback(() => {
    list.settle();
    grid.current?.show(0);
  }, [list]);

  const move = (step: number) => {
    const { ids } = list.snapshot();
    const at = cursor === null ? -1 : ids.indexOf(cursor);
    const next = Math.max(0, Math.min(ids.length - 1, at + step));
    const taskId = ids[next];
    if (taskId === undefined) return;
    setMarked(taskId);
    grid.current?.show(next);
    if (currentView().task !== null) changeView({ task: taskId }, "replace");
  };
  const target = view.task ?? cursor;
  const withTask = (give: "retry" | "cancel") => {
    const task = target === null ? undefined : room.rows.get(target);
    if (!task || room.me.role === "viewer") return;
    if (give === "retry" ? task.status === "failed" : ["pending", "in_progress"].includes(task.status)) void commands[give](task);
  };
  useKeys({
    enabled: () => !quiet && questionStore.snapshot() === null,
    down: () => move(1),
    up: () => move(-1),
    open: () => cursor !== null && open(cursor),
    close: () => currentView().task !== null && close(),
    search: () => search.current?.focus(),
    retry: () => withTask("retry"),
    cancel: () => withTask("cancel"),
    keys: onKeys,
  });

  const filtered = query.status.length > 0 || [query.name, query.user, query.kind, query.queue, query.search].some(Boolean);
  return (
    <div className="areas" data-detail={view.task !== null || undefined}>
      <section className="list" aria-label={t`Tasks`}>
        <Filters view={view} searchRef={search} held={state.held} onShowNew={showNew} />
        <Grid
          ref={grid}
          list={list}
          state={state}
          sort={view.sort}
          selected={view.task}
          cursor={cursor}
          onOpen={open}
          filtered={filtered}
        />
      </section>
      {view.task !== null && (
        <Suspense fallback={<section className="detail" aria-busy="true" />}>
          <Detail key={view.task} taskId={view.task} onClose={close} />
        </Suspense>
      )}
    </div>
  );
}
