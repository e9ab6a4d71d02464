import { useLingui } from "@lingui/react/macro";
import { useState } from "react";
import type { SubmitEvent } from "react";

import { useExplain } from "#/app/commands";
import { LanguageSwitch, ThemeSwitch } from "#/header/Switches";
import { Icon, Mark } from "#/pieces/Icon";
import { api } from "#/services/api";
import { ApiError } from "#/services/http";

export function SignIn({ onEntered }: { onEntered: () => Promise<void> }) {
  const { t } = useLingui();
  const explain = useExplain();
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");

  const enter = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const field = (name: string): string => {
      const value = form.get(name);
      return typeof value === "string" ? value : "";
    };
    setBusy(true);
    setWrong("");
    try {
      await api.signIn(field("username"), field("password"));
      await onEntered();
    } catch (error) {
      const refused = error instanceof ApiError && [400, 401, 422].includes(error.status);
      const slowed = error instanceof ApiError && error.status === 429;
      setWrong(
        refused
          ? t`The name or the password is wrong.`
          : slowed
            ? t`Too many attempts. Wait a moment and try again.`
            : explain(error),
      );
      setBusy(false);
    }
  };

  return (
    <main className="signin">
      <div className="signin-corner">
        <LanguageSwitch />
        <ThemeSwitch />
      </div>
      <form className="signin-card" onSubmit={(event) => void enter(event)} aria-busy={busy}>
        <div className="signin-brand">
          <Mark size={40} />
          <h1>Orakul</h1>
        </div>
        <p className="signin-lead">{t`Mission control for background work`}</p>
        <label>
          <span>{t`Username`}</span>
          <input name="username" autoComplete="username" required autoFocus maxLength={200} autoCapitalize="none" spellCheck={false} />
        </label>
        <label>
          <span>{t`Password`}</span>
          <input name="password" type="password" autoComplete="current-password" required maxLength={1000} />
        </label>
        <div className="signin-wrong" role="alert">
          {wrong && (
            <>
              <Icon name="failed" />
              <span>{wrong}</span>
            </>
          )}
        </div>
        <button type="submit" className="button button-main button-wide" disabled={busy}>
          {busy ? t`Signing in…` : t`Sign in`}
        </button>
      </form>
    </main>
  );
}
