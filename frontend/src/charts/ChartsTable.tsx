import { useLingui } from "@lingui/react/macro";

import type { Chart } from "#/services/figures";
import { formatCount, formatMoment, formatPercent } from "#/texts/format";
import { useDuration, useLocale } from "#/texts/i18n";

/** A chart's points as a table, the latest first: for whoever does not see a chart, and for copying. */
export function ChartsTable({ chart }: { chart: Chart }) {
  const { t } = useLingui();
  const locale = useLocale();
  const duration = useDuration();
  const now = Date.parse(chart.until);
  const time = (value: number | null | undefined): string => (value === null || value === undefined ? "–" : duration(value));
  return (
    <div className="table-frame" tabIndex={0} role="group" aria-label={t`Charts as a table`}>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t`From`}</th>
            {[t`Created`, t`Started`, t`Completed`, t`Failed`, t`Cancelled`, t`Failure rate`].map((name) => (
              <th key={name} scope="col" className="number">{name}</th>
            ))}
            {["p50", "p95", "p99"].map((name) => <th key={name} scope="col" className="number">{t`Duration`} {name}</th>)}
            {["p50", "p95", "p99"].map((name) => <th key={name} scope="col" className="number">{t`Waiting`} {name}</th>)}
          </tr>
        </thead>
        <tbody>
          {chart.points.toReversed().map((point) => (
            <tr key={point.at}>
              <th scope="row">{formatMoment(locale, point.at, now)}</th>
              {[point.created, point.started, point.completed, point.failed, point.cancelled].map((count, at) => (
                <td key={at} className="number">{formatCount(locale, count)}</td>
              ))}
              <td className="number">{point.failure_rate === null ? "–" : formatPercent(locale, point.failure_rate)}</td>
              {[point.duration, point.waiting].flatMap((spread, which) =>
                (["p50", "p95", "p99"] as const).map((key) => <td key={`${which}${key}`} className="number">{time(spread[key])}</td>),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
