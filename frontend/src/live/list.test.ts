import { describe, expect, it, vi } from "vitest";

import { NO_FILTERS } from "#/app/view";
import type { Page, Task, TaskQuery } from "#/services/types";

import { TaskList } from "./list";
import { Rows } from "./rows";
import { task } from "./sampleTask";

const query: TaskQuery = { ...NO_FILTERS, sort: "-created_at" };
const at = (second: number, change: Partial<Task> = {}): Task =>
  task({ task_id: `t${second}`, created_at: `2025-12-01T12:00:${String(second).padStart(2, "0")}.000000Z`, ...change });

function world(pages: Record<string, Page<Task>>, wanted = query) {
  const rows = new Rows();
  const list = new TaskList(wanted, rows, (_query, cursor) => Promise.resolve(pages[cursor ?? ""] ?? { items: [], next: null }));
  const stream = (...tasks: Task[]) => list.apply(rows.put(tasks));
  return { rows, list, stream };
}

describe("the list", () => {
  it("puts new tasks where they belong while it is calm", async () => {
    const { list, stream } = world({ "": { items: [at(20), at(10)], next: null } });
    await list.reload();
    stream(at(30), at(15));
    expect(list.snapshot().ids).toEqual(["t30", "t20", "t15", "t10"]);
  });

  it("keeps them back and counts them while somebody points at it, and lets them in after", async () => {
    const { list, stream } = world({ "": { items: [at(10)], next: null } });
    await list.reload();
    list.setCalm(false);
    stream(at(20));
    stream(at(20, { status: "in_progress", started_at: "2025-12-01T12:00:21Z" }), at(30));
    expect(list.snapshot()).toMatchObject({ ids: ["t10"], held: 2 });
    list.setCalm(true);
    expect(list.snapshot()).toMatchObject({ ids: ["t30", "t20", "t10"], held: 0 });
  });

  it("never moves a task that changes", async () => {
    const { list, rows, stream } = world({ "": { items: [at(20), at(10)], next: null } });
    await list.reload();
    const before = list.snapshot();
    stream(at(10, { status: "completed", started_at: "2025-12-01T12:00:11Z" }));
    expect(list.snapshot()).toBe(before);
    expect(rows.get("t10")?.status).toBe("completed");
  });

  it("leaves to its page what is older than the last row", async () => {
    const { list, stream } = world({ "": { items: [at(20)], next: "more" }, more: { items: [at(10), at(5)], next: null } });
    await list.reload();
    stream(at(10));
    expect(list.snapshot().ids).toEqual(["t20"]);
    await list.extend();
    expect(list.snapshot()).toMatchObject({ ids: ["t20", "t10", "t5"], more: false });
  });

  it("shows what has come to miss the filters as leaving, and lets it go when calm", async () => {
    const { list, stream } = world({ "": { items: [at(20), at(10)], next: null } }, { ...query, status: ["pending"] });
    await list.reload();
    list.setCalm(false);
    stream(at(10, { status: "in_progress", started_at: "2025-12-01T12:00:11Z" }));
    expect(list.isLeaving("t10")).toBe(true);
    expect(list.snapshot().ids).toEqual(["t20", "t10"]);
    list.setCalm(true);
    expect(list.snapshot().ids).toEqual(["t20"]);
  });

  it("does not guess places in an order that only the server knows", async () => {
    const { list, stream } = world({ "": { items: [at(10)], next: null } }, { ...query, sort: "name" });
    await list.reload();
    stream(at(20));
    expect(list.snapshot()).toMatchObject({ ids: ["t10"], held: 1 });
  });

  it("says when it could not be read, and keeps what it had", async () => {
    let broken = false;
    const rows = new Rows();
    const list = new TaskList(query, rows, () =>
      broken ? Promise.reject(new Error("away")) : Promise.resolve({ items: [at(10)], next: null }),
    );
    await list.reload();
    broken = true;
    await list.reload();
    expect(list.snapshot()).toMatchObject({ ids: ["t10"], phase: "failed" });
  });

  it("stands still while it is held, and counts what it will let in", async () => {
    const { list, rows } = world({ "": { items: [at(10)], next: null } });
    await list.reload();
    list.setFrozen(true);
    list.foresee([at(20), at(10, { status: "failed" })]);
    list.setCalm(false);
    list.setCalm(true);
    expect(list.snapshot()).toMatchObject({ ids: ["t10"], held: 1 });
    list.apply(rows.put([at(20)]));
    list.setFrozen(false);
    expect(list.snapshot()).toMatchObject({ ids: ["t20", "t10"], held: 0 });
  });

  it("asks the server about what only the server can find", async () => {
    vi.useFakeTimers();
    const items = [at(10)];
    const rows = new Rows();
    const list = new TaskList({ ...query, text: "missing" }, rows, () => Promise.resolve({ items: [...items], next: null }));
    await list.reload();
    items.unshift(at(30));
    list.apply(rows.put([at(20), at(30)]));
    expect(list.snapshot().ids).toEqual(["t10"]);
    await vi.advanceTimersByTimeAsync(2_500);
    expect(list.snapshot().ids).toEqual(["t30", "t10"]);
    vi.useRealTimers();
  });

  it("keeps what came while the first page was on its way", async () => {
    const rows = new Rows();
    let answer: (page: Page<Task>) => void = () => undefined;
    const list = new TaskList(query, rows, () => new Promise((resolve) => (answer = resolve)));
    const read = list.reload();
    list.apply(rows.put([at(30)]));
    answer({ items: [at(20), at(10)], next: "more" });
    await read;
    await new Promise((go) => setTimeout(go, 100));
    expect(list.snapshot().ids).toEqual(["t30", "t20", "t10"]);
  });
});
