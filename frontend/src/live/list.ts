import type { Page, Task, TaskQuery } from "#/services/types";

import { matches, needsServer, newestFirst } from "./merge";
import type { Rows } from "./rows";

/** What a list shows at a moment; a new object whenever something of it changes. */
export interface ListState {
  ids: readonly string[];
  /** New tasks that are kept back because the reader's eye or hand is on the list. */
  held: number;
  /** Whether the server has more below. */
  more: boolean;
  /** The server ran out of time: there is more than it found. */
  partial: boolean;
  phase: "loading" | "ready" | "failed";
  error: unknown;
}

export type FetchPage = (query: TaskQuery, cursor: string | null, signal: AbortSignal) => Promise<Page<Task>>;

const HELD_MOST = 2_000;
const INSERT_MS = 60; // rows come in sixteen times a second at most: few enough at once to keep each frame short
const ASK_MS = 2_000; // where only the server knows what fits, it is asked no more often than this
const GROWN_MOST = 5_000; // rows that came live before the list is read anew and becomes short again

/**
 * The list on the screen: pages from the server, and what the stream adds to them.
 *
 * Known tasks change in place and never move. New ones go to their place while the list is `calm` (nobody points at
 * it and it stands at its top) and are counted and kept back while it is not, so that nothing jumps under the pointer.
 */
export class TaskList {
  private state: ListState = { ids: [], held: 0, more: false, partial: false, phase: "loading", error: null };
  private members = new Set<string>();
  private readonly held = new Set<string>();
  private readonly leaving = new Set<string>();
  private next: string | null = null;
  private grown = 0;
  private calm = true;
  private frozen = false;
  private readonly arriving = new Set<string>();
  /** What the stream brought while the first page was on its way: the page may be older than that. */
  private readonly came = new Set<string>();
  private insertedAt = -Infinity;
  private insertTimer: ReturnType<typeof setTimeout> | null = null;
  private fetching: AbortController | null = null;
  private askTimer: ReturnType<typeof setTimeout> | null = null;
  private readonly listeners = new Set<() => void>();

