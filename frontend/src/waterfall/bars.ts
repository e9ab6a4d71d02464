import type { Task } from "#/services/types";

/** A task on the line of time, in epoch milliseconds: it waits from `from`, runs from `begun`, and ends at `to`. */
export interface Bar {
  from: number;
  /** Null where it never ran. */
  begun: number | null;
  to: number;
  /** It still goes on, and `to` is now. */
  open: boolean;
}

export interface Span {
  from: number;
  to: number;
}

const at = (iso: string | null): number | null => {
  const time = iso === null ? NaN : Date.parse(iso);
  return Number.isNaN(time) ? null : time;
};

/** Where a task stands now. Clocks of several machines may differ: no part is ever shorter than nothing. */
export function barOf(task: Task, now: number): Bar {
  const open = task.status === "pending" || task.status === "in_progress";
  const from = at(task.created_at) ?? now;
  const started = task.status === "pending" ? null : at(task.started_at);
  const begun = started === null ? null : Math.max(from, started);
  const to = open ? now : (at(task.finished_at) ?? at(task.updated_at) ?? now);
  return { from, begun, to: Math.max(from, begun ?? from, to), open };
}

/** The time that all bars take together; never nothing, so that it can be divided by. */
export function spanOf(bars: readonly Bar[]): Span {
  const from = bars.reduce((least, bar) => Math.min(least, bar.from), Infinity);
  const to = bars.reduce((most, bar) => Math.max(most, bar.to), -Infinity);
  return from === Infinity ? { from: 0, to: 1 } : { from, to: Math.max(to, from + 1) };
}

const SHORTEST_MS = 1;

/** A part of `whole`, seen `times` as close, with the moment `around` staying where it is. */
export function zoomed(seen: Span, whole: Span, times: number, around: number): Span {
  const length = Math.min(whole.to - whole.from, Math.max(SHORTEST_MS, (seen.to - seen.from) / times));
  const share = (around - seen.from) / (seen.to - seen.from);
  return within({ from: around - share * length, to: around + (1 - share) * length }, whole);
}

/** Moved by a share of its length, never beyond the whole. */
export function moved(seen: Span, whole: Span, share: number): Span {
  const by = (seen.to - seen.from) * share;
  return within({ from: seen.from + by, to: seen.to + by }, whole);
}

export function within(seen: Span, whole: Span): Span {
  const length = Math.min(seen.to - seen.from, whole.to - whole.from);
  const from = Math.min(Math.max(seen.from, whole.from), whole.to - length);
  return { from, to: from + length };
}

const UNITS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000];
const LONG = [600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000, 604_800_000];

/** Round distances from the beginning at which the ruler has its marks, at most `most` of them. */
export function marks(seen: Span, beginning: number, most: number): number[] {
  const length = seen.to - seen.from;
  const step = [...UNITS, ...LONG].find((unit) => length / unit <= most) ?? length;
  const found: number[] = [];
  for (let mark = Math.ceil((seen.from - beginning) / step) * step; mark + beginning <= seen.to; mark += step) found.push(mark);
  return found;
}

/** Where a part of time lies in what is seen, in hundredths of its width; null where it is not in sight. */
export function placeOf(from: number, to: number, seen: Span): { left: number; width: number } | null {
  if (to < seen.from || from > seen.to) return null;
  const length = seen.to - seen.from;
  const left = Math.max(0, ((from - seen.from) / length) * 100);
  const right = Math.min(100, ((to - seen.from) / length) * 100);
  return { left, width: Math.max(0, right - left) };
}
