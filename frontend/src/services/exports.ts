/** The part of the one door to the API that the page of exports goes through: fetched with it. */
import { address } from "./base";
import { query, request } from "./http";
import type { components } from "./schema";
import type { Page, Task } from "./types";

type Schemas = components["schemas"];

export type Plan = Schemas["PlanShown"];
export type PlanGroup = Schemas["GroupShown"];
export type PlanScript = Schemas["ScriptShown"];
export type PlanList = Schemas["PlanList"];
export type ExportFile = Schemas["ExportFile"];

/** What to export: all groups of a plan, one group, or one script, of which columns may be chosen. */
export interface ExportOrder {
  plan: string;
  group?: string;
  script?: string;
  columns?: readonly number[];
}

export const exportsApi = {
  plans: (signal?: AbortSignal) => request<PlanList>("api/exports/plans", { signal }),
  runs: (cursor: string | null, signal?: AbortSignal) => request<Page<Task>>(`api/exports${query({ cursor, limit: 20 })}`, { signal }),
  start: (order: ExportOrder) => request<Task>("api/exports", { method: "POST", json: order }),
  files: (taskId: string, signal?: AbortSignal) =>
    request<Page<ExportFile>>(`api/exports/${encodeURIComponent(taskId)}/files`, { signal }),
  /** Where a file can be had; the session's cookie goes with it. */
  fileAddress: (file: ExportFile): string => address(file.href),
};

