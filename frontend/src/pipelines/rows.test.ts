import { expect, it } from "vitest";

import type { Pipeline, RunPoint } from "#/services/pipelines";

import { barsOf, isNamed, isTroubled } from "./rows";

const run = (rows_loaded: number | null, rows_exported: number | null): RunPoint => ({
  task_id: `${rows_loaded}`,
  status: "success",
  task_status: "completed",
  verdict: "success",
  started_at: null,
  finished_at: null,
  duration_ms: null,
  rows_loaded,
  rows_exported,
  error: null,
  data_quality: [],
});
const pipeline = (change: Partial<Pipeline>): Pipeline => ({
  ...run(1, 1),
  pipeline_name: "erp_mask_sync",
  result_name: "MASK_V001",
  usual_seconds: null,
  silent_seconds: null,
  late_seconds: null,
  runs: [],
  ...change,
});

it("draws from old to new, and what was not told not as none", () => {
  const bars = barsOf([run(100, 50), run(null, 0)], 100, 40);
  expect(bars.map((bar) => [bar.x, bar.loaded, bar.exported])).toEqual([[0, null, 0], [10, 40, 20]]);
});

it("lets few among many rows be seen", () => {
  expect(barsOf([run(1_000_000, 1)], 100, 40)[0]).toMatchObject({ exported: 1.5 });
});

it("calls troubled what failed, ended with errors, is late or lost rows", () => {
  expect(isTroubled(pipeline({}))).toBe(false);
  expect(isTroubled(pipeline({ verdict: "running" }))).toBe(false);
  expect(isTroubled(pipeline({ verdict: "with_errors" }))).toBe(true);
  expect(isTroubled(pipeline({ late_seconds: 5 }))).toBe(true);
  expect(isTroubled(pipeline({ data_quality: [{ rule: "rows lost", message: "2" }] }))).toBe(true);
});

it("finds by words of both names", () => {
  expect(isNamed(pipeline({}), "mask_v erp")).toBe(true);
  expect(isNamed(pipeline({}), "erp orders")).toBe(false);
  expect(isNamed(pipeline({}), "")).toBe(true);
});
