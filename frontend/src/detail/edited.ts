import type { Json } from "#/services/types";

/** What is wrong with a text that is to be JSON of some form. */
export type Fault = { kind: "array" } | { kind: "object" } | { kind: "syntax"; at: Spot };

/** Counted from one; null where the browser does not say. */
interface Spot {
  line: number | null;
  column: number | null;
}

/** Where an error of the browser's JSON reader points, counted from one; browsers tell it each in a way of their own. */
function spotOf(message: string, text: string): Spot {
  const [, line, column] = /line (\d+),? column (\d+)/.exec(message) ?? [];
  if (line !== undefined && column !== undefined) return { line: Number(line), column: Number(column) };
  const position = /position (\d+)/.exec(message)?.[1];
  const at = position !== undefined ? Number(position) : /end of (?:JSON|data|input)/i.test(message) ? text.length : null;
  if (at === null) return { line: null, column: null };
  const before = text.slice(0, at).split("\n");
  return { line: before.length, column: (before[before.length - 1] ?? "").length + 1 };
}

/** Read a text as JSON of the wanted form; say what is wrong where it is not. */
export function readJson(text: string, form: "array" | "object"): { value: Json; fault: Fault | null } {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    return { value: null, fault: { kind: "syntax", at: spotOf(error instanceof Error ? error.message : "", text) } };
  }
  const is = Array.isArray(value) ? "array" : value !== null && typeof value === "object" ? "object" : "other";
  return { value, fault: is === form ? null : { kind: form } };
}
