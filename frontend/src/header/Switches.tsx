import { useLingui } from "@lingui/react/macro";

import { Icon } from "#/pieces/Icon";
import type { IconName } from "#/pieces/Icon";
import { speak } from "#/texts/i18n";

import type { Theme } from "./theme";
import { setTheme, useTheme } from "./theme";

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const ICONS: Record<Theme, IconName> = { system: "system", light: "sun", dark: "moon" };

export function ThemeSwitch() {
  const { t } = useLingui();
  const theme = useTheme();
  const name = { system: t`as the system`, light: t`light`, dark: t`dark` }[theme];
  const label = t`Theme: ${name}`;
  return (
    <button type="button" className="button-icon" aria-label={label} title={label} onClick={() => setTheme(NEXT[theme])}>
      <Icon name={ICONS[theme]} />
    </button>
  );
}

/** Names the language it leads to, in that language: who needs it may not read the other. */
export function LanguageSwitch() {
  const { i18n } = useLingui();
  const russian = i18n.locale === "ru";
  return (
    <button
      type="button"
      className="button-quiet language"
      lang={russian ? "en" : "ru"}
      title={russian ? "Switch to English" : "Переключить на русский"}
      aria-label={russian ? "EN, switch to English" : "RU, переключить на русский"}
      onClick={() => void speak(russian ? "en" : "ru", true)}
    >
      {russian ? "EN" : "RU"}
    </button>
  );
}
