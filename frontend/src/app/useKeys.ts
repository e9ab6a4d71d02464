import { useEffect, useRef } from "react";

export interface Keys {
  enabled: () => boolean;
  down: () => void;
  up: () => void;
  open: () => void;
  close: () => void;
  search: () => void;
  retry: () => void;
  cancel: () => void;
  keys: () => void;
}

type Action = Exclude<keyof Keys, "enabled">;

const ANYWHERE: Record<string, Action> = { j: "down", k: "up", "/": "search", r: "retry", c: "cancel", "?": "keys", Escape: "close" };
const ON_LIST: Record<string, Action> = { ArrowDown: "down", ArrowUp: "up", Enter: "open" };
/** The same keys where the keyboard is set to Russian. */
const RUSSIAN: Record<string, string> = { о: "j", л: "k", к: "r", с: "c" };

export const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));

/** Which action a key stands for where the focus is; null where it is not ours. */
export function actionFor(event: KeyboardEvent): Action | null {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return null;
  const { target } = event;
  if (isTyping(target)) {
    if (event.key === "Escape" && target instanceof HTMLElement) target.blur();
    return null;
  }
  if (target instanceof Element && target.closest("[role=menu], [role=dialog], [role=alertdialog]")) return null;
  const key = /[а-я]/.test(event.key) ? (RUSSIAN[event.key] ?? event.key) : event.key;
  const onList = target === document.body || (target instanceof Element && target.getAttribute("role") === "grid");
  return ANYWHERE[key] ?? (onList ? (ON_LIST[key] ?? null) : null);
}

export function useKeys(keys: Keys): void {
  const latest = useRef(keys);
  useEffect(() => {
    latest.current = keys;
  });
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const action = latest.current.enabled() ? actionFor(event) : null;
      if (action === null) return;
      event.preventDefault();
      latest.current[action]();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}
