import { lazy, memo, Suspense } from "react";
import type { ComponentType } from "react";

import { changeView, momentOf } from "#/app/view";
import type { View } from "#/app/view";

interface BrushProps {
  name: string;
  queue: string;
  kind: string;
  since: string;
  until: string;
  onChange: (since: string, until: string) => void;
}

const [load] = Object.values(import.meta.glob<{ default: ComponentType<BrushProps> }>("../charts/ThroughputBrush.tsx"));
const Brush = load ? lazy(load) : null;

const KEY = "orakul.chart";

export const hasBrush = Brush !== null;

export function brushIsOpen(): boolean {
  try {
    return localStorage.getItem(KEY) === "open";
  } catch {
    return false;
  }
}

export function keepBrush(open: boolean): void {
  try {
    localStorage.setItem(KEY, open ? "open" : "closed");
  } catch {
    // it holds for this visit
  }
}

/** The throughput over time, from which the list's time is brushed. */
export const BrushStrip = memo(function BrushStrip({ view }: { view: View }) {
  if (!Brush) return null;
  return (
    <div className="brush-strip">
      <Suspense fallback={null}>
        <Brush
          name={view.name}
          queue={view.queue}
          kind={view.kind}
          since={momentOf(view.since)}
          until={momentOf(view.until)}
          onChange={(since, until) => changeView({ since, until }, "replace")}
        />
      </Suspense>
    </div>
  );
});
