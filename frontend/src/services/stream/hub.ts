import type { LogLine, Summary, Task } from "../types";
import type { FromHub, LinkState, ToHub } from "./messages";

/** A tab, as the hub sees it. */
export interface Port {
  post: (message: FromHub) => void;
}

const BATCH_MS = 16; // about a frame: what comes within it travels to the tabs together
const SILENT_TAB_MS = 200_000; // background tabs beat once a minute at worst; one that stays silent is gone
const QUIET: LinkState = { phase: "connecting", heardAt: null, awaySince: null };
const WATCH_MS = 5_000;
const SLEPT_MS = 30_000; // a beat of our own that comes so late means that the machine slept
const SILENT_MS = 60_000; // a connection on which nothing came for so long may be dead: its beats are not shown to scripts
const REOPEN_MS = [1_000, 2_000, 4_000, 8_000, 15_000];

/**
 * Holds the one EventSource of the browser and shares it between the tabs.
 *
 * A dropped connection is taken up again by EventSource itself, with Last-Event-ID, so nothing is missed. A
 * connection that the server refused (EventSource gives up then) is opened anew here with a growing pause, and with
 * the number of the last event in its address, as a new EventSource sends no Last-Event-ID of its own. So is one that
 * went through a sleep of the machine, or was silent for long: it may be dead, and would not say so for minutes.
 */
export class StreamHub {
  private readonly ports = new Map<Port, number>();
  private source: EventSource | null = null;
  private url = "";
  private who = "";
  private state: LinkState = QUIET;
  private readonly tasks = new Map<string, Task>();
  private logs: LogLine[] = [];
  private metrics: Summary | null = null;
  private lastMetrics: Summary | null = null;
  private batchTimer: ReturnType<typeof setTimeout> | null = null;
  private reopenTimer: ReturnType<typeof setTimeout> | null = null;
  private refusals = 0;
  private lastId = "";
  private watch: ReturnType<typeof setInterval> | null = null;
  private watchedAt = 0;
  private openedAt = 0;

  constructor(private readonly open: (url: string) => EventSource) {}

  receive(port: Port, message: ToHub): void {
    if (message.kind === "bye") this.leave(port);
    else if (message.kind === "anew") this.anew();
    else if (message.kind === "hello") this.welcome(port, message.url, message.who);
    else if (this.ports.has(port)) this.ports.set(port, Date.now());
    else port.post({ kind: "lost" });
    this.sweep();
  }

  private welcome(port: Port, url: string, who: string): void {
    const another = url !== this.url || who !== this.who;
    if (another) this.ports.clear(); // those that belong to somebody else say hello again once they know
    this.ports.set(port, Date.now());
    if (another) {
      this.url = url;
      this.who = who;
      this.lastMetrics = null;
      this.lastId = "";
      this.state = QUIET;
    }
    if (another || (!this.source && !this.reopenTimer)) this.connect();
    this.watchSleep();
    port.post({ kind: "state", state: this.state });
    if (this.lastMetrics) port.post({ kind: "batch", tasks: [], logs: [], metrics: this.lastMetrics });
  }

  private leave(port: Port): void {
    this.ports.delete(port);
    if (this.ports.size > 0) return;
    this.disconnect();
    if (this.watch) clearInterval(this.watch);
    this.watch = null;
  }

  private watchSleep(): void {
    this.watchedAt = Date.now();
    this.watch ??= setInterval(() => {
      const now = Date.now();
      const slept = now - this.watchedAt > SLEPT_MS;
      const silent = this.state.phase === "live" && now - Math.max(this.openedAt, this.state.heardAt ?? 0) > SILENT_MS;
      this.watchedAt = now;
      if (slept) this.anew();
      else if (silent) this.anew(true);
    }, WATCH_MS);
  }

  /** Take the stream up anew from where it is; `quiet`: nothing is known to be wrong, so nothing is said. */
  private anew(quiet = false): void {
    if (!this.source) return;
    this.flush(); // what is here already will not come again
    this.connect(quiet);
  }

  private sweep(): void {
    const limit = Date.now() - SILENT_TAB_MS;
    for (const [port, seen] of this.ports) if (seen < limit) this.leave(port);
  }

  private disconnect(): void {
    this.source?.close();
    this.source = null;
    if (this.reopenTimer) clearTimeout(this.reopenTimer);
    this.reopenTimer = null;
    this.tasks.clear();
    this.logs = [];
    this.metrics = null;
    this.state = QUIET;
  }

  private connect(quiet = false): void {
    const { state } = this;
    const { heardAt } = state;
    this.disconnect();
    this.openedAt = Date.now();
    const source = this.open(this.lastId ? `${this.url}?last_event_id=${encodeURIComponent(this.lastId)}` : this.url);
    this.source = source;
    if (quiet) this.state = state;
    else this.announce({ ...QUIET, phase: heardAt === null ? "connecting" : "reconnecting", heardAt });
    source.onopen = () => {
      if (this.source !== source) return;
      this.refusals = 0;
      this.announce({ ...QUIET, phase: "live", heardAt: Date.now() });
    };
    source.onerror = () => {
      if (this.source !== source) return;
      if (source.readyState === source.CLOSED) this.refused();
      else this.announce({ ...this.state, phase: "reconnecting" });
    };
    const on = (name: string, take: (data: unknown) => void) => {
      source.addEventListener(name, (event) => {
        if (this.source !== source) return;
        this.state = { ...this.state, heardAt: Date.now() };
        const { data, lastEventId } = event as MessageEvent<string>;
        if (lastEventId) this.lastId = lastEventId;
        take(JSON.parse(data));
        this.schedule();
      });
    };
    on("task", (data) => {
      const task = data as Partial<Task>;
      if (task.task_id !== undefined) this.tasks.set(task.task_id, task as Task); // one too large to send has none
    });
    on("log", (data) => void this.logs.push(data as LogLine));
    on("metrics", (data) => {
      this.metrics = this.lastMetrics = data as Summary;
    });
    on("live", (data) => {
      const { live, since } = data as { live: boolean; since: string | null };
      this.announce({ ...this.state, awaySince: live ? null : (since ?? new Date().toISOString()) });
    });
    on("reset", (data) => this.tell({ kind: "reset", reason: (data as { reason?: string }).reason ?? "" }));
  }

  private refused(): void {
    this.source = null;
    this.announce({ ...this.state, phase: "refused" });
    const pause = REOPEN_MS[Math.min(this.refusals, REOPEN_MS.length - 1)] ?? 15_000;
    this.refusals += 1;
    this.reopenTimer = setTimeout(
      () => {
        this.reopenTimer = null;
        if (this.ports.size > 0) this.connect();
      },
      pause * (0.75 + Math.random() / 2),
    );
  }

  private schedule(): void {
    this.batchTimer ??= setTimeout(() => {
      this.batchTimer = null;
      this.flush();
    }, BATCH_MS);
  }

  private flush(): void {
    if (this.tasks.size === 0 && this.logs.length === 0 && !this.metrics) return;
    this.tell({ kind: "batch", tasks: [...this.tasks.values()], logs: this.logs, metrics: this.metrics });
    this.tasks.clear();
    this.logs = [];
    this.metrics = null;
  }

  private announce(state: LinkState): void {
    this.state = state;
    this.tell({ kind: "state", state });
  }

  private tell(message: FromHub): void {
    for (const port of this.ports.keys()) port.post(message);
  }
}
