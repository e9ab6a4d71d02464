/** Counts of queues are bounded by the server; from here on they say so. */
export const CAPPED = 10_000;

/** How long ago a moment was, never less than nothing: clocks may differ a little. */
export function ageOf(iso: string | null, now: number): number | null {
  if (iso === null) return null;
  const at = Date.parse(iso);
  return Number.isNaN(at) ? null : Math.max(0, now - at);
}

export type WorkerState = "online" | "lost" | "offline";

/** What to call a worker's state; that one is lost is the server's to say, as it knows the lease. */
export const stateOf = (worker: { status: string; lost: boolean }): WorkerState =>
  worker.lost ? "lost" : worker.status === "offline" ? "offline" : "online";

const ORDER: Record<WorkerState, number> = { lost: 0, online: 1, offline: 2 };

/** Lost ones first, as they want looking after; those that went in peace last. */
export function inOrder<T extends { status: string; lost: boolean; worker: string }>(workers: readonly T[]): T[] {
  return workers.toSorted((a, b) => ORDER[stateOf(a)] - ORDER[stateOf(b)] || a.worker.localeCompare(b.worker));
}
