import { useCallback, useEffect, useLayoutEffect, useState } from "react";
import type { RefObject } from "react";
import { flushSync } from "react-dom";

const STEP = 8; // the window moves in steps, so that most frames of a scroll draw nothing anew
const OVERSCAN = 8;

export interface Window {
  first: number;
  last: number;
}

/**
 * Which rows of equal height can be seen. Nothing here grows with the number of rows: a hundred thousand cost what
 * a hundred do.
 */
export function useWindow(scroller: RefObject<HTMLElement | null>, count: number, rowHeight: number): Window {
  const [seen, setSeen] = useState<Window>({ first: 0, last: 40 });
  const look = useCallback(() => {
    const element = scroller.current;
    if (!element) return;
    const top = Math.floor(element.scrollTop / rowHeight / STEP) * STEP;
    const rows = Math.ceil(element.clientHeight / rowHeight / STEP) * STEP;
    const next = { first: Math.max(0, top - OVERSCAN), last: top + rows + OVERSCAN };
    setSeen((now) => (now.first === next.first && now.last === next.last ? now : next));
  }, [scroller, rowHeight]);
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    // In the same frame as the scroll: rows that came a frame later would be seen as a flash of nothing.
    const onScroll = () => flushSync(look);
    element.addEventListener("scroll", onScroll, { passive: true });
    const observer = new ResizeObserver(look);
    observer.observe(element);
    return () => {
      element.removeEventListener("scroll", onScroll);
      observer.disconnect();
    };
  }, [scroller, look]);
  useLayoutEffect(look, [look]);
  return { first: Math.min(seen.first, Math.max(0, count - 1)), last: Math.min(seen.last, count) };
}

/** The width of an element, as it changes. */
export function useWidth(element: RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(() => window.innerWidth);
  useLayoutEffect(() => {
    const target = element.current;
    if (!target) return;
    const observer = new ResizeObserver(() => setWidth(target.clientWidth));
    observer.observe(target);
    setWidth(target.clientWidth);
    return () => observer.disconnect();
  }, [element]);
  return width;
}
