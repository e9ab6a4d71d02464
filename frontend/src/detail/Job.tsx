import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { changeView } from "#/app/view";
import { JobProgress } from "#/list/JobProgress";
import { useJob } from "#/list/useJob";
import { api } from "#/services/api";
import type { BulkResult } from "#/services/types";
import { visible } from "#/texts/format";

const SHOWN = 100;
const READ_MOST = 20; // pages of a thousand

/** What came of each task of a job, what went wrong first. */
async function readResults(jobId: string, running: boolean, signal: AbortSignal): Promise<BulkResult[]> {
  const items: BulkResult[] = [];
  let after: string | null = null;
  for (let pages = 0; pages < READ_MOST; pages += 1) {
    const page = await api.bulkResults(jobId, after, signal);
    items.push(...page.items);
    after = page.next;
    if (after === null) break;
  }
  return failuresFirst(items, running);
}

const RANK: Record<string, number> = { failed: 0, skipped: 1, done: 3 };

/** Order results: failures, then what was left as it was, what waits, what was done, and what an abort never reached. */
export function failuresFirst(items: readonly BulkResult[], running = true): BulkResult[] {
  const rank = ({ result }: BulkResult): number => RANK[result ?? ""] ?? (running ? 2 : 4);
  return [...items].sort((a, b) => rank(a) - rank(b) || a.number - b.number);
}

export default function Job({ jobId }: { jobId: string }) {
  const { t } = useLingui();
  const job = useJob(jobId);
  const [shown, setShown] = useState(SHOWN);
  const through = job ? job.done + job.failed + job.skipped : 0;
  const results = useQuery({
    queryKey: ["bulk-results", jobId, job?.status === "running" ? Math.floor(through / 500) : "ended"],
    queryFn: ({ signal }) => readResults(jobId, job?.status === "running", signal),
    enabled: job !== undefined,
    placeholderData: (before) => before,
  });
  if (!job) return <p className="note">{t`Loading…`}</p>;
  const words: Record<string, string> = {
    done: job.command === "retry" ? t`Retried` : t`Cancelled`,
    failed: t`Not possible`,
    skipped: t`Left as it was`,
  };
  const items = results.data ?? [];
  const rest = items.length - shown;
  return (
    <>
      <JobProgress job={job} />
      <ol className="job-results" aria-label={t`Each task`}>
        {items.slice(0, shown).map((item) => (
          <li key={item.number} data-result={item.result ?? "waiting"}>
            <button type="button" className="link mono" onClick={() => changeView({ task: item.task_id })}>
              {visible(item.task_id.slice(0, 200))}
            </button>
            <span className="job-result">{words[item.result ?? ""] ?? (job.status === "running" ? t`Waits` : t`Not reached`)}</span>
            {item.said && <span className="job-said">{visible(item.said.slice(0, 500))}</span>}
          </li>
        ))}
      </ol>
      {rest > 0 && (
        <button type="button" className="json-more" onClick={() => setShown(shown + SHOWN * 5)}>{t`${rest} more`}</button>
      )}
    </>
  );
}
