import { useEffect, useRef, useState } from "react";

import { figures } from "#/services/figures";
import type { MomentFilter, Turn } from "#/services/figures";
import type { Status } from "#/services/types";

import { played, playedTo, roomOf } from "./playing";
import type { PastRoom } from "./playing";

const TICK_MS = 400;
const SETTLE_MS = 120; // a slider that is being drawn is asked about where it rests
const MOST_PAGES = 5;

interface Past {
  room: PastRoom | null;
  error: unknown;
  busy: boolean;
}

/** The room at a moment, and played forward from it: `onMove` says where playing has come to, and null when it ends. */
export function usePast(at: number, filter: MomentFilter, speed: number | null, onMove: (at: number, ended: boolean) => void): Past {
  const [past, setPast] = useState<Past>({ room: null, error: null, busy: true });
  const latest = useRef({ at, onMove, room: past.room });
  useEffect(() => {
    latest.current = { at, onMove, room: past.room };
  });
  const key = JSON.stringify(filter);
  const shownAt = useRef<string | null>(null);

  useEffect(() => {
    const wanted = `${at}/${key}`;
    if (speed !== null || shownAt.current === wanted) return;
    const control = new AbortController();
    setPast((before) => ({ ...before, busy: true }));
    const timer = setTimeout(() => {
      figures.moment(new Date(at).toISOString(), JSON.parse(key) as MomentFilter, null, control.signal).then(
        (moment) => {
          shownAt.current = wanted;
          setPast({ room: roomOf(moment), error: null, busy: false });
        },
        (error: unknown) => control.signal.aborted || setPast((before) => ({ ...before, error, busy: false })),
      );
    }, SETTLE_MS);
    return () => {
      clearTimeout(timer);
      control.abort();
    };
  }, [at, key, speed]);

  useEffect(() => {
    if (speed === null) return;
    const control = new AbortController();
    const stopped = (): boolean => control.signal.aborted;
    const asked = JSON.parse(key) as MomentFilter;
    const fits = (status: Status): boolean => asked.status === "" || asked.status.split(",").includes(status);
    const play = async () => {
      let now = latest.current.at;
      let room = latest.current.room ?? roomOf(await figures.moment(new Date(now).toISOString(), asked, null, control.signal));
      let before = performance.now();
      while (!stopped()) {
        await new Promise((resolve) => setTimeout(resolve, TICK_MS));
        const passed = performance.now() - before;
        before = performance.now();
        const to = playedTo(now, passed, speed, Date.now());
        room = await forward(room, now, to, asked, fits, control.signal);
        const ended = to <= now || to >= Date.now() - TICK_MS;
        now = to;
        if (stopped()) return;
        shownAt.current = null;
        setPast({ room, error: null, busy: false });
        latest.current.onMove(now, ended);
        if (ended) return;
      }
    };
    play().catch((error: unknown) => {
      if (stopped()) return;
      setPast((was) => ({ ...was, error, busy: false }));
      latest.current.onMove(latest.current.at, true);
    });
    return () => control.abort();
  }, [speed, key]);
  return past;
}

/** Play from one moment to another: change by change, or where too much happened, by reading the room anew. */
async function forward(
  room: PastRoom,
  from: number,
  to: number,
  filter: MomentFilter,
  fits: (status: Status) => boolean,
  signal: AbortSignal,
): Promise<PastRoom> {
  const [begin, end] = [new Date(from).toISOString(), new Date(to).toISOString()];
  const turns: Turn[] = [];
  let cursor: string | null = null;
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    const { status: _status, ...rest } = filter;
    const page = await figures.turns(begin, end, rest, cursor, signal);
    turns.push(...page.items);
    cursor = page.next;
    if (cursor === null) return played(room, turns, end, fits);
  }
  return roomOf(await figures.moment(end, filter, null, signal));
}
