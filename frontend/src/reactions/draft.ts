import type { Rule } from "#/services/rules";

/** A rule while it is being written: lists as texts with commas, asked data as lines. */
export interface Draft {
  name: string;
  enabled: boolean;
  notify: readonly string[];
  event: string;
  kind: string;
  task: string;
  status: string;
  queue: string;
  data: string;
  times: string;
  every: string;
  limit: string;
  quiet: string;
  group: string;
  recovered: boolean;
  severity: string;
  title: string;
  text: string;
}

export const NEW: Draft = {
  name: "",
  enabled: true,
  notify: [],
  event: "task.failed",
  kind: "",
  task: "",
  status: "",
  queue: "",
  data: "",
  times: "",
  every: "5m",
  limit: "20 in 1h",
  quiet: "",
  group: "name, error.type",
  recovered: true,
  severity: "",
  title: "",
  text: "",
};

const words = (text: string): string[] => text.split(",").map((word) => word.trim()).filter(Boolean);
const list = (values: readonly string[] | undefined): string => (values ?? []).join(", ");

/** Values that are JSON are taken for it (10, true), anything else for text. */
function valueOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const dataOf = (text: string): Record<string, unknown> =>
  Object.fromEntries(
    text
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map((line) => {
        const [path = "", ...rest] = line.split(":");
        return [path.trim(), valueOf(rest.join(":").trim())];
      }),
  );

export function draftOf(rule: Rule): Draft {
  const { when } = rule;
  return {
    name: rule.name,
    enabled: rule.enabled ?? true,
    notify: rule.notify,
    event: list(when.event),
    kind: list(when.kind),
    task: list(when.name),
    status: list(when.status),
    queue: list(when.queue),
    data: Object.entries(when.data ?? {})
      .map(([path, value]) => `${path}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
      .join("\n"),
    times: rule.times ?? "",
    every: rule.every ?? "5m",
    limit: rule.limit ?? "",
    quiet: rule.quiet ?? "",
    group: list(rule.group),
    recovered: rule.recovered ?? false,
    severity: rule.severity ?? "",
    title: rule.title ?? "",
    text: rule.text ?? "",
  };
}

export function ruleOf(draft: Draft): Rule {
  const { notify, name, enabled, times, every, limit, quiet, recovered, title, text } = draft;
  return {
    name: name.trim(),
    notify: [...notify],
    enabled,
    times: times.trim(),
    every: every.trim() || "0s",
    limit: limit.trim(),
    quiet: quiet.trim(),
    recovered,
    title,
    text,
    group: words(draft.group),
    severity: (draft.severity || null) as Rule["severity"],
    when: {
      event: words(draft.event),
      kind: words(draft.kind),
      name: words(draft.task),
      status: words(draft.status),
      queue: words(draft.queue),
      data: dataOf(draft.data),
    },
  } as Rule;
}

/** What a rule asks for, in a few words. */
export function askedOf(rule: Rule): string[] {
  const { event = [], kind = [], name = [], status = [], queue = [], data = {} } = rule.when;
  return [...event, ...status, ...kind, ...name, ...queue, ...Object.entries(data).map(([path, value]) => `${path} ${typeof value === "string" ? value : JSON.stringify(value)}`)];
}
