/** What the page makes of the runs of a pipeline. Pure, so that it can be tested. */
import type { Pipeline, RunPoint } from "#/services/pipelines";

/** Whether somebody should look: it failed, ended with errors, is late, or its data are not as they should be. */
export const isTroubled = (one: Pipeline): boolean =>
  one.verdict === "failed" || one.verdict === "with_errors" || one.late_seconds !== null || one.data_quality.length > 0;

/** Whether every word typed stands in one of its two names. */
export function isNamed(one: Pipeline, typed: string): boolean {
  const names = `${one.pipeline_name} ${one.result_name}`.toLowerCase();
  return typed.toLowerCase().split(/\s+/).every((word) => names.includes(word));
}

/** Two bars of a run side by side, rows in and rows out; null where they were not told. */
export interface Bars {
  run: RunPoint;
  x: number;
  width: number;
  loaded: number | null;
  exported: number | null;
}

/** Place the runs from old to new over the width; heights are against the most rows of any. */
export function barsOf(runs: readonly RunPoint[], width: number, height: number): Bars[] {
  const most = Math.max(1, ...runs.flatMap((run) => [run.rows_loaded ?? 0, run.rows_exported ?? 0]));
  const step = width / Math.max(10, runs.length);
  const tall = (rows: number | null): number | null => (rows === null ? null : rows <= 0 ? 0 : Math.max(1.5, (rows / most) * height));
  return [...runs].reverse().map((run, at) => ({
    run,
    x: at * step,
    width: Math.max(1, (step - 3) / 2),
    loaded: tall(run.rows_loaded),
    exported: tall(run.rows_exported),
  }));
}
