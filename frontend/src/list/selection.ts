/** What is selected in a list: some tasks, or all that its filters fit, also those that are not on the page. */
export interface Picked {
  ids: ReadonlySet<string>;
  all: boolean;
}

const NOTHING: Picked = { ids: new Set(), all: false };

/** The most tasks that one job takes by their names; more are commanded by the filter. */
export const NAMED_MOST = 1_000;

/** The selection of a list. Rows listen to it one by one. */
export class Selection {
  private picked: Picked = NOTHING;
  private anchor: string | null = null;
  private readonly listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  readonly snapshot = (): Picked => this.picked;

  has(taskId: string): boolean {
    return this.picked.all || this.picked.ids.has(taskId);
  }

  isEmpty(): boolean {
    return !this.picked.all && this.picked.ids.size === 0;
  }

  /** Select a task or take it out. Out of "all", what is on the page stays selected. */
  toggle(taskId: string, onPage: readonly string[]): void {
    const ids = new Set(this.picked.all ? onPage.slice(0, NAMED_MOST) : this.picked.ids);
    if (!ids.delete(taskId)) ids.add(taskId);
    this.anchor = taskId;
    this.set({ ids, all: false });
  }

  /** Select all from the task that was touched last to this one. */
  extend(taskId: string, onPage: readonly string[]): void {
    const to = onPage.indexOf(taskId);
    const from = this.anchor === null ? to : onPage.indexOf(this.anchor);
    if (to < 0) return;
    const [first, last] = from < 0 ? [to, to] : [Math.min(from, to), Math.max(from, to)];
    this.set({ ids: new Set([...this.picked.ids, ...onPage.slice(first, last + 1)]), all: false });
    this.anchor = from < 0 ? taskId : this.anchor;
  }

  /** Select these and no others. */
  only(taskIds: readonly string[]): void {
    this.set({ ids: new Set(taskIds.slice(0, NAMED_MOST)), all: false });
  }

  everything(): void {
    this.set({ ids: this.picked.ids, all: true });
  }

  clear(): void {
    this.anchor = null;
    if (!this.isEmpty()) this.set(NOTHING);
  }

  private set(picked: Picked): void {
    this.picked = picked;
    this.listeners.forEach((listener) => listener());
  }
}
