import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { StreamHub } from "./hub";
import type { FromHub, ToHub } from "./messages";

class FakeSource extends EventTarget {
  readonly CLOSED = 2;
  readyState = 0;
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  constructor(readonly url: string) {
    super();
  }
  close(): void {
    this.readyState = 2;
  }
  say(type: string, data: unknown, lastEventId = ""): void {
    this.dispatchEvent(Object.assign(new Event(type), { data: JSON.stringify(data), lastEventId }));
  }
  refuse(): void {
    this.readyState = 2;
    this.onerror?.();
  }
}

function world() {
  const sources: FakeSource[] = [];
  const hub = new StreamHub((url) => {
    const source = new FakeSource(url);
    sources.push(source);
    return source as unknown as EventSource;
  });
  const tab = () => {
    const heard: FromHub[] = [];
    return { heard, post: (message: FromHub) => void heard.push(message) };
  };
  return { hub, sources, tab };
}

const hello: ToHub = { kind: "hello", url: "/s", who: "1/admin" };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("opens one stream for all tabs, and closes it with the last", () => {
  const { hub, sources, tab } = world();
  const [one, two] = [tab(), tab()];
  hub.receive(one, hello);
  hub.receive(two, hello);
  expect(sources).toHaveLength(1);
  hub.receive(one, { kind: "bye" });
  expect(sources[0]?.readyState).toBe(0);
  hub.receive(two, { kind: "bye" });
  expect(sources[0]?.readyState).toBe(2);
});

it("gives what came together in one batch, of each task the last state", () => {
  const { hub, sources, tab } = world();
  const one = tab();
  hub.receive(one, hello);
  sources[0]?.say("task", { task_id: "a", status: "pending" }, "1");
  sources[0]?.say("task", { task_id: "a", status: "in_progress" }, "2");
  sources[0]?.say("log", { seq: 3, task_id: "a" }, "3");
  vi.advanceTimersByTime(20);
  const batches = one.heard.filter((message) => message.kind === "batch");
  expect(batches).toEqual([
    { kind: "batch", tasks: [{ task_id: "a", status: "in_progress" }], logs: [{ seq: 3, task_id: "a" }], metrics: null },
  ]);
});

it("opens a refused stream anew from where it stopped", () => {
  const { hub, sources, tab } = world();
  const one = tab();
  hub.receive(one, hello);
  sources[0]?.say("task", { task_id: "a" }, "41");
  sources[0]?.refuse();
  expect(one.heard.at(-1)).toMatchObject({ kind: "state", state: { phase: "refused" } });
  vi.advanceTimersByTime(2_000);
  expect(sources[1]?.url).toBe("/s?last_event_id=41");
});

it("says to a tab that joins late what the figures are", () => {
  const { hub, sources, tab } = world();
  hub.receive(tab(), hello);
  sources[0]?.say("metrics", { queued: 3 });
  vi.advanceTimersByTime(20);
  const late = tab();
  hub.receive(late, hello);
  expect(late.heard.at(-1)).toMatchObject({ kind: "batch", metrics: { queued: 3 } });
});

it("passes on that the journal cannot be followed", () => {
  const { hub, sources, tab } = world();
  const one = tab();
  hub.receive(one, hello);
  sources[0]?.say("live", { live: false, since: "2025-12-01T12:00:00Z" });
  expect(one.heard.at(-1)).toMatchObject({ state: { awaySince: "2025-12-01T12:00:00Z" } });
});

it("never gives the stream of one user to a tab of another", () => {
  const { hub, sources, tab } = world();
  const [old, fresh] = [tab(), tab()];
  hub.receive(old, hello);
  hub.receive(fresh, { ...hello, who: "7/user" });
  expect(sources[0]?.readyState).toBe(2);
  hub.receive(old, { kind: "beat" });
  sources[1]?.say("task", { task_id: "a" }, "1");
  vi.advanceTimersByTime(20);
  expect(fresh.heard.some((message) => message.kind === "batch")).toBe(true);
  expect(old.heard.some((message) => message.kind === "batch")).toBe(false);
});

it("takes the stream up anew after the machine slept, from where it was", () => {
  const { hub, sources, tab } = world();
  const one = tab();
  hub.receive(one, hello);
  sources[0]?.onopen?.();
  sources[0]?.say("task", { task_id: "a" }, "41");
  vi.advanceTimersByTime(20_000);
  expect(sources).toHaveLength(1);
  vi.setSystemTime(Date.now() + 600_000); // no timer ran meanwhile
  vi.advanceTimersByTime(5_000);
  expect(sources).toHaveLength(2);
  expect(sources[1]?.url).toBe("/s?last_event_id=41");
  expect(one.heard.at(-1)).toMatchObject({ kind: "state", state: { phase: "reconnecting" } });
});

it("takes up a silent stream anew without a word, as its connection may be dead", () => {
  const { hub, sources, tab } = world();
  const one = tab();
  hub.receive(one, hello);
  sources[0]?.onopen?.();
  sources[0]?.say("task", { task_id: "a" }, "41");
  vi.advanceTimersByTime(50_000);
  sources[0]?.say("task", { task_id: "a" }, "42");
  vi.advanceTimersByTime(50_000);
  expect(sources).toHaveLength(1);
  const said = one.heard.length;
  vi.advanceTimersByTime(20_000);
  expect(sources[0]?.readyState).toBe(2);
  expect(sources[1]?.url).toBe("/s?last_event_id=42");
  expect(one.heard).toHaveLength(said);
  vi.advanceTimersByTime(30_000);
  expect(sources).toHaveLength(2);
});

it("tells a tab that it was given up while it slept", () => {
  const { hub, tab } = world();
  const [one, two] = [tab(), tab()];
  hub.receive(one, hello);
  hub.receive(two, hello);
  vi.advanceTimersByTime(300_000);
  hub.receive(one, { kind: "beat" });
  hub.receive(two, { kind: "beat" });
  expect(two.heard.at(-1)).toEqual({ kind: "lost" });
});
