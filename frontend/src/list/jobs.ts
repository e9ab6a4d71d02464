import type { BulkJob } from "#/services/types";

let jobs: readonly BulkJob[] = [];
const listeners = new Set<() => void>();

function set(next: readonly BulkJob[]): void {
  jobs = next;
  listeners.forEach((listener) => listener());
}

/** The jobs that this page shows at its foot: begun here, or found running. */
export const jobStore = {
  subscribe: (listener: () => void): (() => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  },
  snapshot: (): readonly BulkJob[] => jobs,
  put: (job: BulkJob): void => {
    const known = jobs.some((one) => one.job_id === job.job_id);
    set(known ? jobs.map((one) => (one.job_id === job.job_id ? job : one)) : [...jobs.slice(-3), job]);
  },
  dismiss: (jobId: string): void => set(jobs.filter((one) => one.job_id !== jobId)),
  clear: (): void => set([]),
};

/** How far a job is, from 0 to 1; null while it still gathers its tasks. */
export function shareDone(job: BulkJob): number | null {
  if (job.status !== "running") return 1;
  if (!job.gathered) return null;
  return job.total === 0 ? 1 : (job.done + job.failed + job.skipped) / job.total;
}
