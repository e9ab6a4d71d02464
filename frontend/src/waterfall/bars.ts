import type { Change, Status, Task } from "#/services/types";

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

/** One attempt of a task on the line of time. */
export interface Part extends Bar {
  attempt: number;
  status: Status;
}

/**
 * The attempts of a task, each with its own waiting and running, from its changes of status. A delivery of the same
 * attempt again counts as one of its own. Where nothing is known of them, there is the bar of the whole.
 */
export function partsOf(task: Task, bar: Bar, changes: readonly Change[]): Part[] {
  const groups = new Map<string, Change[]>();
  for (const change of changes) {
    if (change.status === null) continue;
    const key = `${change.attempt}/${change.run}`;
    groups.set(key, [...(groups.get(key) ?? []), change]);
  }
  const found: Part[] = [];
  for (const group of groups.values()) {
    const when = (...wanted: Status[]): number | null =>
      at(group.find((change) => change.status !== null && wanted.includes(change.status))?.timestamp ?? null);
    const earlier = found[found.length - 1];
    const first = when("pending") ?? at(group[0]?.timestamp ?? null) ?? bar.from;
    const from = Math.max(first, earlier?.to ?? first);
    const running = when("in_progress");
    const begun = running === null ? null : Math.max(from, running);
    const ended = when("completed", "failed", "cancelled");
    const to = Math.max(begun ?? from, ended ?? (begun ?? from));
    found.push({ attempt: group[0]?.attempt ?? 1, status: group[group.length - 1]?.status ?? task.status, from, begun, to, open: ended === null });
  }
  // The last one goes on as long as the task does; one before it that never told its end gave way to the next.
  return found.length === 0
    ? [{ ...bar, attempt: task.attempt, status: task.status }]
    : found.map((part, number) => {
        const next = found[number + 1];
        if (next) return part.open ? { ...part, open: false, to: Math.max(part.to, next.from) } : part;
        return { ...part, open: bar.open, status: task.status, to: Math.max(part.begun ?? part.from, bar.to) };
      });
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
