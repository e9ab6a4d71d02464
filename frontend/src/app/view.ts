import { useSyncExternalStore } from "react";

import { STATUSES } from "#/services/types";
import type { Status, TaskFilters, TaskQuery } from "#/services/types";

import { currentPlace, goTo, hrefTo, onPlace } from "./place";

export const SORTS = [
  "task_id",
  "name",
  "status",
  "kind",
  "queue",
  "user_id",
  "created_at",
  "started_at",
  "finished_at",
] as const;
export type SortKey = (typeof SORTS)[number];
export const DEFAULT_SORT = "-created_at";

/**
 * What is on the screen, as the address bar tells it. Of times, `since` may be told by its distance: `15m`, `24h`, `7d`.
 */
export interface View extends TaskQuery {
  task: string | null;
}

const TEXTS = ["name", "user", "kind", "queue", "worker", "since", "until", "error", "search", "text"] as const;

export const NO_FILTERS: TaskFilters = {
  status: [],
  name: "",
  user: "",
  kind: "",
  queue: "",
  worker: "",
  since: "",
  until: "",
  error: "",
  search: "",
  text: "",
};

const isStatus = (text: string): text is Status => (STATUSES as readonly string[]).includes(text);
const isSort = (text: string): boolean => (SORTS as readonly string[]).includes(text.replace(/^-/, ""));

/** Read a view from a query string; what it does not know it leaves out. */
export function parseView(search: string): View {
  const values = new URLSearchParams(search);
  const text = (key: string): string => values.get(key) ?? "";
  const sort = text("sort");
  const texts = Object.fromEntries(TEXTS.map((key) => [key, text(key)])) as Record<(typeof TEXTS)[number], string>;
  for (const key of ["since", "until"] as const) if (!isTime(texts[key])) texts[key] = "";
  return {
    ...texts,
    status: STATUSES.filter((status) => text("status").split(",").filter(isStatus).includes(status)),
    sort: isSort(sort) ? sort : DEFAULT_SORT,
    task: values.get("task"),
  };
}

const SPAN = /^(\d{1,4})([mhd])$/;
const SPAN_MS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };
const isTime = (text: string): boolean => text === "" || SPAN.test(text) || !Number.isNaN(Date.parse(text));

/** The moment that a time of a view stands for: a distance is counted back from now, to whole seconds. */
export function momentOf(text: string, now = Date.now()): string {
  const [, count, unit] = SPAN.exec(text) ?? [];
  if (count === undefined || unit === undefined) return text === "" ? "" : new Date(text).toISOString();
  const at = now - Number(count) * (SPAN_MS[unit] ?? 0);
  return new Date(Math.floor(at / 1000) * 1000).toISOString();
}

/** Write a view as a query string, leaving out what is as always. */
export function formatView(view: View): string {
  const values = new URLSearchParams();
  if (view.status.length > 0) values.set("status", view.status.join(","));
  for (const key of TEXTS) if (view[key]) values.set(key, view[key]);
  if (view.sort !== DEFAULT_SORT) values.set("sort", view.sort);
  if (view.task !== null) values.set("task", view.task);
  const text = values.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  return text ? `?${text}` : "";
}

let parsed: { search: string; view: View } | null = null;

/** The view as the address tells it; on another page than the list, the usual one. */
function read(): View {
  const { path, search } = currentPlace();
  const text = path === "" ? search : "";
  if (parsed?.search !== text) parsed = { search: text, view: parseView(text) };
  return parsed.view;
}

/**
 * Change the view, and the address with it. `push` makes a step to come back to; typing and moving along the list
 * only replace the one we stand on. From another page it leads to the list.
 */
export function changeView(change: Partial<View>, how: "push" | "replace" = "push"): void {
  const before = formatView(read());
  const after = formatView({ ...read(), ...change });
  if (after === before) return;
  goTo(hrefTo("", after), how);
}

/** Show another view as a whole, as a step to come back from. */
export function showView(view: View): void {
  goTo(hrefTo("", formatView(view)));
}

export const useView = (): View => useSyncExternalStore(onPlace, read);
export const currentView = (): View => read();

/** Return the part of a view that the list is asked for, its times as moments. */
export function queryOf(view: View, now = Date.now()): TaskQuery {
  const { task: _task, ...query } = view;
  return { ...query, since: momentOf(query.since, now), until: momentOf(query.until, now) };
}

/** Return whether a view leaves anything out. */
export const isFiltered = (view: TaskFilters): boolean => view.status.length > 0 || TEXTS.some((key) => view[key] !== "");
