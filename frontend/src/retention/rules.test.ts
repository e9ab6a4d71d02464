import { expect, it } from "vitest";

import { daysOf, formOf, sumsOf } from "./rules";

const draft = { tasks: "30", events: "30", logs: "14", kinds: [{ kind: "export", days: "365" }] };

it("takes whole days of at most ten years", () => {
  expect(daysOf(" 7 ")).toBe(7);
  for (const wrong of ["0", "", "3651", "1.5", "-1", "x", "1e3"]) expect(daysOf(wrong)).toBeNull();
});

it("asks for what the fields say, and for nothing where they are wrong", () => {
  expect(formOf(draft)).toEqual({ tasks_days: 30, events_days: 30, logs_days: 14, kinds: { export: 365 } });
  expect(formOf({ ...draft, kinds: [{ kind: " ", days: "" }] })?.kinds).toEqual({});
  expect(formOf({ ...draft, logs: "never" })).toBeNull();
  expect(formOf({ ...draft, kinds: [...draft.kinds, { kind: "export", days: "1" }] })).toBeNull();
  expect(formOf({ ...draft, kinds: [{ kind: "a=b", days: "1" }] })).toBeNull();
});

it("adds up days of the same", () => {
  const sums = sumsOf([
    { what: "tasks", kind: "celery", day: "2026-01-02", count: 5, bytes: null, held: 0 },
    { what: "tasks", kind: "celery", day: "2026-01-01", count: 3, bytes: null, held: 1 },
    { what: "events", kind: null, day: "2026-01-01", count: 100, bytes: 2048, held: 0 },
  ]);
  expect(sums).toEqual([
    { what: "tasks", kind: "celery", days: 2, first: "2026-01-01", last: "2026-01-02", count: 8, bytes: null, held: 1 },
    { what: "events", kind: null, days: 1, first: "2026-01-01", last: "2026-01-01", count: 100, bytes: 2048, held: 0 },
  ]);
});
