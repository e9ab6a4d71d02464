import { useEffect, useRef } from "react";

import { isTyping } from "./useKeys";

const PATIENCE_MS = 1_500;

/** The letter of a key whatever language the keyboard is set to. */
const letterOf = (event: KeyboardEvent): string =>
  /^[a-z]$/i.test(event.key) ? event.key.toLowerCase() : (/^Key([A-Z])$/.exec(event.code)?.[1]?.toLowerCase() ?? event.key);

/** `g` and a letter lead to a page; `onLetter` says whether there is one. Comes before all other keys. */
export function usePageKeys(onLetter: (letter: string) => boolean, onSheet: () => void): void {
  const latest = useRef({ onLetter, onSheet });
  useEffect(() => {
    latest.current = { onLetter, onSheet };
  });
  useEffect(() => {
    let begun = -Infinity;
    const onKey = (event: KeyboardEvent) => {
      const { target } = event;
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(target)) return;
      if (["Shift", "CapsLock"].includes(event.key)) return;
      if (document.querySelector("[role=dialog], [role=alertdialog]")) return;
      const letter = letterOf(event);
      const waiting = event.timeStamp - begun < PATIENCE_MS;
      begun = -Infinity;
      let ours = false;
      if (waiting) ours = latest.current.onLetter(letter);
      else if (letter === "g") {
        begun = event.timeStamp;
        ours = true;
      } else if (event.key === "?") {
        latest.current.onSheet();
        ours = true;
      }
      if (!ours) return;
      event.preventDefault();
      event.stopPropagation();
    };
    addEventListener("keydown", onKey, true);
    return () => removeEventListener("keydown", onKey, true);
  }, []);
}
