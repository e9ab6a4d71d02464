/**
 * The pages of the interface: one line each.
 *
 * A page is a folder `src/<page>/` whose component is the default export of a file that is loaded when the page is first
 * opened (so neither it nor its styles weigh on the first load; import its own `.css` there). It is given `rest`, what
 * follows its path in the address (`exports/7` → "7"), and wraps itself in `PageFrame` of `#/pieces/PageFrame`.
 * Its address is written with `hrefTo`, `hrefToList` and `searchOf` of `./place` and followed with `Link`: nothing here
 * knows under which prefix Orakul is served. `useAsked()` reads and changes the page's own query.
 *
 * To add one: a line in PAGES (path, title, icon, the key after `g`, who may see it, how to load it), `npm run texts`:
 *
 *     { path: "exports", title: msg`Exports`, icon: "file", key: "x", who: "all", component: lazy(() => import("#/exports/ExportsPage")) },
 *
 * Its place in the list is its place in the navigation; on a phone the first four stand in the bar, the rest under "More".
 */
import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { lazy } from "react";
import type { ComponentType, LazyExoticComponent } from "react";

import type { IconName } from "#/pieces/Icon";
import type { Me } from "#/services/types";

export interface PageProps {
  /** What follows the page's path in the address, without slashes at its ends. */
  rest: string;
}

export interface PageEntry {
  path: string;
  title: MessageDescriptor;
  icon: IconName;
  /** The key that leads here, pressed after `g`; a Latin letter, found by its place on the keyboard. */
  key: string;
  /** `staff` are administrators and viewers. The server decides; this only leaves out what it would refuse. */
  who: "all" | "staff" | "admin";
  /** Null for the list, which is part of the first load. */
  component: LazyExoticComponent<ComponentType<PageProps>> | null;
}

export const PAGES: readonly PageEntry[] = [
  { path: "", title: msg`Tasks`, icon: "tasks", key: "t", who: "all", component: null },
  { path: "charts", title: msg`Charts`, icon: "chart", key: "c", who: "all", component: lazy(() => import("#/charts/ChartsPage")) },
  { path: "errors", title: msg`Errors`, icon: "errors", key: "e", who: "all", component: lazy(() => import("#/errors/ErrorsPage")) },
  { path: "fleet", title: msg`Queues and workers`, icon: "queues", key: "q", who: "staff", component: lazy(() => import("#/fleet/FleetPage")) },
  { path: "exports", title: msg`Exports`, icon: "download", key: "x", who: "all", component: lazy(() => import("#/exports/ExportsPage")) },
  { path: "pipelines", title: msg`Pipelines`, icon: "pipelines", key: "l", who: "all", component: lazy(() => import("#/pipelines/PipelinesPage")) },
  { path: "events", title: msg`Events`, icon: "events", key: "v", who: "staff", component: lazy(() => import("#/events/EventsPage")) },
  { path: "reactions", title: msg`Reactions`, icon: "reactions", key: "r", who: "staff", component: lazy(() => import("#/reactions/ReactionsPage")) },
  { path: "insights", title: msg`Insights`, icon: "insights", key: "i", who: "all", component: lazy(() => import("#/insights/InsightsPage")) },
  { path: "past", title: msg`Looking back`, icon: "past", key: "p", who: "all", component: lazy(() => import("#/past/PastPage")) },
  { path: "audit", title: msg`Audit`, icon: "audit", key: "a", who: "staff", component: lazy(() => import("#/audit/AuditPage")) },
  { path: "retention", title: msg`Retention`, icon: "retention", key: "d", who: "staff", component: lazy(() => import("#/retention/RetentionPage")) },
];

export const maySee = (entry: PageEntry, me: Me): boolean =>
  entry.who === "all" || me.role === "admin" || (entry.who === "staff" && me.role === "viewer");

/** The page of a path and what is left of the path; null where there is none. */
export function findPage(path: string, pages: readonly PageEntry[] = PAGES): { entry: PageEntry; rest: string } | null {
  const fits = (entry: PageEntry): boolean => path === entry.path || (entry.path !== "" && path.startsWith(`${entry.path}/`));
  const entry = pages.filter(fits).sort((a, b) => b.path.length - a.path.length)[0];
  return entry ? { entry, rest: path.slice(entry.path.length).replace(/^\/+/, "") } : null;
}
