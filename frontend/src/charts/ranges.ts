/** The lengths of time that charts are drawn over. */
export const RANGES = ["1h", "6h", "24h", "7d", "30d"] as const;
export type Range = (typeof RANGES)[number];

const HOUR = 3_600_000;
const LENGTHS: Record<Range, number> = { "1h": HOUR, "6h": 6 * HOUR, "24h": 24 * HOUR, "7d": 168 * HOUR, "30d": 720 * HOUR };

export const lengthOf = (range: Range): number => LENGTHS[range];
export const isRange = (text: string | null): text is Range => (RANGES as readonly (string | null)[]).includes(text);

/** How often a chart is read anew: often where a point is a minute, seldom where it is hours. */
export const againAfter = (range: Range): number => (LENGTHS[range] <= 6 * HOUR ? 4_000 : 30_000);

/** The shortest range from now back that has both ends in it. */
export function rangeAround(since: number, now: number): Range {
  return RANGES.find((range) => since >= now - LENGTHS[range]) ?? "30d";
}

/** Which steps [first, last] of a chart lie between two moments; all where there is no bound. */
export function stepsBetween(times: readonly number[], step: number, since: number | null, until: number | null): [number, number] {
  const most = Math.max(0, times.length - 1);
  const first = since === null ? 0 : times.findIndex((at) => at + step > since);
  const end = until === null ? most : times.findLastIndex((at) => at < until);
  const begin = first === -1 ? most : first;
  return [begin, Math.max(begin, end === -1 ? 0 : end)];
}
