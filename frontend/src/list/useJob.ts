import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";

import { queries, useRoom } from "#/app/room";
import { api } from "#/services/api";
import type { BulkJob } from "#/services/types";

import { jobStore } from "./jobs";

const AGAIN_MS = 1_000;

/** A job as it is now: asked about once a second while it runs. */
export function useJob(jobId: string, first?: BulkJob): BulkJob | undefined {
  const job = useQuery({
    queryKey: ["bulk", jobId],
    queryFn: ({ signal }) => api.bulkJob(jobId, signal),
    refetchInterval: ({ state }) => (state.data && state.data.status !== "running" ? false : AGAIN_MS),
    ...(first ? { initialData: first } : {}),
  });
  return job.data;
}

/** Find the jobs of one's own that run already: begun before the page was loaded. */
export function useRunningJobs(): void {
  const { me } = useRoom();
  useEffect(() => {
    if (me.role === "viewer") return;
    const control = new AbortController();
    api.bulkJobs(control.signal).then(
      ({ items }) => items.filter((job) => job.status === "running" && job.author === me.user_id).forEach(jobStore.put),
      () => undefined,
    );
    return () => {
      control.abort();
      jobStore.clear();
    };
  }, [me]);
}

export const forgetResults = (jobId: string): void => void queries.invalidateQueries({ queryKey: ["bulk-results", jobId] });
