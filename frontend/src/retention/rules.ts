import type { Going, Rules, RulesForm } from "#/services/figures";

export const DAYS_MOST = 3650;

/** What stands in the fields: texts, as somebody is typing. */
export interface Draft {
  tasks: string;
  events: string;
  logs: string;
  kinds: readonly { kind: string; days: string }[];
}

export const draftOf = (rules: Rules): Draft => ({
  tasks: String(rules.tasks_days),
  events: String(rules.events_days),
  logs: String(rules.logs_days),
  kinds: Object.entries(rules.kinds).map(([kind, days]) => ({ kind, days: String(days) })),
});

/** Whole days from 1 to ten years; null where the text says something else. */
export function daysOf(text: string): number | null {
  const days = /^\s*\d{1,4}\s*$/.test(text) ? Number(text) : 0;
  return days >= 1 && days <= DAYS_MOST ? days : null;
}

/** What a draft asks for; null where some of it is no number of days, or a kind stands twice. */
export function formOf(draft: Draft): RulesForm | null {
  const [tasks_days, events_days, logs_days] = [daysOf(draft.tasks), daysOf(draft.events), daysOf(draft.logs)];
  if (tasks_days === null || events_days === null || logs_days === null) return null;
  const kinds: Record<string, number> = {};
  for (const one of draft.kinds) {
    const kind = one.kind.trim();
    const days = daysOf(one.days);
    if (kind === "" && one.days.trim() === "") continue;
    if (kind === "" || /[=,]/.test(kind) || days === null || kind in kinds) return null;
    kinds[kind] = days;
  }
  return { tasks_days, events_days, logs_days, kinds };
}

export interface Sum {
  what: Going["what"];
  kind: string | null;
  days: number;
  first: string;
  last: string;
  count: number;
  bytes: number | null;
  held: number;
}

/** What would go, by what it is: days of one kind as one line. */
export function sumsOf(items: readonly Going[]): Sum[] {
  const sums = new Map<string, Sum>();
  for (const item of items) {
    const key = `${item.what}/${item.kind ?? ""}`;
    const known = sums.get(key);
    const { bytes } = item;
    if (!known) sums.set(key, { what: item.what, kind: item.kind, days: 1, first: item.day, last: item.day, count: item.count, bytes, held: item.held });
    else
      sums.set(key, {
        ...known,
        days: known.days + 1,
        first: item.day < known.first ? item.day : known.first,
        last: item.day > known.last ? item.day : known.last,
        count: known.count + item.count,
        bytes: bytes === null ? known.bytes : (known.bytes ?? 0) + bytes,
        held: known.held + (item.held),
      });
  }
  return [...sums.values()];
}
