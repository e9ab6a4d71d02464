import uPlot from "uplot";

import type { Chart, Spread } from "#/services/figures";

import { axes, unfinished } from "./axes";
import type { Colours } from "./colours";
import { faint } from "./colours";
import { stacked, times } from "./points";

export type PlotOptions = Omit<uPlot.Options, "width" | "height">;

/** What a chart needs beside its data: it changes with theme and language only. */
export interface Dress {
  colours: Colours;
  locale: string;
  /** Where the step under way ends: now; and the step's length. Read when drawn. */
  now: () => number | null;
  step: () => number;
}

export interface StateWords {
  completed: string;
  cancelled: string;
  failed: string;
  created: string;
  /** Heads the column of times in the legend. */
  time: string;
}

const SYNC = "orakul-charts";
const bars = uPlot.paths.bars?.({ size: [0.92, 60], align: 1 });

function plain(dress: Dress, write: (value: number) => string, top: number | null): PlotOptions {
  return {
    cursor: { sync: { key: SYNC }, drag: { x: false, y: false }, points: { size: 6 } },
    scales: {
      x: {
        time: true,
        range: (plot) => {
          const first = plot.data[0][0] ?? 0;
          const last = plot.data[0].at(-1) ?? 1;
          return [first, last + dress.step()];
        },
      },
      y: { range: (_plot, _min, max) => [0, top === null ? (max > 0 ? max * 1.08 : 1) : Math.min(top, Math.max(max * 1.2, top / 20))] },
    },
    axes: axes(dress.colours, dress.locale, write),
    plugins: [unfinished(dress.colours, dress.now)],
    series: [],
  };
}

function timeSeries(dress: Dress, name: string): uPlot.Series {
  const full = new Intl.DateTimeFormat(dress.locale, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false });
  return { label: name, value: (_plot, at) => ((at as number | null) === null ? "–" : full.format(at * 1000)) };
}

const said =
  (write: (value: number) => string) =>
  (_plot: uPlot, value: number | null): string =>
    value === null ? "–" : write(value);

export function throughputOptions(dress: Dress, words: StateWords, write: (value: number) => string): PlotOptions {
  const { colours } = dress;
  const stack = (label: string, colour: string, minus: number | null): uPlot.Series => ({
    label,
    stroke: colour,
    fill: faint(colour, 0.75),
    width: 0,
    points: { show: false },
    ...(bars ? { paths: bars } : {}),
    value: (plot, value, _series, at) => {
      if (at === null || (value as number | null) === null) return "–";
      const below = minus === null ? 0 : (plot.data[minus]?.[at] ?? 0);
      return write(value - below);
    },
  });
  return {
    ...plain(dress, write, null),
    series: [
      timeSeries(dress, words.time),
      stack(words.completed, colours.completed, 2),
      stack(words.cancelled, colours.cancelled, 3),
      stack(words.failed, colours.failed, null),
      { label: words.created, stroke: colours.ink, width: 1.25, dash: [4, 3], points: { show: false }, value: said(write) },
    ],
  };
}

export function throughputData(chart: Chart): uPlot.AlignedData {
  const { all, notDone, failed, created } = stacked(chart.points, chart.step);
  return [times(chart.points), all, notDone, failed, created];
}

export function rateOptions(dress: Dress, name: string, time: string, write: (value: number) => string): PlotOptions {
  const stroke = dress.colours.failed;
  return {
    ...plain(dress, write, 1),
    series: [
      timeSeries(dress, time),
      { label: name, stroke, fill: faint(stroke, 0.18), width: 1.5, points: { size: 4, fill: stroke }, spanGaps: false, value: said(write) },
    ],
  };
}

export const rateData = (chart: Chart): uPlot.AlignedData => [times(chart.points), chart.points.map((point) => point.failure_rate)];

/** Percentiles: three lines that differ by their dashes too, for an eye that does not tell their colours apart. */
export function spreadOptions(dress: Dress, time: string, write: (value: number) => string): PlotOptions {
  const { colours } = dress;
  const line = (label: string, stroke: string, dash: number[], width: number): uPlot.Series => ({
    label,
    stroke,
    dash,
    width,
    points: { size: 4, fill: stroke },
    value: said(write),
  });
  const options = plain(dress, write, null);
  return {
    ...options,
    axes: axes(colours, dress.locale, write, 68),
    series: [
      timeSeries(dress, time),
      line("p50", colours.in_progress, [], 2),
      line("p95", colours.warn, [6, 3], 1.5),
      line("p99", colours.cancelled, [2, 3], 1.5),
    ],
  };
}

export function spreadData(chart: Chart, of: "duration" | "waiting"): uPlot.AlignedData {
  const line = (which: keyof Spread) => chart.points.map((point) => point[of][which] ?? null);
  return [times(chart.points), line("p50"), line("p95"), line("p99")];
}

/** The brush: small bars of all that ended, failures at their foot. */
export function brushOptions(dress: Dress, write: (value: number) => string): PlotOptions {
  const { colours } = dress;
  const series = (colour: string): uPlot.Series => ({
    stroke: colour,
    fill: faint(colour, 0.8),
    width: 0,
    points: { show: false },
    ...(bars ? { paths: bars } : {}),
  });
  const options = plain(dress, write, null);
  const [x, y] = axes(colours, dress.locale, write, 44);
  return {
    ...options,
    padding: [4, 8, 0, 0],
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
    legend: { show: false },
    axes: [{ ...x, size: 18 }, { ...y, space: 24 }],
    series: [{}, series(colours.completed), series(colours.failed)],
  };
}

export function brushData(chart: Chart): uPlot.AlignedData {
  const { all, failed } = stacked(chart.points, chart.step);
  return [times(chart.points), all, failed];
}
