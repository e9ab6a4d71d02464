import { joinStream } from "#/services/stream/client";
import type { Stream } from "#/services/stream/client";
import type { FromHub, LinkState } from "#/services/stream/messages";
import type { LogLine, Summary, Task } from "#/services/types";

import type { Rows } from "./rows";

/** What wants to be told, once a frame, of all that came since the last. */
export interface Follower {
  tasks?: (tasks: readonly Task[]) => void;
  logs?: (lines: readonly LogLine[]) => void;
  /** The same of tasks that are held back: nothing of them is known to the rows yet. */
  foresee?: (tasks: readonly Task[]) => void;
  /** The server did not let us have the stream. */
  refused?: () => void;
  /** What was missed cannot be made up from the stream: read anew. */
  reset?: () => void;
}

/** Whether the page is held as it is. */
export interface Hold {
  /** When it was begun, in epoch milliseconds. */
  since: number;
  /** How many tasks have changed since. */
  changed: number;
}

const HELD_MOST = 20_000; // changes kept while held; of more, the page reads anew
const HIDDEN_MS = 1_000; // no frames are drawn in a hidden tab: it keeps up once a second
export const PULSE_SECONDS = 120;

/** The stream, as the page lives on it: gathers what comes and hands it out once a frame. */
export class LiveFeed {
  private stream: Stream | null = null;
  private link: LinkState = { phase: "connecting", heardAt: null, awaySince: null };
  private summary: Summary | null = null;
  private waiting = new Map<string, Task>();
  private waitingLogs: LogLine[] = [];
  private scheduled = false;
  private hold: Hold | null = null;
  private kept = new Map<string, Task>();
  private tooMany = false;
  private readonly holdListeners = new Set<() => void>();
  private readonly followers = new Set<Follower>();
  private readonly linkListeners = new Set<() => void>();
  private readonly summaryListeners = new Set<() => void>();
  private readonly ends = new Map<number, { completed: number; failed: number }>();

  constructor(
    private readonly rows: Rows,
    private readonly who: string,
  ) {}

  start(): void {
    this.stream ??= joinStream(this.who, (message) => this.take(message));
  }

  stop(): void {
    this.stream?.close();
    this.stream = null;
  }

  /** Take the stream up anew: what stands behind it has come back. */
  anew(): void {
    this.stream?.anew();
  }

  follow(follower: Follower): () => void {
    this.followers.add(follower);
    return () => void this.followers.delete(follower);
  }

  readonly onLink = (listener: () => void): (() => void) => {
    this.linkListeners.add(listener);
    return () => void this.linkListeners.delete(listener);
  };

  readonly linkState = (): LinkState => this.link;

  readonly onSummary = (listener: () => void): (() => void) => {
    this.summaryListeners.add(listener);
    return () => void this.summaryListeners.delete(listener);
  };

  readonly summaryState = (): Summary | null => this.summary;

  setSummary(summary: Summary): void {
    this.summary = summary;
    this.summaryListeners.forEach((listener) => listener());
  }

  /** How many tasks ended in each of the last seconds, oldest first. */
  pulse(now: number, seconds = PULSE_SECONDS): { completed: number; failed: number }[] {
    const last = Math.floor(now / 1000) - 1; // the running second is not whole yet
    return Array.from({ length: seconds }, (_, i) => this.ends.get(last - seconds + 1 + i) ?? { completed: 0, failed: 0 });
  }

  readonly onHold = (listener: () => void): (() => void) => {
    this.holdListeners.add(listener);
    return () => void this.holdListeners.delete(listener);
  };

  readonly holdState = (): Hold | null => this.hold;

  /** Hold the tasks as they are, or let go what has come meanwhile. Figures and logs go on. */
  setHold(held: boolean): void {
    if (held === (this.hold !== null)) return;
    if (!held) this.letGo();
    this.setHoldState(held ? { since: Date.now(), changed: 0 } : null);
  }

  /** Take in what was held back until now. */
  letGo(): void {
    const kept = [...this.kept.values()];
    this.kept = new Map();
    if (this.tooMany) this.followers.forEach((follower) => follower.reset?.());
    else this.hand(kept);
    this.tooMany = false;
    if (this.hold) this.setHoldState({ ...this.hold, changed: 0 });
  }

  private setHoldState(hold: Hold | null): void {
    this.hold = hold;
    this.holdListeners.forEach((listener) => listener());
  }

  private keep(tasks: readonly Task[]): void {
    for (const task of tasks) this.kept.set(task.task_id, task);
    if (this.kept.size > HELD_MOST) {
      this.kept.clear();
      this.tooMany = true;
    }
    for (const follower of this.followers) follower.foresee?.(tasks);
    if (this.hold) this.setHoldState({ ...this.hold, changed: this.tooMany ? HELD_MOST : this.kept.size });
  }

  private hand(tasks: readonly Task[]): void {
    const news = this.rows.put(tasks);
    if (news.length > 0) for (const follower of this.followers) follower.tasks?.(news);
  }

  private take(message: FromHub): void {
    if (message.kind === "state") {
      this.link = message.state;
      this.linkListeners.forEach((listener) => listener());
      if (message.state.phase === "refused") this.followers.forEach((follower) => follower.refused?.());
    } else if (message.kind === "reset") {
      this.followers.forEach((follower) => follower.reset?.());
    } else if (message.kind === "batch") {
      message.tasks.forEach((task) => this.waiting.set(task.task_id, task));
      this.waitingLogs.push(...message.logs);
      if (message.metrics) this.setSummary(message.metrics);
      this.heard();
      this.schedule();
    }
  }

  private heard(): void {
    this.link = { ...this.link, heardAt: Date.now() };
  }

  private schedule(): void {
    if (this.scheduled || (this.waiting.size === 0 && this.waitingLogs.length === 0)) return;
    this.scheduled = true;
    if (document.hidden) setTimeout(() => this.flush(), HIDDEN_MS);
    else requestAnimationFrame(() => this.flush());
  }

  private flush(): void {
    this.scheduled = false;
    const tasks = [...this.waiting.values()];
    const logs = this.waitingLogs;
    this.waiting = new Map();
    this.waitingLogs = [];
    this.count(tasks);
    if (this.hold) this.keep(tasks);
    else this.hand(tasks);
    if (logs.length > 0) for (const follower of this.followers) follower.logs?.(logs);
  }

  private count(tasks: readonly Task[]): void {
    const second = Math.floor(Date.now() / 1000);
    for (const task of tasks) {
      if (task.status !== "completed" && task.status !== "failed") continue;
      if (this.rows.get(task.task_id)?.status === task.status) continue;
      const counts = this.ends.get(second) ?? { completed: 0, failed: 0 };
      counts[task.status] += 1;
      this.ends.set(second, counts);
    }
    const old = second - 2 * PULSE_SECONDS;
    for (const key of this.ends.keys()) if (key < old) this.ends.delete(key);
  }
}
