import type uPlot from "uplot";

import type { Colours } from "./colours";

const DAY = 86_400;

const clocks = new Map<string, { time: Intl.DateTimeFormat; day: Intl.DateTimeFormat }>();

function clockOf(locale: string) {
  const known = clocks.get(locale) ?? {
    time: new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", hour12: false }),
    day: new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" }),
  };
  clocks.set(locale, known);
  return known;
}

/** Words under a time axis: the day where a day begins or nothing shorter is shown, else the time. */
export function timeWords(locale: string, splits: readonly number[]): string[] {
  const { time, day } = clockOf(locale);
  const apart = (splits[1] ?? 0) - (splits[0] ?? 0);
  return splits.map((at) => {
    const moment = new Date(at * 1000);
    const midnight = moment.getHours() === 0 && moment.getMinutes() === 0;
    return apart >= DAY || midnight ? day.format(moment) : time.format(moment);
  });
}

/** Words beside a value axis. What is written whole (a count) has none at a half: it would say the next one twice. */
export function valueWords(write: (value: number) => string, splits: readonly number[]): string[] {
  const whole = write(0.5) === write(1);
  return splits.map((value) => (whole && !Number.isInteger(value) ? "" : write(value)));
}

/** The two axes, in the theme's colours: quiet lines, words that can be read. */
export function axes(colours: Colours, locale: string, write: (value: number) => string, size = 56): uPlot.Axis[] {
  const plain = { stroke: colours["ink-faint"], font: "11px system-ui, sans-serif", ticks: { show: false } };
  const grid = { stroke: colours.line, width: 1 };
  return [
    { ...plain, size: 26, space: 64, grid: { show: false }, values: (_plot, splits) => timeWords(locale, splits) },
    { ...plain, size, space: 34, grid, values: (_plot, splits) => valueWords(write, splits) },
  ];
}

/** Shade the step that is still being counted. */
export function unfinished(colours: Colours, ends: () => number | null): uPlot.Plugin {
  return {
    hooks: {
      drawClear: (plot) => {
        const end = ends();
        const last = plot.data[0].at(-1);
        if (end === null || last === undefined) return;
        const from = plot.valToPos(last, "x", true);
        const to = Math.min(plot.valToPos(end, "x", true), plot.bbox.left + plot.bbox.width);
        plot.ctx.save();
        plot.ctx.fillStyle = colours.line;
        plot.ctx.fillRect(from, plot.bbox.top, Math.max(0, to - from), plot.bbox.height);
        plot.ctx.restore();
      },
    },
  };
}
