import { useLingui } from "@lingui/react/macro";
import { memo, useSyncExternalStore } from "react";

import { changeView } from "#/app/view";
import { Icon } from "#/pieces/Icon";
import type { BulkJob } from "#/services/types";

import { JobProgress } from "./JobProgress";
import { jobStore } from "./jobs";
import { useJob, useRunningJobs } from "./useJob";

/** The jobs of many commands that were begun here or still run, each with how far it is. */
export const JobStrip = memo(function JobStrip() {
  useRunningJobs();
  const jobs = useSyncExternalStore(jobStore.subscribe, jobStore.snapshot);
  return jobs.map((job) => <Job key={job.job_id} first={job} />);
});

function Job({ first }: { first: BulkJob }) {
  const { t } = useLingui();
  const job = useJob(first.job_id, first) ?? first;
  const running = job.status === "running";
  return (
    <div className="job-strip" role="group" aria-label={t`Job`}>
      <JobProgress job={job} />
      <button type="button" className="button" onClick={() => changeView({ task: job.job_id })}>{t`Each task`}</button>
      {!running && (
        <button type="button" className="button-icon" aria-label={t`Dismiss`} onClick={() => jobStore.dismiss(job.job_id)}>
          <Icon name="close" />
        </button>
      )}
    </div>
  );
}
