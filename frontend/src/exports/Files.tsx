import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";

import { useExplain } from "#/app/commands";
import { useRoom, useTask } from "#/app/room";
import { Icon } from "#/pieces/Icon";
import { exportsApi } from "#/services/exports";
import { formatCount, visible } from "#/texts/format";
import { useLocale } from "#/texts/i18n";

import { Headway } from "./Headway";
import { formatBytes } from "./progress";

import "./exports.css";

/** What an export's task has written: live while it runs, then its files as links. */
export default function Files({ taskId }: { taskId: string }) {
  const { t } = useLingui();
  const locale = useLocale();
  const explain = useExplain();
  const { me } = useRoom();
  const task = useTask(taskId);
  const ended = task !== undefined && task.finished_at !== null;
  const answer = useQuery({
    queryKey: ["task", taskId, "files", task?.attempt, task?.status],
    queryFn: ({ signal }) => exportsApi.files(taskId, signal),
    enabled: ended,
  });
  if (task && !ended) return <Headway task={task} />;
  if (answer.isError) return <p className="note" role="alert">{explain(answer.error)}</p>;
  if (!answer.data) return <p className="note">{t`Loading…`}</p>;
  const files = answer.data.items;
  if (files.length === 0) return <p className="note">{t`No files`}</p>;
  return (
    <ul className="files">
      {files.map((file) => (
        <li key={file.number}>
          <Icon name="file" />
          {me.role === "viewer" ? (
            <span className="mono">{visible(file.name)}</span>
          ) : (
            <a className="mono" href={exportsApi.fileAddress(file)} download={file.name}>{visible(file.name)}</a>
          )}
          <span className="files-facts">
            {file.rows !== null && t`${formatCount(locale, file.rows)} rows`}
            {file.bytes !== null && <> · {formatBytes(locale, file.bytes)}</>}
          </span>
        </li>
      ))}
    </ul>
  );
}
