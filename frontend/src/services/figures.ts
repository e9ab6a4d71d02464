/** The part of the one door to the API that the pages beside the list go through: fetched with the first of them. */
import { query, request } from "./http";
import type { components } from "./schema";
import type { Page, Status, Task } from "./types";

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

export type MomentQueue = Schemas["MomentQueue"];
export type MomentRange = Schemas["MomentRange"];
export type Turn = Schemas["Turn"];
export type Rules = Schemas["Rules"];
export type Going = Schemas["Going"];
export type Preview = Schemas["Preview"];

/** The room at a moment; counts and queues come with the first page. */
export interface Moment {
  at: string;
  counts: { status: Status; count: number; capped: boolean; partial: boolean }[] | null;
  queues: MomentQueue[] | null;
  items: Task[];
  next: string | null;
  partial: boolean;
}

/** Which tasks of a moment; `status` is the status then. */
export interface MomentFilter {
  status: string;
  name: string;
  queue: string;
}

/** Days to keep things; null: what the settings say. */
export interface RulesForm {
  tasks_days: number | null;
  events_days: number | null;
  logs_days: number | null;
  kinds: Record<string, number>;
}

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
  moments: (signal?: AbortSignal) => request<MomentRange>("api/moment/range", { signal }),
  moment: (at: string, filter: MomentFilter, cursor: string | null, signal?: AbortSignal) =>
    request<Moment>(`api/moment${query({ at, ...filter, cursor, limit: 100 })}`, { signal }),
  turns: (from: string, to: string, filter: Omit<MomentFilter, "status">, cursor: string | null, signal?: AbortSignal) =>
    request<Page<Turn>>(`api/moment/changes${query({ from, to, ...filter, cursor, limit: 1000 })}`, { signal }),
  rules: (signal?: AbortSignal) => request<Rules>("api/retention", { signal }),
  setRules: (form: RulesForm, reason: string) =>
    request<Rules>("api/retention", { method: "PUT", json: { ...form, ...(reason ? { reason } : {}) } }),
  previewRules: ({ kinds, ...days }: RulesForm, signal?: AbortSignal) =>
    request<Preview>(`api/retention/preview${query({ ...days, kinds: Object.entries(kinds).map(([kind, keep]) => `${kind}=${keep}`) })}`, {
      signal,
    }),
  workers: (signal?: AbortSignal) => request<Page<Worker>>("api/workers", { signal }),
};
