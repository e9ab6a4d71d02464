import { expect, it } from "vitest";

import { task as sampleTask } from "#/live/sampleTask";
import type { Moment, Turn } from "#/services/figures";

import { played, playedTo, roomOf } from "./playing";

const AT = "2026-01-01T00:00:00Z";
const LATER = "2026-01-01T00:00:10Z";
const any = (): boolean => true;

const moment = (change: Partial<Moment> = {}): Moment => ({
  at: AT,
  counts: [
    { status: "pending", count: 1, capped: false, partial: false },
    { status: "completed", count: 10_000, capped: true, partial: false },
  ],
  queues: [{ queue: "mail", pending: 1, in_progress: 0, paused: false, paused_by: null, paused_at: null, reason: null }],
  items: [sampleTask({ task_id: "a", status: "pending", queue: "mail" })],
  next: null,
  partial: false,
  ...change,
});

const turn = (change: Partial<Turn>): Turn => ({
  at: LATER,
  seq: 1,
  task_id: "a",
  status: "in_progress",
  previous: "pending",
  attempt: 1,
  name: "shop.pay",
  kind: "celery",
  queue: "mail",
  user_id: "7",
  paused: null,
  author: null,
  ...change,
});

it("shows what a moment says", () => {
  const room = roomOf(moment());
  expect(room.counts).toEqual({ pending: 1, in_progress: 0, completed: 10_000, failed: 0, cancelled: 0 });
  expect([...room.capped]).toEqual(["completed"]);
  expect(room.tasks[0]).toMatchObject({ task_id: "a", status: "pending", fresh: false });
});

it("moves counts, queues and tasks as things happened", () => {
  const room = played(
    roomOf(moment()),
    [turn({}), turn({ task_id: "b", status: "pending", previous: null }), turn({ status: "failed", previous: "in_progress" })],
    LATER,
    any,
  );
  expect(room.at).toBe(LATER);
  expect(room.counts).toMatchObject({ pending: 1, in_progress: 0, failed: 1 });
  expect(room.queues).toMatchObject([{ queue: "mail", pending: 1, in_progress: 0 }]);
  expect(room.tasks.map((task) => [task.task_id, task.status, task.fresh])).toEqual([
    ["b", "pending", true],
    ["a", "failed", true],
  ]);
  const quiet = played(room, [], LATER, any);
  expect(quiet.tasks.some((task) => task.fresh)).toBe(false);
});

it("keeps to the status that is asked for", () => {
  const room = played(roomOf(moment()), [turn({})], LATER, (status) => status === "pending");
  expect(room.tasks).toEqual([]);
});

it("pauses and resumes queues, all of them at once too", () => {
  const none = { task_id: null, status: null, previous: null };
  const paused = played(roomOf(moment()), [turn({ ...none, queue: "*", paused: true, author: "ann" }), turn({ ...none, paused: true, author: "bob" })], LATER, any);
  expect(paused.queues.map((queue) => [queue.queue, queue.paused, queue.paused_by])).toEqual([
    ["mail", true, "bob"],
    ["*", true, "ann"],
  ]);
  const open = played(paused, [turn({ ...none, queue: "*", paused: false })], LATER, any);
  expect(open.queues.some((queue) => queue.paused)).toBe(false);
});

it("never plays beyond the present", () => {
  expect(playedTo(1000, 500, 10, 9000)).toBe(6000);
  expect(playedTo(1000, 500, 60, 9000)).toBe(9000);
});
