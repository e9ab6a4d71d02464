import type { LogLine } from "#/services/types";

const MOST = 20_000; // lines kept on the page; the oldest give way

/** Join two runs of lines, each in the order of `seq`, so that every line is there once. */
export function joinLines(known: readonly LogLine[], incoming: readonly LogLine[]): readonly LogLine[] {
  if (incoming.length === 0) return known;
  const last = known[known.length - 1]?.seq ?? 0;
  if ((incoming[0]?.seq ?? 0) > last) return [...known, ...incoming].slice(-MOST);
  const bySeq = new Map([...known, ...incoming].map((line) => [line.seq, line]));
  return [...bySeq.values()].sort((a, b) => a.seq - b.seq).slice(-MOST);
}

/** The levels that may be asked for, the lowest first. */
export const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] as const;

const RANKS: Record<string, number> = { TRACE: 0, DEBUG: 0, INFO: 1, NOTICE: 1, WARN: 2, WARNING: 2, ERROR: 3, FATAL: 4, CRITICAL: 4 };

/** Leave lines of a level or above (levels that nobody knows stay), with the words in message or logger. */
export function filterLines(lines: readonly LogLine[], level: string, words: string): readonly LogLine[] {
  const wanted = words.trim().toLowerCase();
  if (level === "" && wanted === "") return lines;
  const least = RANKS[level] ?? 0;
  return lines.filter(
    (line) =>
      (RANKS[line.level.toUpperCase()] ?? least) >= least &&
      (wanted === "" || line.message.toLowerCase().includes(wanted) || line.logger.toLowerCase().includes(wanted)),
  );
}

/** Write lines as a log file has them. */
export const logText = (lines: readonly LogLine[]): string =>
  lines.map((line) => `${line.timestamp} ${line.level.toUpperCase()} ${line.logger}: ${line.message}\n`).join("");
