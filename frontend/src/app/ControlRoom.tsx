import { useLingui } from "@lingui/react/macro";
import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";

import { Header } from "#/header/Header";
import { PausedBar } from "#/header/PausedBar";
import { Filters } from "#/list/Filters";
import { Grid } from "#/list/Grid";
import type { GridHandle } from "#/list/Grid";
import { useTaskList } from "#/list/useTaskList";
import { questionStore } from "#/pieces/confirm";
import { api } from "#/services/api";

import { useCommands } from "./commands";
import { useRoom } from "./room";
import { useKeys } from "./useKeys";
import { changeView, currentView, queryOf, useView } from "./view";

// Fetched when they are first wanted, so that the first page is light.
const Detail = lazy(() => import("#/detail/Detail"));
const Confirm = lazy(() => import("#/pieces/Confirm"));
const KeySheet = lazy(() => import("./KeySheet"));

/** The three areas: figures above, the list, and beside it the task that was opened. */
export function ControlRoom({ onLeave }: { onLeave: () => Promise<void> }) {
  const { t } = useLingui();
  const room = useRoom();
  const view = useView();
  const query = useMemo(() => queryOf(view), [view]);
  const [list, state] = useTaskList(query);
  const [marked, setMarked] = useState<string | null>(view.task);
  const [sheet, setSheet] = useState(false);
  const grid = useRef<GridHandle>(null);
  const search = useRef<HTMLInputElement>(null);
  const commands = useCommands();
  const question = useSyncExternalStore(questionStore.subscribe, questionStore.snapshot);
  const cursor = marked !== null && list.has(marked) ? marked : view.task;

  useEffect(() => {
    // Refused the stream, we ask who we are: where nobody is signed in any more, the answer leads to the sign-in.
    const unfollow = room.feed.follow({ refused: () => void api.summary().catch(() => undefined) });
    room.feed.start();
    return () => {
      unfollow();
      room.feed.stop();
    };
  }, [room]);

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
    enabled: () => !sheet && questionStore.snapshot() === null,
    down: () => move(1),
    up: () => move(-1),
    open: () => cursor !== null && open(cursor),
    close: () => currentView().task !== null && close(),
    search: () => search.current?.focus(),
    retry: () => withTask("retry"),
    cancel: () => withTask("cancel"),
    keys: () => setSheet(true),
  });

  const filtered = query.status.length > 0 || [query.name, query.user, query.kind, query.queue, query.search].some(Boolean);
  return (
    <div className="room" data-detail={view.task !== null || undefined}>
      <Header onLeave={onLeave} onKeys={() => setSheet(true)} />
      <PausedBar />
      <main className="areas">
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
      </main>
      <Suspense fallback={null}>
        {question && <Confirm question={question} />}
        {sheet && <KeySheet onClose={() => setSheet(false)} />}
      </Suspense>
    </div>
  );
}