  constructor(
    readonly query: TaskQuery,
    private readonly rows: Rows,
    private readonly fetchPage: FetchPage,
    /** What another list shows now: of it, what fits stands here until the first page has come. */
    seed: readonly string[] = [],
  ) {
    const fits = (id: string): boolean => {
      const task = rows.get(id);
      return task !== undefined && matches(query, task);
    };
    const ids = seed.filter(fits);
    this.members = new Set(ids);
    this.state = { ...this.state, ids };
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  readonly snapshot = (): ListState => this.state;

  has(taskId: string): boolean {
    return this.members.has(taskId) || this.held.has(taskId) || this.arriving.has(taskId);
  }

  /** Whether a task is still shown though it no longer fits the filters. */
  isLeaving(taskId: string): boolean {
    return this.leaving.has(taskId);
  }

  close(): void {
    this.fetching?.abort();
    this.fetching = null;
    if (this.insertTimer) clearTimeout(this.insertTimer);
    this.insertTimer = null;
    if (this.askTimer) clearTimeout(this.askTimer);
    this.askTimer = null;
  }

  /** Read the first page; what is on the screen stays until it has come. */
  async reload(): Promise<void> {
    this.came.clear();
    await this.fetch(null, (page) => {
      this.members = new Set(page.items.map((task) => task.task_id));
      this.held.clear();
      this.arriving.clear();
      this.leaving.clear();
      this.grown = 0;
      this.set({ ids: [...this.members], held: 0 });
      const later = [...this.came].flatMap((id) => this.rows.get(id) ?? []);
      this.came.clear();
      this.apply(later.filter((task) => !this.members.has(task.task_id)));
    });
  }

  /** Read the page below the last row. */
  async extend(): Promise<void> {
    if (this.next === null || this.fetching) return;
    await this.fetch(this.next, (page) => {
      const fresh = page.items.map((task) => task.task_id).filter((id) => !this.members.has(id));
      fresh.forEach((id) => {
        this.members.add(id);
        this.held.delete(id);
        this.arriving.delete(id);
      });
      this.set({ ids: [...this.state.ids, ...fresh], held: this.held.size });
    });
  }

  private async fetch(cursor: string | null, take: (page: Page<Task>) => void): Promise<void> {
    this.fetching?.abort();
    const control = new AbortController();
    this.fetching = control;
    try {
      const page = await this.fetchPage(this.query, cursor, control.signal);
      if (control.signal.aborted) return;
      this.rows.put(page.items);
      this.next = page.next;
      take(page);
      this.set({ phase: "ready", error: null, more: page.next !== null, partial: page.partial ?? false });
    } catch (error) {
      if (!control.signal.aborted) this.set({ phase: "failed", error });
    } finally {
      if (this.fetching === control) this.fetching = null;
    }
  }

  /** Say whether rows may come and go now. */
  setCalm(calm: boolean): void {
    if (calm === this.calm) return;
    this.calm = calm;
    this.swing();
  }

  /** Say whether the reader holds the list as it is. */
  setFrozen(frozen: boolean): void {
    if (frozen === this.frozen) return;
    this.frozen = frozen;
    this.swing();
  }

  private swing(): void {
    if (this.isOpen()) this.settle();
    else this.keepBack();
  }

  private isOpen(): boolean {
    return this.calm && !this.frozen;
  }

  /** Let in what was kept back, and let go what no longer fits. */
  settle(): void {
    if (this.held.size >= HELD_MOST || this.grown > GROWN_MOST || (this.held.size > 0 && !this.knowsPlaces())) {
      void this.reload();
      return;
    }
    this.insert([...this.held, ...this.arriving]);
  }

  /** Take tasks of which the stream has said something. */
  apply(tasks: readonly Task[]): void {
    const unsure = needsServer(this.query);
    const fresh: string[] = [];
    let left = 0;
    let ask = false;
    for (const task of tasks) {
      const id = task.task_id;
      const fits = matches(this.query, task);
      if (fits && this.fetching) this.came.add(id);
      if (this.members.has(id)) {
        if (fits) this.leaving.delete(id);
        else if (!this.leaving.has(id)) left = this.leaving.add(id).size;
      } else if (!fits) {
        this.held.delete(id);
        this.arriving.delete(id);
      } else if (unsure) ask = true;
      else if (!this.held.has(id) && this.isInReach(task)) fresh.push(id);
    }
    if (ask) this.askSoon();
    this.take(fresh, left);
  }

  /** Count the new tasks among those that the page holds back; they come by `apply` when they are let go. */
  foresee(tasks: readonly Task[]): void {
    if (needsServer(this.query)) return;
    for (const task of tasks) {
      const id = task.task_id;
      const fresh = matches(this.query, task) && !this.members.has(id) && this.isInReach(task);
      if (fresh && this.held.size < HELD_MOST) this.held.add(id);
    }
    this.set({ held: this.held.size });
  }

  private take(fresh: readonly string[], left: number): void {
    if (fresh.length === 0 && left === 0) return;
    fresh.forEach((id) => this.arriving.add(id));
    if (this.isOpen() && this.knowsPlaces()) this.insertSoon();
    else this.keepBack();
  }

  /** Something may have come that fits, which only the server can say: have the first page again in a moment. */
  private askSoon(): void {
    this.askTimer ??= setTimeout(() => {
      this.askTimer = null;
      if (!this.fetching) void this.ask();
    }, ASK_MS);
  }

  private async ask(): Promise<void> {
    const control = new AbortController();
    this.fetching = control;
    try {
      const page = await this.fetchPage(this.query, null, control.signal);
      if (control.signal.aborted) return;
      this.rows.put(page.items);
      this.take(page.items.map((task) => task.task_id).filter((id) => !this.has(id)), 0);
    } catch {
      // the next change asks again
    } finally {
      if (this.fetching === control) this.fetching = null;
    }
  }

  private insertSoon(): void {
    const wait = this.insertedAt + INSERT_MS - performance.now();
    if (wait <= 0) this.insert([...this.arriving]);
    else
      this.insertTimer ??= setTimeout(() => {
        this.insertTimer = null;
        if (this.isOpen()) this.insert([...this.arriving]);
      }, wait);
  }

  /** What has arrived waits behind the pill. */
  private keepBack(): void {
    this.arriving.forEach((id) => this.held.size < HELD_MOST && this.held.add(id));
    this.arriving.clear();
    this.set({ held: this.held.size });
  }

  /** Only in the order of time can we tell where a new task stands; the other orders are the server's to say. */
  private knowsPlaces(): boolean {
    return this.query.sort === "-created_at";
  }

  /** A task older than the last row that was fetched will come with its page. */
  private isInReach(task: Task): boolean {
    if (!this.knowsPlaces()) return task.status === "pending" && task.attempt === 1;
    if (this.next === null) return true;
    const last = this.rows.get(this.state.ids[this.state.ids.length - 1] ?? "");
    return last === undefined || newestFirst(task, last) < 0;
  }

  private insert(fresh: readonly string[]): void {
    let ids = this.leaving.size > 0 ? this.state.ids.filter((id) => !this.leaving.has(id)) : this.state.ids;
    this.leaving.forEach((id) => this.members.delete(id));
    this.leaving.clear();
    this.held.clear();
    this.arriving.clear();
    this.insertedAt = performance.now();
    if (fresh.length > 0) {
      fresh.forEach((id) => this.members.add(id));
      ids = this.merge(fresh, ids);
      this.grown += fresh.length;
    }
    this.set({ ids, held: this.held.size });
    if (this.grown > GROWN_MOST && this.isOpen() && !this.fetching) void this.reload();
  }

  /** Join newcomers and the list, both newest first. Newcomers belong near the top, so few rows are looked at. */
  private merge(fresh: readonly string[], ids: readonly string[]): string[] {
    const known = (id: string): Task[] => {
      const task = this.rows.get(id);
      return task ? [task] : [];
    };
    const newcomers = fresh.flatMap(known).sort(newestFirst);
    const head: string[] = [];
    let at = 0;
    for (const task of newcomers) {
      for (; at < ids.length; at += 1) {
        const other = this.rows.get(ids[at] ?? "");
        if (other && newestFirst(task, other) < 0) break;
        head.push(ids[at] ?? "");
      }
      head.push(task.task_id);
    }
    return head.concat(ids.slice(at));
  }

  private set(change: Partial<ListState>): void {
    this.state = { ...this.state, ...change };
    this.listeners.forEach((listener) => listener());
  }
}
