import { useLingui } from "@lingui/react/macro";

import { useExplain } from "#/app/commands";
import { queries, useRoom } from "#/app/room";
import { Icon } from "#/pieces/Icon";
import { say } from "#/pieces/toasts";
import { api } from "#/services/api";
import type { BulkJob } from "#/services/types";
import { formatCount } from "#/texts/format";
import { useLocale } from "#/texts/i18n";

import { shareDone } from "./jobs";

/** How far a job is, what came of its tasks so far, and a button that stops it. */
export function JobProgress({ job }: { job: BulkJob }) {
  const { t } = useLingui();
  const locale = useLocale();
  const { me } = useRoom();
  const explain = useExplain();
  const share = shareDone(job);
  const count = (value: number): string => formatCount(locale, value);
  const [done, failed, skipped, total] = [count(job.done), count(job.failed), count(job.skipped), count(job.total)];
  const title = {
    running: job.command === "retry" ? t`Retrying` : t`Cancelling`,
    completed: job.command === "retry" ? t`Retried` : t`Cancelled`,
    aborted: t`Aborted`,
  }[job.status];
  const abort = async () => {
    try {
      queries.setQueryData(["bulk", job.job_id], await api.abortBulk(job.job_id));
    } catch (error) {
      say("bad", t`The job was not aborted`, explain(error));
    }
  };
  return (
    <div className="job" data-status={job.status}>
      <div className="job-words" role="status">
        <strong>{title}</strong>
        <span>{job.gathered ? t`${done} of ${total} done` : t`gathering: ${total} so far`}</span>
        {job.skipped > 0 && <span className="job-skipped">{t`${skipped} left as they were`}</span>}
        {job.failed > 0 && <span className="job-failed">{t`${failed} not possible`}</span>}
        {job.note && <span className="job-failed">{job.note}</span>}
      </div>
      <progress className="job-bar" aria-label={t`Progress of the job`} max={1} {...(share === null ? {} : { value: share })} />
      {job.status === "running" && me.role !== "viewer" && (
        <button type="button" className="button" onClick={() => void abort()}>
          <Icon name="stop" />
          {t`Abort`}
        </button>
      )}
    </div>
  );
}
