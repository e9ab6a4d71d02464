import { useLingui } from "@lingui/react/macro";
import { useEffect, useMemo, useRef, useState } from "react";
import type uPlot from "uplot";

import { Choice } from "#/pieces/Choice";
import { formatCount, formatMoment } from "#/texts/format";
import { useLocale } from "#/texts/i18n";

import { useDress } from "./dress";
import { brushData, brushOptions } from "./panels";
import { Plot } from "./Plot";
import { rangeAround, stepsBetween } from "./ranges";
import type { Range } from "./ranges";
import { useChart } from "./useChart";

const HEIGHT = 74;

interface Props {
  name: string;
  queue: string;
  kind: string;
  /** ISO moments; "" where there is no bound. */
  since: string;
  until: string;
  /** Both "": the choice is taken back. */
  onChange: (since: string, until: string) => void;
}

const bound = (iso: string): number | null => {
  const at = Date.parse(iso);
  return Number.isNaN(at) ? null : at / 1000;
};

/** Throughput over time, on which a part is chosen: by dragging over it, or by the two handles and the arrow keys. */
export default function ThroughputBrush({ name, queue, kind, since, until, onChange }: Props) {
  const { t } = useLingui();
  const locale = useLocale();
  const from = bound(since);
  const to = bound(until);
  const chosen = from !== null || to !== null;
  const [range, setRange] = useState<Range>(() => (from === null ? "24h" : rangeAround(from * 1000, Date.now())));
  const filter = useMemo(() => ({ name, queue, kind }), [name, queue, kind]);
  const chart = useChart(filter, range).data;
  const dress = useDress(chart);
  const data = useMemo(() => (chart ? brushData(chart) : null), [chart]);
  const times = useMemo(() => (data ? Array.from(data[0]) : []), [data]);
  const step = chart?.step ?? 60;
  const [first, last] = stepsBetween(times, step, from, to);

  const latest = useRef({ times, step, onChange });
  useEffect(() => {
    latest.current = { times, step, onChange };
  });
  const take = (begin: number, end: number) => {
    const known = latest.current;
    const a = known.times[begin];
    const b = known.times[end];
    if (a === undefined || b === undefined) return;
    // The last step is still growing: up to it means up to now, and on.
    const open = end === known.times.length - 1;
    known.onChange(iso(a), open ? "" : iso(b + known.step));
  };
  const options = useMemo(() => {
    const made = brushOptions(dress, (value) => formatCount(dress.locale, value));
    return {
      ...made,
      hooks: {
        setSelect: [
          (plot: uPlot) => {
            if (!plot.cursor.event || plot.select.width < 2) return; // set by ourselves, or a mere click
            const known = latest.current;
            const left = plot.posToVal(plot.select.left, "x");
            const right = plot.posToVal(plot.select.left + plot.select.width, "x");
            take(...stepsBetween(known.times, known.step, left, right));
          },
        ],
      },
    };
  }, [dress]);
  const plot = useRef<uPlot | null>(null);
  const draw = () => {
    const made = plot.current;
    const a = times[first];
    const b = times[last];
    if (!made || a === undefined || b === undefined) return;
    const left = chosen ? made.valToPos(a, "x") : 0;
    const width = chosen ? made.valToPos(b + step, "x") - left : 0;
    made.setSelect({ left, width, top: 0, height: made.over.clientHeight }, false);
  };
  useEffect(draw);

  if (!data || !chart) return <section className="brush" aria-label={t`Time range`} aria-busy="true" style={{ minHeight: HEIGHT + 8 }} />;
  const most = Math.max(0, times.length - 1);
  const words = (at: number | null, open: string): string => (at === null ? open : formatMoment(locale, iso(at), Date.now()));
  const ends: [string, number, (at: number) => [number, number], string][] = [
    [t`Chosen from`, first, (at) => [Math.min(at, last), last], words(times[first] ?? null, "")],
    [t`Chosen until`, last, (at) => [first, Math.max(at, first)], last === most ? t`now` : words((times[last] ?? 0) + step, "")],
  ];
  return (
    <section className="brush" aria-label={t`Time range`}>
      <div className="brush-chart">
        <Plot
          options={options}
          data={data}
          height={HEIGHT}
          label={t`Throughput over time: drag over it to choose a part`}
          onReady={(made) => {
            plot.current = made;
            draw();
          }}
        />
        <div className="brush-ends">
          {ends.map(([label, at, next, said]) => (
            <input
              key={label}
              type="range"
              min={0}
              max={most}
              value={at}
              aria-label={label}
              aria-valuetext={said}
              onChange={(event) => take(...next(Number(event.target.value)))}
            />
          ))}
        </div>
      </div>
      <div className="brush-side">
        <Choice
          label={t`Over`}
          value={range}
          choices={[["1h", t`1 h`], ["6h", t`6 h`], ["24h", t`24 h`], ["7d", t`7 d`], ["30d", t`30 d`]]}
          onChoose={setRange}
        />
        <p className="brush-words" aria-live="polite">
          {chosen && (
            <>
              <strong>{words(from, t`the beginning`)} – {words(to, t`now`)}</strong>{" "}
              <button type="button" className="button-quiet" onClick={() => onChange("", "")}>
                {t`All times`}
              </button>
            </>
          )}
        </p>
      </div>
    </section>
  );
}

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
