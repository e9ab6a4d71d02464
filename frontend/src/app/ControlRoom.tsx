import { lazy, Suspense, useEffect, useState, useSyncExternalStore } from "react";

import { Header } from "#/header/Header";
import { PausedBar } from "#/header/PausedBar";
import { ListPage } from "#/list/ListPage";
import { Navigation } from "#/nav/Navigation";
import { questionStore } from "#/pieces/confirm";
import { api } from "#/services/api";

import { PageOutlet } from "./PageOutlet";
import { findPage, maySee, PAGES } from "./pages";
import { goTo, hrefTo, usePlace } from "./place";
import { useRoom } from "./room";
import { usePageKeys } from "./usePageKeys";

// Fetched when they are first wanted, so that the first page is light.
const Confirm = lazy(() => import("#/pieces/Confirm"));
const KeySheet = lazy(() => import("./KeySheet"));
const Palette = lazy(() => import("./Palette"));

/** What stays through all pages: figures above, the way between pages, questions and sheets over them. */
export function ControlRoom({ onLeave }: { onLeave: () => Promise<void> }) {
  const room = useRoom();
  const [sheet, setSheet] = useState(false);
  const [palette, setPalette] = useState(false);
  const question = useSyncExternalStore(questionStore.subscribe, questionStore.snapshot);
  const found = findPage(usePlace().path);
  const here = found?.entry ?? null;

  useEffect(() => {
    // Refused the stream, we ask who we are: where nobody is signed in any more, the answer leads to the sign-in.
    const unfollow = room.feed.follow({ refused: () => void api.summary().catch(() => undefined) });
    room.feed.start();
    return () => {
      unfollow();
      room.feed.stop();
    };
  }, [room]);

  usePageKeys(
    (letter) => {
      const entry = PAGES.find((one) => one.key === letter && maySee(one, room.me));
      if (entry) goTo(hrefTo(entry.path));
      return entry !== undefined;
    },
    () => setSheet(true),
  );

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.code !== "KeyK" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
      event.preventDefault();
      if (questionStore.snapshot() === null) setPalette((now) => !now);
    };
    addEventListener("keydown", onKey, true);
    return () => removeEventListener("keydown", onKey, true);
  }, []);

  return (
    <div className="room">
      <Header onLeave={onLeave} onKeys={() => setSheet(true)} />
      <PausedBar />
      <Navigation here={here} />
      <main className="main">
        {here?.path === "" ? <ListPage quiet={sheet || palette} onKeys={() => setSheet(true)} /> : <PageOutlet entry={here} rest={found?.rest ?? ""} />}
      </main>
      <Suspense fallback={null}>
        {question && <Confirm question={question} />}
        {palette && <Palette onClose={() => setPalette(false)} onKeys={() => setSheet(true)} onLeave={onLeave} />}
        {sheet && <KeySheet onClose={() => setSheet(false)} />}
      </Suspense>
    </div>
  );
}
