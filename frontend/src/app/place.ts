import { useSyncExternalStore } from "react";

import { BASE } from "#/services/base";

/** Where we stand, below the prefix under which Orakul is served: `errors`, `exports/7`; the list is the empty path. */
export interface Place {
  path: string;
  search: string;
}

const root = (): string => new URL(BASE).pathname; // ends in a slash

/** The path of an address, without what a proxy or a host application has put before it. */
export function pathBelow(prefix: string, pathname: string): string {
  const rest = pathname.startsWith(prefix) ? pathname.slice(prefix.length) : "";
  const path = rest.replace(/\/+$/, "");
  return path === "index.html" ? "" : path;
}

/** An address of the interface, for links: never absolute, so that it holds under any prefix. */
export const hrefTo = (path: string, search = ""): string => `${root()}${path}${search}`;

type Asked = Record<string, string | number | readonly string[] | null | undefined>;

/** Write a query string as addresses of the interface have it: without what is empty, lists with commas. */
export function searchOf(asked: Asked): string {
  const values = new URLSearchParams();
  for (const [key, value] of Object.entries(asked)) {
    const text = Array.isArray(value) ? value.join(",") : String(value ?? "");
    if (text) values.set(key, text);
  }
  const text = values.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  return text ? `?${text}` : "";
}

/** The list, filtered: keys are those of the list's address (`status`, `name`, `queue`, `error`, `since`, `until` …). */
export const hrefToList = (asked: Asked): string => hrefTo("", searchOf(asked));

const here = (): Place => ({ path: pathBelow(root(), location.pathname), search: location.search });
const listeners = new Set<() => void>();
let current: Place | null = null;

const read = (): Place => (current ??= here());

function refresh(): void {
  const next = here();
  if (current?.path === next.path && current.search === next.search) return;
  current = next;
  listeners.forEach((listener) => listener());
}

/** Be told when the place has changed, by us or by "back". */
export function onPlace(listener: () => void): () => void {
  if (listeners.size === 0) {
    current = null;
    addEventListener("popstate", refresh);
  }
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) removeEventListener("popstate", refresh);
  };
}

/** Go to a place: `push` makes a step to come back to, `replace` takes the place of the one we stand on. */
export function goTo(href: string, how: "push" | "replace" = "push"): void {
  if (href === `${location.pathname}${location.search}`) return;
  if (how === "push") history.pushState(null, "", href);
  else history.replaceState(null, "", href);
  refresh();
}

export const currentPlace = (): Place => read();
export const usePlace = (): Place => useSyncExternalStore(onPlace, read);

/** The query of a page's own address, and a way to change some of it (empty values are left out). */
export function useAsked(): [URLSearchParams, (change: Asked, how?: "push" | "replace") => void] {
  const { path, search } = usePlace();
  const change = (some: Asked, how: "push" | "replace" = "push") => {
    const all = { ...Object.fromEntries(new URLSearchParams(currentPlace().search)), ...some };
    goTo(hrefTo(path, searchOf(all)), how);
  };
  return [new URLSearchParams(search), change];
}
