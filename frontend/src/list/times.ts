import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { useLingui } from "@lingui/react";

import { formatFull } from "#/texts/format";

/** Distances in time that are offered, as addresses have them. */
export const SPANS: readonly [string, MessageDescriptor][] = [
  ["15m", msg`Last 15 minutes`],
  ["1h", msg`Last hour`],
  ["6h", msg`Last 6 hours`],
  ["24h", msg`Last 24 hours`],
  ["7d", msg`Last 7 days`],
  ["30d", msg`Last 30 days`],
];

/** Words for a time of the view: a distance by its name, a moment as the clock on the wall says. */
export function useTimeText(): (time: string) => string {
  const { i18n } = useLingui();
  return (time) => {
    const span = SPANS.find(([key]) => key === time);
    if (span) return i18n._(span[1]);
    return Number.isNaN(Date.parse(time)) ? time : formatFull(i18n.locale, time);
  };
}

const two = (value: number): string => String(value).padStart(2, "0");

/** Write a moment as a field of day and time has it, in the browser's own zone; "" for none. */
export function localField(iso: string): string {
  const at = new Date(iso);
  if (iso === "" || Number.isNaN(at.getTime())) return "";
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** Read such a field as a moment; "" for what is none. */
export function fromField(text: string): string {
  const at = new Date(text);
  return text === "" || Number.isNaN(at.getTime()) ? "" : at.toISOString();
}
