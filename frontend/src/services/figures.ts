/** The part of the one door to the API that the pages beside the list go through: fetched with the first of them. */
import { query, request } from "./http";
import type { components } from "./schema";
import type { Page } from "./types";

type Schemas = components["schemas"];

export type Chart = Schemas["Chart"];
export type ChartPoint = Schemas["ChartPoint"];
export type Spread = Schemas["Spread"];
export type Insights = Schemas["Insights"];
export type NameFigures = Schemas["NameFigures"];
export type Bottleneck = Schemas["Bottleneck"];
export type ErrorGroup = Schemas["ErrorGroup"];
export type ErrorGroups = Schemas["ErrorGroups"];
export type AuditEntry = Schemas["AuditEntry"];
export type Worker = Schemas["WorkerItem"];

/** Of which tasks a chart is made; empty texts do not filter. */
export interface ChartFilter {
  name: string;
  queue: string;
  kind: string;
}

export interface AuditFilter {
  author: string;
  type: string;
  task_id: string;
}

export const figures = {
  chart: (filter: ChartFilter, since: Date, until: Date, signal?: AbortSignal) =>
    request<Chart>(`api/charts${query({ ...filter, from: since.toISOString(), to: until.toISOString() })}`, { signal }),
  insights: (days: number, signal?: AbortSignal) => request<Insights>(`api/insights${query({ days })}`, { signal }),
  errors: (filter: { name: string; queue: string; since: string }, signal?: AbortSignal) =>
    request<ErrorGroups>(`api/errors${query(filter)}`, { signal }),
  audit: (filter: AuditFilter, after: string | null, signal?: AbortSignal) =>
    request<Page<AuditEntry>>(`api/audit${query({ ...filter, after })}`, { signal }),
  workers: (signal?: AbortSignal) => request<Page<Worker>>("api/workers", { signal }),
};
