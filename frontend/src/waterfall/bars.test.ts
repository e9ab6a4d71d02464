import { expect, it } from "vitest";

import { task as sampleTask } from "#/live/sampleTask";
import type { Change, Status } from "#/services/types";

import { barOf, marks, moved, partsOf, placeOf, spanOf, zoomed } from "./bars";

const T0 = Date.parse("2026-01-01T00:00:00Z");
const iso = (ms: number): string => new Date(T0 + ms).toISOString();
const whole = { from: 0, to: 1000 };

it("keeps waiting and running apart", () => {
  const task = sampleTask({ status: "completed", created_at: iso(0), started_at: iso(300), finished_at: iso(900) });
  expect(barOf(task, T0 + 5000)).toEqual({ from: T0, begun: T0 + 300, to: T0 + 900, open: false });
});

it("lets what is open grow with the time", () => {
  const running = sampleTask({ status: "in_progress", created_at: iso(0), started_at: iso(100), finished_at: null });
  expect(barOf(running, T0 + 700)).toMatchObject({ begun: T0 + 100, to: T0 + 700, open: true });
  const waiting = sampleTask({ status: "pending", created_at: iso(0), started_at: null, finished_at: null });
  expect(barOf(waiting, T0 + 700)).toMatchObject({ begun: null, to: T0 + 700, open: true });
});

it("has no part shorter than nothing where clocks differ", () => {
  const task = sampleTask({ status: "completed", created_at: iso(500), started_at: iso(400), finished_at: iso(450) });
  expect(barOf(task, T0)).toEqual({ from: T0 + 500, begun: T0 + 500, to: T0 + 500, open: false });
  expect(spanOf([barOf(task, T0)]).to).toBeGreaterThan(T0 + 500);
  expect(spanOf([])).toEqual({ from: 0, to: 1 });
});

it("zooms around a moment and stays within the whole", () => {
  expect(zoomed(whole, whole, 2, 500)).toEqual({ from: 250, to: 750 });
  expect(zoomed(whole, whole, 2, 0)).toEqual({ from: 0, to: 500 });
  expect(zoomed({ from: 0, to: 500 }, whole, 0.1, 100)).toEqual(whole);
  expect(moved({ from: 0, to: 500 }, whole, -1)).toEqual({ from: 0, to: 500 });
  expect(moved({ from: 0, to: 500 }, whole, 0.5)).toEqual({ from: 250, to: 750 });
});

it("marks round distances", () => {
  expect(marks({ from: 0, to: 1000 }, 0, 5)).toEqual([0, 200, 400, 600, 800, 1000]);
  expect(marks({ from: 130, to: 330 }, 100, 4)).toEqual([50, 100, 150, 200]);
});

it("places what is in sight", () => {
  expect(placeOf(100, 300, whole)).toEqual({ left: 10, width: 20 });
  expect(placeOf(-500, 500, whole)).toEqual({ left: 0, width: 50 });
  expect(placeOf(2000, 3000, whole)).toBeNull();
});

const change = (ms: number, status: Status, attempt: number): Change =>
  ({ timestamp: iso(ms), status, attempt, run: 0, seq: ms, event_type: `task.${status}` }) as Change;

it("gives each attempt its own waiting and running", () => {
  const task = sampleTask({ status: "in_progress", attempt: 3, created_at: iso(0), started_at: iso(900) });
  const changes = [
    change(0, "pending", 1), change(100, "in_progress", 1), change(300, "failed", 1),
    change(290, "pending", 2), change(700, "cancelled", 2), // its message left before the failure was told; it never ran
    change(800, "pending", 3), change(900, "in_progress", 3),
  ];
  const parts = partsOf(task, barOf(task, T0 + 1500), changes);
  expect(parts.map((part) => [part.attempt, part.status, part.from - T0, part.begun && part.begun - T0, part.to - T0, part.open])).toEqual([
    [1, "failed", 0, 100, 300, false],
    [2, "cancelled", 300, null, 700, false],
    [3, "in_progress", 800, 900, 1500, true],
  ]);
});

it("knows one attempt where the history is not known", () => {
  const task = sampleTask({ status: "completed", created_at: iso(0), started_at: iso(300), finished_at: iso(900) });
  const bar = barOf(task, T0 + 5000);
  expect(partsOf(task, bar, [])).toEqual([{ ...bar, attempt: 1, status: "completed" }]);
});
