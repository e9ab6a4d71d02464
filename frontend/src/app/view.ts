import { useSyncExternalStore } from "react";

import { STATUSES } from "#/services/types";
import type { Status, TaskQuery } from "#/services/types";

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

/** What is on the screen, as the address bar tells it. */
export interface View extends TaskQuery {
  task: string | null;
}

const isStatus = (text: string): text is Status => (STATUSES as readonly string[]).includes(text);
const isSort = (text: string): boolean => (SORTS as readonly string[]).includes(text.replace(/^-/, ""));

/** Read a view from a query string; what it does not know it leaves out. */
export function parseView(search: string): View {
  const values = new URLSearchParams(search);
  const text = (key: string): string => values.get(key) ?? "";
  const sort = text("sort");
  return {
    status: STATUSES.filter((status) => text("status").split(",").filter(isStatus).includes(status)),
    name: text("name"),
    user: text("user"),
    kind: text("kind"),
    queue: text("queue"),
    search: text("search"),
    sort: isSort(sort) ? sort : DEFAULT_SORT,
    task: values.get("task"),
  };
}

/** Write a view as a query string, leaving out what is as always. */
export function formatView(view: View): string {
  const values = new URLSearchParams();
  if (view.status.length > 0) values.set("status", view.status.join(","));
  for (const key of ["name", "user", "kind", "queue", "search"] as const) if (view[key]) values.set(key, view[key]);
  if (view.sort !== DEFAULT_SORT) values.set("sort", view.sort);
  if (view.task !== null) values.set("task", view.task);
  const text = values.toString().replaceAll("%2C", ",");
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

export const useView = (): View => useSyncExternalStore(onPlace, read);
export const currentView = (): View => read();

/** Return the part of a view that the list is asked for. */
export function queryOf(view: View): TaskQuery {
  const { task: _task, ...query } = view;
  return query;
}
