import { useEffect, useRef } from "react";

export interface Keys {
  enabled: () => boolean;
  down: () => void;
  up: () => void;
  extendDown: () => void;
  extendUp: () => void;
  open: () => void;
  close: () => void;
  search: () => void;
  retry: () => void;
  cancel: () => void;
  edit: () => void;
  pick: () => void;
  pickAll: () => void;
  hold: () => void;
  showNew: () => void;
  list: () => void;
  keys: () => void;
}

type Action = Exclude<keyof Keys, "enabled">;

const ANYWHERE: Record<string, Action> = {
  j: "down",
  k: "up",
  J: "extendDown",
  K: "extendUp",
  x: "pick",
  h: "hold",
  n: "showNew",
  l: "list",
  "/": "search",
  r: "retry",
  c: "cancel",
  e: "edit",
  "?": "keys",
  Escape: "close",
};
const ON_LIST: Record<string, Action> = { ArrowDown: "down", ArrowUp: "up", Enter: "open" };
const ON_LIST_SHIFTED: Record<string, Action> = { ArrowDown: "extendDown", ArrowUp: "extendUp" };
/** The letters of a Russian keyboard, by the Latin ones in their places. */
const RUSSIAN: Record<string, string> = { о: "j", л: "k", О: "J", Л: "K", ч: "x", р: "h", т: "n", д: "l", к: "r", с: "c", у: "e" };

export const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));

/** Boxes and buttons of choice take the space bar and the arrows, but no letters. */
const isBox = (target: EventTarget | null): boolean => target instanceof HTMLInputElement && target.type === "checkbox";

/** Which action a key stands for where the focus is; null where it is not ours. */
export function actionFor(event: KeyboardEvent): Action | null {
  if (event.altKey || event.defaultPrevented) return null;
  const { target } = event;
  const onList = target === document.body || (target instanceof Element && target.getAttribute("role") === "grid");
  if (event.ctrlKey || event.metaKey) return onList && event.code === "KeyA" ? "pickAll" : null;
  if (isTyping(target) && !isBox(target)) {
    if (event.key === "Escape" && target instanceof HTMLElement) target.blur();
    return null;
  }
  if (target instanceof Element && target.closest("[role=menu], [role=dialog], [role=alertdialog]")) return null;
  const key = /[а-я]/i.test(event.key) ? (RUSSIAN[event.key] ?? event.key) : event.key;
  const shifted = event.shiftKey && onList ? ON_LIST_SHIFTED[key] : undefined;
  return shifted ?? ANYWHERE[key] ?? (onList ? (ON_LIST[key] ?? null) : null);
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
