import { describe, expect, it } from "vitest";

import { task } from "#/live/sampleTask";
import type { LogLine } from "#/services/types";

import { linkIn, resultLink } from "./json";
import { levelsOf } from "./levels";
import { joinLines } from "./lines";

const line = (seq: number): LogLine => ({
  seq,
  task_id: "a",
  attempt: 1,
  timestamp: "2025-12-01T12:00:00Z",
  level: "INFO",
  logger: "x",
  message: String(seq),
});

describe("links in results", () => {
  it("are followed only where they are http", () => {
    expect(linkIn("https://files.example/a.csv")?.href).toBe("https://files.example/a.csv");
    expect(linkIn("javascript:alert(1)")).toBeNull();
    expect(linkIn("data:text/html,x")).toBeNull();
    expect(linkIn("see https://files.example")).toBeNull();
  });
  it("are paths to copy where they are files", () => {
    expect(linkIn("/var/out/report.csv")).toEqual({ href: null, text: "/var/out/report.csv" });
    expect(linkIn("file:///var/out/report.csv")?.href).toBeNull();
    expect(resultLink({ rows: 3, file: "/var/out/report.csv" })?.text).toBe("/var/out/report.csv");
    expect(resultLink({ rows: 3 })).toBeNull();
    expect(resultLink(["/var/out"])).toBeNull();
  });
});

describe("a log", () => {
  it("has every line once, in order, whatever overlaps", () => {
    const seqs = (lines: readonly LogLine[]) => lines.map((one) => one.seq);
    expect(seqs(joinLines([line(1), line(2)], [line(3)]))).toEqual([1, 2, 3]);
    expect(seqs(joinLines([line(4), line(5)], [line(1), line(4)]))).toEqual([1, 4, 5]);
  });
});

describe("a tree", () => {
  it("is read parent by parent, and no loop or lost parent breaks it", () => {
    const top = task({ task_id: "top" });
    const leaves = levelsOf(top, [
      task({ task_id: "b", parent_id: "top", created_at: "2025-12-01T12:00:02Z" }),
      task({ task_id: "a", parent_id: "top", created_at: "2025-12-01T12:00:01Z" }),
      task({ task_id: "a1", parent_id: "a" }),
      task({ task_id: "lost", parent_id: "gone", created_at: "2025-12-01T12:00:03Z" }),
    ]);
    expect(leaves.map(({ task: one, level }) => `${level} ${one.task_id}`)).toEqual(["0 top", "1 a", "2 a1", "1 b", "1 lost"]);
    expect(levelsOf(top, [task({ task_id: "x", parent_id: "y" }), task({ task_id: "y", parent_id: "x" })])).toHaveLength(1);
  });
});
