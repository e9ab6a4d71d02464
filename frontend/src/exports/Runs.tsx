import { useLingui } from "@lingui/react/macro";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { useCommands } from "#/app/commands";
import { Link } from "#/app/Link";
import { hrefToList } from "#/app/place";
import { queries, useCommandOf, useRoom, useTask } from "#/app/room";
import { Running } from "#/list/Row";
import { useSecond } from "#/live/clock";
import { Icon } from "#/pieces/Icon";
import { Nothing } from "#/pieces/States";
import { StatusBadge } from "#/pieces/Status";
import { exportsApi } from "#/services/exports";
import type { Task } from "#/services/types";
import { formatFull, formatMoment, visible } from "#/texts/format";
import { useDuration, useLocale } from "#/texts/i18n";

import Files from "./Files";
import { Headway } from "./Headway";

const RUNS = ["exports", "runs"];
export const readRunsAgain = (): void => void queries.invalidateQueries({ queryKey: RUNS });

/** The runs, the newest first: live while they last, their files when they have ended. */
export function Runs() {
  const { t } = useLingui();
  const { feed, rows } = useRoom();
  const answer = useInfiniteQuery({
    queryKey: RUNS,
    queryFn: ({ signal, pageParam }) => exportsApi.runs(pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
  });
  const runs = answer.data?.pages.flatMap((page) => page.items) ?? [];
  useEffect(() => {
    if (answer.data) rows.put(answer.data.pages.flatMap((page) => page.items));
  }, [rows, answer.data]);
  useEffect(() => {
    const known = new Set(runs.map((run) => run.task_id));
    return feed.follow({
      tasks: (tasks) => tasks.some((task) => task.kind === "export" && !known.has(task.task_id)) && readRunsAgain(),
      reset: readRunsAgain,
    });
  });
  if (answer.isPending) return <div className="page-note" role="status">{t`Loading…`}</div>;
  if (runs.length === 0) return <Nothing title={t`No exports yet`}>{t`Start one above, or by the command orakul export.`}</Nothing>;
  const heads = [t`Export`, t`Status`, t`Progress`, t`Started`, t`Duration`, ""];
  return (
    <>
      <div className="table-frame">
        <table className="table table-cards exports-runs">
          <thead>
            <tr>{heads.map((head) => <th key={head} scope="col">{head}</th>)}</tr>
          </thead>
          {runs.map((run) => <Run key={run.task_id} first={run} heads={heads} />)}
        </table>
      </div>
      {answer.hasNextPage && (
        <button type="button" className="button" disabled={answer.isFetchingNextPage} onClick={() => void answer.fetchNextPage()}>
          {t`Older exports`}
        </button>
      )}
    </>
  );
}

function Run({ first, heads }: { first: Task; heads: readonly string[] }) {
  const { t } = useLingui();
  const locale = useLocale();
  const duration = useDuration();
  const now = useSecond();
  const { me } = useRoom();
  const task = useTask(first.task_id) ?? first;
  const command = useCommandOf(task.task_id);
  const { retry, cancel } = useCommands();
  const [open, setOpen] = useState(false);
  const ended = task.finished_at !== null;
  const began = task.started_at ?? task.created_at;
  return (
    <tbody data-run={task.task_id}>
      <tr>
        <th scope="row" data-label={heads[0]}>
          <Link className="link" href={hrefToList({ task: task.task_id })}>{visible(task.name)}</Link>
          {task.attempt > 1 && <span className="attempt">{t`attempt ${task.attempt}`}</span>}
        </th>
        <td data-label={heads[1]}>
          <StatusBadge status={task.status} command={command} />
          {task.outcome !== null && task.outcome !== "Success" && <span className="outcome">{visible(task.outcome)}</span>}
        </td>
        <td data-label={heads[2]} className="exports-headway"><Headway task={task} /></td>
        <td data-label={heads[3]} className="soft"><time dateTime={began} title={formatFull(locale, began)}>{formatMoment(locale, began, now)}</time></td>
        <td data-label={heads[4]} className="soft">
          {task.duration_ms !== null ? duration(task.duration_ms) : task.started_at !== null && !ended ? <Running since={task.started_at} /> : null}
        </td>
        <td className="exports-tools">
          {ended && (
            <button type="button" className="button" aria-expanded={open} onClick={() => setOpen(!open)}>
              <Icon name="file" />
              {t`Files`}
            </button>
          )}
          {me.role !== "viewer" && task.status === "failed" && (
            <button type="button" className="button" disabled={command !== null} onClick={() => void retry(task)}>
              <Icon name="retry" />
              {t`Retry`}
            </button>
          )}
          {me.role !== "viewer" && !ended && (
            <button type="button" className="button" disabled={command !== null} onClick={() => void cancel(task)}>
              <Icon name="stop" />
              {t`Cancel`}
            </button>
          )}
        </td>
      </tr>
      {task.status === "failed" && task.error && (
        <tr className="exports-more"><td colSpan={6}><p className="exports-error">{visible(task.error.message.slice(0, 600))}</p></td></tr>
      )}
      {open && ended && (
        <tr className="exports-more"><td colSpan={6}><Files taskId={task.task_id} /></td></tr>
      )}
    </tbody>
  );
}
