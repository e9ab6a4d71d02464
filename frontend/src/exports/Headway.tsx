import { useLingui } from "@lingui/react/macro";

import type { Task } from "#/services/types";
import { formatCount, formatPercent } from "#/texts/format";
import { useLocale } from "#/texts/i18n";

import { formatBytes, headwayOf } from "./progress";

import "./exports.css";

/** How far an export is: a bar, and in words what has been written. Once it has ended well, the words alone. */
export function Headway({ task }: { task: Task }) {
  const { t } = useLingui();
  const locale = useLocale();
  const headway = headwayOf(task.progress);
  const running = task.status === "in_progress";
  if (!headway) return running ? <progress className="headway-bar" aria-label={t`Progress`} /> : null;
  const { rows, bytes, share, done, total } = headway;
  const rowsText = formatCount(locale, rows);
  return (
    <div className="headway">
      {running && <progress className="headway-bar" aria-label={t`Progress`} max={1} {...(share === null ? {} : { value: share })} />}
      <span className="headway-words">
        {running && share !== null && <b>{formatPercent(locale, Math.floor(share * 100) / 100)}</b>}
        {running && done !== null && total !== null && <span>{t`${done} of ${total} scripts`}</span>}
        <span>{t`${rowsText} rows`}</span>
        <span>{formatBytes(locale, bytes)}</span>
      </span>
    </div>
  );
}
