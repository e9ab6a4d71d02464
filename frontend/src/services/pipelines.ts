/** The part of the one door to the API that the page of pipelines goes through: fetched with it. */
import { request } from "./http";
import type { components } from "./schema";

type Schemas = components["schemas"];

/** A rule of data quality that a run broke. */
export interface Warning {
  rule: string;
  message: string;
  kind?: "rows_lost" | "share_lost" | "fewer_rows" | "late";
  value?: number;
  threshold?: number;
  usual?: number | null;
}

type With<T> = Omit<T, "data_quality"> & { data_quality: Warning[] };
export type RunPoint = With<Schemas["RunPoint"]>;
export type Verdict = RunPoint["verdict"];
export type Pipeline = Omit<With<Schemas["PipelineState"]>, "runs"> & { runs: RunPoint[] };

export interface Pipelines {
  items: Pipeline[];
  partial: boolean;
}

export const pipelinesApi = {
  list: (signal?: AbortSignal) => request<Pipelines>("api/pipelines", { signal }),
};
