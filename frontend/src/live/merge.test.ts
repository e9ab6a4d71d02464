import { describe, expect, it } from "vitest";

import { NO_FILTERS } from "#/app/view";
import type { TaskQuery } from "#/services/types";

import { later, matches, newestFirst } from "./merge";
import { task } from "./sampleTask";

const everything: TaskQuery = { ...NO_FILTERS, sort: "-created_at" };

describe("of two reports the later holds", () => {
  const running = task({ status: "in_progress", started_at: "2025-12-01T12:00:01Z" });
  const done = task({ status: "completed", started_at: "2025-12-01T12:00:01Z" });

  it("whichever comes first", () => {
    expect(later(running, done)).toBe(done);
    expect(later(done, running)).toBe(done);
  });
  it("and another attempt is later than an end", () => {
    const again = task({ status: "pending", attempt: 2 });
    expect(later(done, again)).toBe(again);
    expect(later(again, done)).toBe(again);
  });
  it("and a start outranks an end without a start", () => {
    const given = task({ status: "cancelled" });
    expect(later(given, running)).toBe(running);
    expect(later(running, given)).toBe(running);
  });
  it("and of equals the one that came last", () => {
    const further = { ...running, progress: { done: 1, total: 2 } };
    expect(later(running, further)).toBe(further);
  });
});

describe("a task is in a list", () => {
  it("where it fits every filter", () => {
    expect(matches(everything, task())).toBe(true);
    expect(matches({ ...everything, status: ["failed", "pending"] }, task())).toBe(true);
    expect(matches({ ...everything, status: ["failed"] }, task())).toBe(false);
    expect(matches({ ...everything, search: "a" }, task({ task_id: "abc" }))).toBe(true);
    expect(matches({ ...everything, search: "b" }, task({ task_id: "abc" }))).toBe(false);
  });
  it("by its exact name, or by its beginning before a star", () => {
    expect(matches({ ...everything, name: "shop.pay" }, task())).toBe(true);
    expect(matches({ ...everything, name: "shop" }, task())).toBe(false);
    expect(matches({ ...everything, name: "shop*" }, task())).toBe(true);
  });
  it("of several queues, and within its time", () => {
    expect(matches({ ...everything, queue: "mail,celery" }, task())).toBe(true);
    expect(matches({ ...everything, queue: "mail,other" }, task())).toBe(false);
    expect(matches({ ...everything, since: "2025-12-01T12:00:00.000Z" }, task())).toBe(true);
    expect(matches({ ...everything, until: "2025-12-01T12:00:00.000Z" }, task())).toBe(false);
  });
  it("and one without a user is nobody's", () => {
    expect(matches({ ...everything, user: "7" }, task({ user_id: null }))).toBe(false);
  });
});

it("orders the newest first, and of one moment by id", () => {
  const [a, b] = [task({ task_id: "a" }), task({ task_id: "b" })];
  const older = task({ created_at: "2025-12-01T11:00:00.000000Z" });
  expect([older, a, b].sort(newestFirst)).toEqual([b, a, older]);
});
