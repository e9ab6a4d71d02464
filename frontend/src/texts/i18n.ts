import { i18n } from "@lingui/core";
import type { Messages } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { useLingui } from "@lingui/react";

import type { Units } from "./format";
import { formatDuration, formatTicking, formatWhole } from "./format";

export const LANGUAGES = ["en", "ru"] as const;
export type Language = (typeof LANGUAGES)[number];

const KEY = "orakul.language";
const LOADERS: Record<Language, () => Promise<{ messages: Messages }>> = {
  en: () => import("#/locales/en.po"),
  ru: () => import("#/locales/ru.po"),
};

function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage may be forbidden
  }
}

/** The language chosen earlier, else the browser's first that we speak, else English. */
export function preferredLanguage(): Language {
  const wishes = [stored(), ...navigator.languages].map((tag) => tag?.slice(0, 2).toLowerCase());
  return LANGUAGES.find((language) => language === wishes.find((wish) => LANGUAGES.some((one) => one === wish))) ?? "en";
}

export async function speak(language: Language, remember = false): Promise<void> {
  const { messages } = await LOADERS[language]();
  i18n.loadAndActivate({ locale: language, messages });
  document.documentElement.lang = language;
  if (!remember) return;
  try {
    localStorage.setItem(KEY, language);
  } catch {
    // it holds for this visit
  }
}

const UNITS = { ms: msg`ms`, s: msg`s`, min: msg`min`, h: msg`h`, d: msg`d` };

const unitsOf = new Map<string, Units>();

function useUnits(): Units {
  const { i18n: texts } = useLingui();
  const known = unitsOf.get(texts.locale);
  if (known) return known;
  const [ms, s, min, h, d] = [UNITS.ms, UNITS.s, UNITS.min, UNITS.h, UNITS.d].map((unit) => texts._(unit)) as Five;
  const units = { ms, s, min, h, d };
  unitsOf.set(texts.locale, units);
  return units;
}

type Five = [string, string, string, string, string];

/** Durations in the language of the page. */
export function useDuration(): (ms: number) => string {
  const locale = useLocale();
  const units = useUnits();
  return (ms) => formatDuration(locale, units, ms);
}

/** Durations that still grow: in whole seconds, so that nothing flickers. */
export function useTicking(): (ms: number) => string {
  const locale = useLocale();
  const units = useUnits();
  return (ms) => formatTicking(locale, units, ms);
}

export function useWhole(): (ms: number) => string {
  const locale = useLocale();
  const units = useUnits();
  return (ms) => formatWhole(locale, units, ms);
}

/** The tag by which numbers and times are written. */
export const useLocale = (): string => useLingui().i18n.locale;

export { i18n };
