import { expect, it } from "vitest";

import type { ChartPoint } from "#/services/figures";

import { timeWords, valueWords } from "./axes";
import { faint } from "./colours";
import { isEmpty, perMinute, stacked } from "./points";
import { rangeAround, stepsBetween } from "./ranges";

const none = { mean: null, p50: null, p95: null, p99: null };
const point = (counts: Partial<ChartPoint>): ChartPoint => ({
  at: "2026-01-01T00:00:00Z",
  created: 0,
  started: 0,
  completed: 0,
  failed: 0,
  cancelled: 0,
  failure_rate: null,
  duration: none,
  waiting: none,
  ...counts,
});

it("stacks failures at the foot and says rates a minute", () => {
  const found = stacked([point({ completed: 600, cancelled: 60, failed: 120 })], 600);
  expect(found).toEqual({ all: [78], notDone: [18], failed: [12], created: [0] });
  expect(perMinute(5, 60)).toBe(5);
});

it("knows an empty time", () => {
  expect(isEmpty(point({}))).toBe(true);
  expect(isEmpty(point({ started: 1 }))).toBe(false);
});

it("finds the steps between two moments, whole ones", () => {
  const times = [0, 60, 120, 180];
  expect(stepsBetween(times, 60, null, null)).toEqual([0, 3]);
  expect(stepsBetween(times, 60, 61, 121)).toEqual([1, 2]);
  expect(stepsBetween(times, 60, 60, 120)).toEqual([1, 1]);
  expect(stepsBetween(times, 60, -500, 20)).toEqual([0, 0]);
  expect(stepsBetween(times, 60, 900, null)).toEqual([3, 3]);
});

it("takes the shortest range that reaches back", () => {
  const now = 1e12;
  expect(rangeAround(now - 1_800_000, now)).toBe("1h");
  expect(rangeAround(now - 25 * 3_600_000, now)).toBe("7d");
  expect(rangeAround(0, now)).toBe("30d");
});

it("lets a colour through", () => {
  expect(faint("rgb(1, 2, 3)", 0.5)).toBe("rgb(1 2 3 / 0.5)");
});

it("writes days where days are apart", () => {
  const noon = new Date(2026, 0, 5, 12).getTime() / 1000;
  expect(timeWords("en", [noon, noon + 600])).toEqual(["12:00", "12:10"]);
  expect(timeWords("en", [noon, noon + 86_400])[1]).toContain("Jan");
});

it("writes counts at whole values only", () => {
  const count = (value: number): string => String(Math.round(value));
  expect(valueWords(count, [0, 0.5, 1, 1.5, 2])).toEqual(["0", "", "1", "", "2"]);
  expect(valueWords((value) => `${value} s`, [0, 0.5])).toEqual(["0 s", "0.5 s"]);
});
