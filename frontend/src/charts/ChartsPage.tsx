import { useLingui } from "@lingui/react/macro";
import { useMemo, useState } from "react";
import type { ReactNode } from "react";
import type uPlot from "uplot";

import { useAsked } from "#/app/place";
import { Choice } from "#/pieces/Choice";
import { NameField, QueueField } from "#/pieces/Fields";
import { PageFrame } from "#/pieces/PageFrame";
import { Answered, Partial } from "#/pieces/States";
import type { Chart } from "#/services/figures";
import { formatCount, formatPercent, formatRate } from "#/texts/format";
import { useDuration, useWhole } from "#/texts/i18n";

import { ChartsTable } from "./ChartsTable";
import { useDress } from "./dress";
import type { PlotOptions } from "./panels";
import { rateData, rateOptions, spreadData, spreadOptions, throughputData, throughputOptions } from "./panels";
import { Plot } from "./Plot";
import { isEmpty } from "./points";
import { isRange } from "./ranges";
import type { Range } from "./ranges";
import { useChart } from "./useChart";

const HEIGHT = 210;

/** How the work goes: throughput, failures, durations and waiting, over an hour up to thirty days. */
export default function ChartsPage() {
  const { t } = useLingui();
  const [asked, ask] = useAsked();
  const given = asked.get("range");
  const range: Range = isRange(given) ? given : "1h";
  const filter = { name: asked.get("name") ?? "", queue: asked.get("queue") ?? "", kind: asked.get("kind") ?? "" };
  const answer = useChart(filter, range);
  const ranges: (readonly [Range, string])[] = [
    ["1h", t`1 h`],
    ["6h", t`6 h`],
    ["24h", t`24 h`],
    ["7d", t`7 d`],
    ["30d", t`30 d`],
  ];
  return (
    <PageFrame
      title={t`Charts`}
      tools={
        <>
          <NameField value={filter.name} onChange={(name) => ask({ name }, "replace")} />
          <QueueField value={filter.queue} onChange={(queue) => ask({ queue })} />
          <Choice label={t`Over`} value={range} choices={ranges} onChoose={(next) => ask({ range: next === "1h" ? "" : next })} />
        </>
      }
    >
      <Answered answer={answer}>{(chart) => <Panels chart={chart} />}</Answered>
    </PageFrame>
  );
}

function Panels({ chart }: { chart: Chart }) {
  const { t } = useLingui();
  const dress = useDress(chart);
  const { locale } = dress;
  const duration = useDuration();
  const { total } = chart;
  const time = t`Time`;
  const words = { completed: t`Completed`, cancelled: t`Cancelled`, failed: t`Failed`, created: t`Created`, time };
  const rateName = t`Failure rate`;
  const options = useMemo(
    () => ({
      throughput: throughputOptions(dress, words, (value) => formatRate(locale, value)),
      rate: rateOptions(dress, rateName, time, (value) => formatPercent(locale, value)),
      duration: spreadOptions(dress, time, (value) => duration(value)),
      waiting: spreadOptions(dress, time, (value) => duration(value)),
    }),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- words and units change with the language, as the dress does
    [dress],
  );
  const data = useMemo(
    () => ({
      throughput: throughputData(chart),
      rate: rateData(chart),
      duration: spreadData(chart, "duration"),
      waiting: spreadData(chart, "waiting"),
    }),
    [chart],
  );
  const count = (value: number): string => formatCount(locale, value);
  const time3 = (spread: typeof total.duration): string =>
    (["p50", "p95", "p99"] as const).map((key) => `${key} ${said(spread[key], duration)}`).join(", ");
  const none = isEmpty(total);
  const ended = total.completed + total.failed;
  const rate = total.failure_rate === null ? "–" : formatPercent(locale, total.failure_rate);
  return (
    <>
      <p className="charts-said">
        {chart.partial && <Partial />}
        <StepWords chart={chart} />
      </p>
      <div className="charts">
        <Panel
          title={t`Throughput, tasks a minute`}
          figures={[[t`created`, count(total.created)], [t`completed`, count(total.completed)], [t`failed`, count(total.failed)], [t`cancelled`, count(total.cancelled)]]}
          {...{ options: options.throughput, data: data.throughput, none }}
        />
        <Panel title={rateName} figures={[[t`of ${count(ended)} ended`, rate]]} {...{ options: options.rate, data: data.rate, none: ended === 0 }} />
        <Panel
          title={t`Duration`}
          figures={[[t`mean`, said(total.duration.mean, duration)], ["p50 / p95 / p99", threeOf(total.duration, duration)]]}
          label={time3(total.duration)}
          {...{ options: options.duration, data: data.duration, none: total.duration.p50 === null }}
        />
        <Panel
          title={t`Waiting before the start`}
          figures={[[t`mean`, said(total.waiting.mean, duration)], ["p50 / p95 / p99", threeOf(total.waiting, duration)]]}
          label={time3(total.waiting)}
          {...{ options: options.waiting, data: data.waiting, none: total.waiting.p50 === null }}
        />
      </div>
      <TableOf chart={chart} />
    </>
  );
}

const said = (value: number | null | undefined, write: (value: number) => string): string => (value === null || value === undefined ? "–" : write(value));
const threeOf = (spread: Chart["total"]["duration"], write: (value: number) => string): string =>
  [spread.p50, spread.p95, spread.p99].map((value) => said(value, write)).join(" / ");

function StepWords({ chart }: { chart: Chart }) {
  const { t } = useLingui();
  const whole = useWhole();
  const step = whole(chart.step * 1000);
  return <span>{t`A step is ${step}. The shaded step is still being counted. A task counts by what it is now.`}</span>;
}

interface PanelProps {
  title: string;
  figures: readonly (readonly [string, string])[];
  label?: string;
  options: PlotOptions;
  data: uPlot.AlignedData;
  none: boolean;
}

function Panel({ title, figures, label, options, data, none }: PanelProps) {
  const { t } = useLingui();
  const words = label ?? figures.map(([name, value]) => `${name} ${value}`).join(", ");
  return (
    <section className="card" aria-label={title}>
      <div className="card-head">
        <h3>{title}</h3>
        <p className="figures">
          {figures.map(([name, value]) => (
            <span key={name}>
              <strong>{value}</strong> {name}
            </span>
          ))}
        </p>
      </div>
      <div className="plot-frame">
        <Plot options={options} data={data} height={HEIGHT} label={`${title}: ${words}`} />
        {none && <p className="plot-none">{t`Nothing in this time`}</p>}
      </div>
    </section>
  );
}

function TableOf({ chart }: { chart: Chart }): ReactNode {
  const { t } = useLingui();
  const [open, setOpen] = useState(false);
  return (
    <details className="charts-table" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{t`As a table`}</summary>
      {open && <ChartsTable chart={chart} />}
    </details>
  );
}
