import { useLingui } from "@lingui/react/macro";

import { Link } from "#/app/Link";
import { hrefTo, searchOf } from "#/app/place";
import type { Pipeline } from "#/services/pipelines";
import { formatCount, formatMoment, visible } from "#/texts/format";
import { useDuration, useLocale } from "#/texts/i18n";

import { Word } from "./PipelineCard";
import { barsOf } from "./rows";

const WIDTH = 360;
const HEIGHT = 56;
const FOOT = 5;

/** Rows in and out of the last runs, side by side, with how each run ended beneath; the same as a table on wish. */
export function RowsChart({ pipeline }: { pipeline: Pipeline }) {
  const { t } = useLingui();
  const locale = useLocale();
  const { runs } = pipeline;
  const result = visible(pipeline.result_name);
  const words = t`Rows in and out of the last ${formatCount(locale, runs.length)} runs of ${result}; the table below tells the same`;
  const seen = (rows: number | null): string => (rows === null ? "?" : formatCount(locale, rows));
  const when = (iso: string | null): string => (iso === null ? "" : formatMoment(locale, iso, Date.now()));
  return (
    <div className="pipeline-rows">
      <svg className="rows-chart" viewBox={`0 0 ${WIDTH} ${HEIGHT + FOOT}`} role="img" aria-label={words} preserveAspectRatio="none">
        {barsOf(runs, WIDTH, HEIGHT).map(({ run, x, width, loaded, exported }) => (
          <g key={run.task_id} data-verdict={run.verdict}>
            <title>{`${when(run.finished_at ?? run.started_at)} ${run.status}: ${seen(run.rows_loaded)} → ${seen(run.rows_exported)}`}</title>
            {loaded !== null && <rect className="rows-in" x={x} y={HEIGHT - loaded} width={width} height={loaded} />}
            {exported !== null && <rect className="rows-out" x={x + width} y={HEIGHT - exported} width={width} height={exported} />}
            <rect className="rows-foot" x={x} y={HEIGHT + 1.5} width={width * 2} height={FOOT - 1.5} />
          </g>
        ))}
      </svg>
      <p className="rows-legend">
        <span className="rows-key rows-key-in">{t`Rows in`}</span>
        <span className="rows-key rows-key-out">{t`Rows out`}</span>
      </p>
      <details>
        <summary aria-label={t`Runs of ${result} as a table`}>{t`As a table`}</summary>
        <RunsTable pipeline={pipeline} />
      </details>
    </div>
  );
}

function RunsTable({ pipeline }: { pipeline: Pipeline }) {
  const { t } = useLingui();
  const locale = useLocale();
  const duration = useDuration();
  const seen = (rows: number | null): string => (rows === null ? "?" : formatCount(locale, rows));
  const heads = [t`Ended`, t`Status`, t`Rows in`, t`Rows out`, t`Duration`];
  const name = t`Runs of ${visible(pipeline.result_name)}`;
  return (
    <div className="table-frame" tabIndex={0} role="group" aria-label={name}>
      <table className="table rows-table" aria-label={name}>
        <thead>
          <tr>{heads.map((head, at) => <th key={head} scope="col" className={at > 1 ? "number" : undefined}>{head}</th>)}</tr>
        </thead>
        <tbody>
          {pipeline.runs.map((run) => {
            const moment = run.finished_at ?? run.started_at;
            return (
              <tr key={run.task_id}>
                <th scope="row">
                  <Link href={hrefTo("", searchOf({ task: run.task_id }))}>{moment === null ? "?" : formatMoment(locale, moment, Date.now())}</Link>
                </th>
                <td>
                  <Word verdict={run.verdict} status={run.status} />
                </td>
                <td className="number">{seen(run.rows_loaded)}</td>
                <td className="number">{seen(run.rows_exported)}</td>
                <td className="number">{run.duration_ms === null ? "?" : duration(run.duration_ms)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
