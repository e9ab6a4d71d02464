/** The part of the one door to the API that the page of reactions goes through: fetched with it. */
import { request } from "./http";
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Rule = Schemas["Rule"];
export type RuleItem = Schemas["RuleItem"];
export type RuleList = Schemas["RuleList"];
export type NotifierItem = Schemas["NotifierItem"];
export type RulePreview = Schemas["RulePreview"];
export type Tried = Schemas["Tried"];

const one = (ruleId: string): string => `api/rules/${encodeURIComponent(ruleId)}`;

export const rulesApi = {
  list: (signal?: AbortSignal) => request<RuleList>("api/rules", { signal }),
  create: (form: Rule) => request<RuleItem>("api/rules", { method: "POST", json: form }),
  change: (ruleId: string, form: Rule) => request<RuleItem>(one(ruleId), { method: "PUT", json: form }),
  remove: (ruleId: string) => request<unknown>(one(ruleId), { method: "DELETE" }),
  tryOut: (ruleId: string) => request<Tried>(`${one(ruleId)}/try`, { method: "POST" }),
  preview: (ruleId: string, signal?: AbortSignal) => request<RulePreview>(`${one(ruleId)}/preview`, { signal }),
  previewOf: (form: Rule) => request<RulePreview>("api/rules/preview", { method: "POST", json: form }),
};
