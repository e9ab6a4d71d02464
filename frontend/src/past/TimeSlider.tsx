import { useLingui } from "@lingui/react/macro";
import { useMemo } from "react";

import { useDress } from "#/charts/dress";
import { brushData, brushOptions } from "#/charts/panels";
import { Plot } from "#/charts/Plot";
import { lengthOf } from "#/charts/ranges";
import type { Range } from "#/charts/ranges";
import { useChart } from "#/charts/useChart";
import { formatCount, formatMoment } from "#/texts/format";
import { useLocale } from "#/texts/i18n";

const HEIGHT = 84;

interface Props {
  at: number;
  range: Range;
  filter: { name: string; queue: string };
  oldest: string | null;
  onSeek: (at: number) => void;
}

/** A line of time with the throughput behind it, and a handle at the moment that is shown. */
export function TimeSlider({ at, range, filter, oldest, onSeek }: Props) {
  const { t } = useLingui();
  const locale = useLocale();
  const asked = useMemo(() => ({ name: filter.name, queue: filter.queue, kind: "" }), [filter.name, filter.queue]);
  const chart = useChart(asked, range).data;
  const dress = useDress(chart);
  const options = useMemo(() => {
    const made = brushOptions(dress, (value) => formatCount(dress.locale, value));
    return { ...made, cursor: { show: false } };
  }, [dress]);
  const data = useMemo(() => (chart ? brushData(chart) : null), [chart]);
  const now = chart ? Date.parse(chart.until) : Date.now();
  const first = chart?.points[0];
  const from = first ? Date.parse(first.at) : now - lengthOf(range);
  const last = chart?.points.at(-1);
  const to = last && chart ? Date.parse(last.at) + chart.step * 1000 : now;
  const least = Math.max(from, oldest === null ? from : Math.floor(Date.parse(oldest) / 1000) * 1000);
  const step = Math.max(1000, Math.round((to - from) / 2000 / 1000) * 1000);
  const share = Math.min(100, Math.max(0, ((at - from) / (to - from)) * 100));
  return (
    <div className="past-time">
      {data ? <Plot options={options} data={data} height={HEIGHT} label={t`Throughput over time`} /> : <div style={{ height: HEIGHT }} />}
      <div className="past-line">
        <span className="past-mark" style={{ insetInlineStart: `${share}%` }} />
        <input
          type="range"
          min={from}
          max={to}
          step={step}
          value={Math.min(to, Math.max(from, at))}
          aria-label={t`Moment`}
          aria-valuetext={formatMoment(locale, new Date(at).toISOString(), now)}
          onChange={(event) => onSeek(Math.min(now, Math.max(least, Number(event.target.value))))}
        />
      </div>
    </div>
  );
}
