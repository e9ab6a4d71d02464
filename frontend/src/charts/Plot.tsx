import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import "./charts.css";

interface Props {
  /** Must be the same object while nothing but the data changes. */
  options: Omit<uPlot.Options, "width" | "height">;
  data: uPlot.AlignedData;
  height: number;
  /** What is drawn, in words: a canvas says nothing to a screen reader. */
  label: string;
  onReady?: (plot: uPlot | null) => void;
}

/** A chart of uPlot that is as wide as its place and follows its data. */
export function Plot({ options, data, height, label, onReady }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef({ data, onReady });
  useEffect(() => {
    latest.current = { data, onReady };
  });
  useEffect(() => {
    const target = place.current;
    if (!target) return;
    const made = new uPlot({ ...options, width: Math.max(80, target.clientWidth), height }, latest.current.data, target);
    plot.current = made;
    latest.current.onReady?.(made);
    const watcher = new ResizeObserver(() => {
      const width = Math.max(80, target.clientWidth);
      if (width !== made.width) made.setSize({ width, height });
    });
    watcher.observe(target);
    return () => {
      watcher.disconnect();
      latest.current.onReady?.(null);
      made.destroy();
      plot.current = null;
    };
  }, [options, height]);
  useEffect(() => {
    plot.current?.setData(data);
    if (plot.current) latest.current.onReady?.(plot.current);
  }, [data]);
  return <div ref={place} className="plot" role="img" aria-label={label} />;
}
