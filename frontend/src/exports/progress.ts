import type { Json, Task } from "#/services/types";

export interface Headway {
  rows: number;
  bytes: number;
  /** 0 to 1, where it is known how much there is. */
  share: number | null;
  /** Scripts that have ended, of all; only of a run. */
  done: number | null;
  total: number | null;
}

const number = (value: Json | undefined): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** How far an export is, by what it says of itself; null where it has said nothing yet. */
export function headwayOf(progress: Task["progress"]): Headway | null {
  if (progress === null) return null;
  const share = number(progress.share);
  return {
    rows: number(progress.rows) ?? 0,
    bytes: number(progress.bytes) ?? 0,
    share: share === null ? null : Math.min(1, Math.max(0, share)),
    done: number(progress.done),
    total: number(progress.total),
  };
}

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;

/** Write a size in the language of the page: `512 byte`, `4.5 MB`. */
export function formatBytes(locale: string, bytes: number): string {
  let value = bytes;
  let at = 0;
  while (value >= 999.5 && at < UNITS.length - 1) {
    value /= 1000;
    at += 1;
  }
  const digits = at === 0 || value >= 99.5 ? 0 : 1;
  return new Intl.NumberFormat(locale, { style: "unit", unit: UNITS[at], unitDisplay: "short", maximumFractionDigits: digits }).format(value);
}
