import { useSyncExternalStore } from "react";
import { flushSync } from "react-dom";

let printing = false;
const listeners = new Set<() => void>();

function set(now: boolean): void {
  if (printing === now) return;
  printing = now;
  flushSync(() => listeners.forEach((listener) => listener())); // the browser takes the page as it stands afterwards
}

const begin = (): void => set(true);
const end = (): void => set(false);

function subscribe(listener: () => void): () => void {
  if (listeners.size === 0) {
    addEventListener("beforeprint", begin);
    addEventListener("afterprint", end);
  }
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    removeEventListener("beforeprint", begin);
    removeEventListener("afterprint", end);
  };
}

/** Whether the page is being printed: then what is drawn as it is scrolled to is to stand there whole. */
export const usePrinting = (): boolean => useSyncExternalStore(subscribe, () => printing);
