import { Plural, useLingui } from "@lingui/react/macro";

import { Link } from "#/app/Link";
import { hrefTo, hrefToList, searchOf } from "#/app/place";
import { useSecond } from "#/live/clock";
import { Icon } from "#/pieces/Icon";
import type { Pipeline, Verdict } from "#/services/pipelines";
import { formatCount, formatFull, visible } from "#/texts/format";
import { useDuration, useLocale } from "#/texts/i18n";

import { RowsChart } from "./RowsChart";
import { Warnings } from "./Warnings";

const ICONS = { success: "completed", failed: "failed", with_errors: "errors", running: "in_progress" } as const;

/** The producer's own word, by the colour of what it means; the meaning in words where colour cannot be seen. */
export function Word({ verdict, status }: { verdict: Verdict; status: string }) {
  const { t } = useLingui();
  const means = { success: t`success`, failed: t`failed`, with_errors: t`ended with errors`, running: t`is running` }[verdict];
  return (
    <span className="pipeline-word" data-verdict={verdict} title={means}>
      <Icon name={ICONS[verdict]} />
      {visible(status)}
      {means !== status && <span className="unseen"> ({means})</span>}
    </span>
  );
}

export function PipelineCard({ pipeline }: { pipeline: Pipeline }) {
  const { t } = useLingui();
  const result = visible(pipeline.result_name);
  return (
    <li className="pipeline" data-pipeline={pipeline.result_name} data-verdict={pipeline.verdict}>
      <header className="pipeline-head">
        <h3>{result}</h3>
        <Word verdict={pipeline.verdict} status={pipeline.status} />
        {pipeline.pipeline_name !== pipeline.result_name && <p className="note">{visible(pipeline.pipeline_name)}</p>}
      </header>
      <Facts pipeline={pipeline} />
      {pipeline.error !== null && pipeline.verdict !== "success" && (
        <p className="pipeline-error" data-verdict={pipeline.verdict}>{visible(pipeline.error.slice(0, 400))}</p>
      )}
      <Warnings pipeline={pipeline} />
      <RowsChart pipeline={pipeline} />
      <p className="pipeline-links">
        <Link href={hrefTo("", searchOf({ task: pipeline.task_id }))} aria-label={t`The last run of ${result}`}>{t`The last run`}</Link>
        <Link href={hrefToList({ kind: "pipeline", name: pipeline.pipeline_name })} aria-label={t`All runs of ${visible(pipeline.pipeline_name)}`}>{t`All runs`}</Link>
      </p>
    </li>
  );
}

function Facts({ pipeline }: { pipeline: Pipeline }) {
  const { t } = useLingui();
  const locale = useLocale();
  const duration = useDuration();
  const rows = (count: number | null): string => (count === null ? "?" : formatCount(locale, count));
  const { rows_loaded: loaded, rows_exported: exported, duration_ms: took } = pipeline;
  const lost = loaded !== null && exported !== null ? loaded - exported : 0;
  return (
    <>
      <Freshness pipeline={pipeline} />
      <dl className="pipeline-facts">
        <div>
          <dt>{t`Rows in`}</dt>
          <dd>{rows(loaded)}</dd>
        </div>
        <div>
          <dt>{t`Rows out`}</dt>
          <dd>
            {rows(exported)}
            {lost !== 0 && (
              <span className="pipeline-lost">
                {" "}
                {lost > 0 ? "−" : "+"}
                {formatCount(locale, Math.abs(lost))}
                <span className="unseen"> <Plural value={Math.abs(lost)} one="row of difference" other="rows of difference" /></span>
              </span>
            )}
          </dd>
        </div>
        <div>
          <dt>{t`Duration`}</dt>
          <dd>{took === null ? "?" : duration(took)}</dd>
        </div>
      </dl>
    </>
  );
}

/** How long ago the last run ended, how often one usually comes, and by how much the next is late. */
function Freshness({ pipeline }: { pipeline: Pipeline }) {
  const { t } = useLingui();
  const locale = useLocale();
  const duration = useDuration();
  const now = useSecond();
  const { finished_at: finished, usual_seconds: usual, late_seconds: late, verdict } = pipeline;
  const rhythm = usual === null ? null : duration(Math.round(usual) * 1000);
  const overdue = late === null ? null : duration(Math.round(late) * 1000);
  const ago = finished === null ? null : duration(Math.max(0, Math.floor((now - Date.parse(finished)) / 1000) * 1000));
  return (
    <p className="pipeline-fresh">
      {overdue !== null && (
        <strong className="pipeline-late">
          <Icon name="pending" />
          {t`late by ${overdue}`}
        </strong>
      )}
      {verdict === "running" && <span>{t`runs now`}</span>}
      {finished !== null && <span title={formatFull(locale, finished)}>{t`ended ${ago} ago`}</span>}
      <span>{rhythm === null ? t`its rhythm is not known yet` : t`usually every ${rhythm}`}</span>
    </p>
  );
}
