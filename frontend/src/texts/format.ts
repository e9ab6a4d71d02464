/** Numbers and times, written for the eye. Pure, so that they can be tested; the language comes in by its tag. */

const memo = <T>(make: (locale: string) => T): ((locale: string) => T) => {
  const made = new Map<string, T>();
  return (locale) => {
    const known = made.get(locale) ?? make(locale);
    made.set(locale, known);
    return known;
  };
};

const whole = memo((locale) => new Intl.NumberFormat(locale, { maximumFractionDigits: 0 }));
const tenths = memo((locale) => new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 }));
const percent = memo((locale) => new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 }));
const clock = memo((locale) => new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }));
const day = memo((locale) => new Intl.DateTimeFormat(locale, { day: "2-digit", month: "short" }));
const dayOfYear = memo((locale) => new Intl.DateTimeFormat(locale, { day: "2-digit", month: "short", year: "numeric" }));
const full = memo((locale) => new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium", hour12: false }));

export const formatCount = (locale: string, value: number): string => whole(locale).format(value);
export const formatPercent = (locale: string, value: number): string => percent(locale).format(value);

export interface Units {
  ms: string;
  s: string;
  min: string;
  h: string;
  d: string;
}

/** Write a duration with the two units that matter: `340 ms`, `1.2 s`, `3 min 05 s`, `2 h 04 min`, `3 d 07 h`. */
export function formatDuration(locale: string, units: Units, ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return "–";
  if (ms < 999.5) return `${whole(locale).format(ms)} ${units.ms}`;
  if (ms < 59_950) return `${tenths(locale).format(ms / 1000)} ${units.s}`;
  const seconds = Math.round(ms / 1000);
  const two = (value: number): string => String(value).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)} ${units.min} ${two(seconds % 60)} ${units.s}`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} ${units.h} ${two(minutes % 60)} ${units.min}`;
  const hours = Math.floor(minutes / 60);
  return `${whole(locale).format(Math.floor(hours / 24))} ${units.d} ${two(hours % 24)} ${units.h}`;
}

/** Write a duration that grows, in whole seconds. */
export function formatTicking(locale: string, units: Units, ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return seconds < 60 ? `${seconds} ${units.s}` : formatDuration(locale, units, seconds * 1000);
}

/** Write a length that is whole in its unit, such as the step of a chart. */
export function formatWhole(locale: string, units: Units, ms: number): string {
  for (const [length, unit] of [[86_400_000, units.d], [3_600_000, units.h], [60_000, units.min], [1000, units.s]] as const) {
    if (ms >= length && ms % length === 0) return `${whole(locale).format(ms / length)} ${unit}`;
  }
  return formatDuration(locale, units, ms);
}

/** Write how many a second: below ten with a tenth. */
export const formatRate = (locale: string, value: number): string =>
  (value < 9.95 && value > 0 ? tenths(locale) : whole(locale)).format(value);

/** Write a moment: the time alone today, the day with it earlier, the year with it in another year. */
export function formatMoment(locale: string, iso: string, now: number): string {
  const moment = new Date(iso);
  if (Number.isNaN(moment.getTime())) return iso;
  const today = new Date(now);
  const time = clock(locale).format(moment);
  if (moment.toDateString() === today.toDateString()) return time;
  const date = moment.getFullYear() === today.getFullYear() ? day(locale) : dayOfYear(locale);
  return `${date.format(moment)} ${time}`;
}

export const formatClock = (locale: string, when: number | Date): string => clock(locale).format(when);

/** Write a moment in full, with its milliseconds, as for a title or a history. */
export function formatFull(locale: string, iso: string): string {
  const moment = new Date(iso);
  return Number.isNaN(moment.getTime()) ? iso : full(locale).format(moment);
}

/** Write the time of a log line: to the millisecond. */
export function formatLogTime(iso: string): string {
  const moment = new Date(iso);
  if (Number.isNaN(moment.getTime())) return iso;
  const two = (value: number, digits = 2): string => String(value).padStart(digits, "0");
  return `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}.${two(moment.getMilliseconds(), 3)}`;
}

const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g;
const TURNERS = /[\u202a-\u202e\u2066-\u2069\u200e\u200f]/g;

/** Make the invisible visible: control characters as their pictures, and those that turn what follows as ␦. */
export function visible(text: string): string {
  return text
    .replace(CONTROLS, (one) => (one === "\u007f" ? "␡" : String.fromCharCode(0x2400 + one.charCodeAt(0))))
    .replace(TURNERS, "␦");
}
