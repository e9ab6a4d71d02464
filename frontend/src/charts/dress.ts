import { useEffect, useMemo, useRef } from "react";

import type { Chart } from "#/services/figures";
import { useLocale } from "#/texts/i18n";

import { useColours } from "./colours";
import type { Dress } from "./panels";

/** How charts are drawn now; the same object until theme or language change. */
export function useDress(chart: Chart | undefined): Dress {
  const colours = useColours();
  const locale = useLocale();
  const latest = useRef(chart);
  useEffect(() => {
    latest.current = chart;
  }, [chart]);
  return useMemo(
    () => ({
      colours,
      locale,
      now: () => (latest.current ? Date.parse(latest.current.until) / 1000 : null),
      step: () => latest.current?.step ?? 60,
    }),
    [colours, locale],
  );
}
