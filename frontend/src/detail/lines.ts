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
