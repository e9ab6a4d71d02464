import { keepPreviousData, useQuery } from "@tanstack/react-query";
import type { UseQueryResult } from "@tanstack/react-query";

import { figures } from "#/services/figures";
import type { Chart, ChartFilter } from "#/services/figures";

import { againAfter, lengthOf } from "./ranges";
import type { Range } from "./ranges";

/** A chart up to now, read anew as its right end grows. */
export function useChart(filter: ChartFilter, range: Range): UseQueryResult<Chart> {
  return useQuery({
    queryKey: ["chart", filter, range],
    queryFn: ({ signal }) => {
      const until = new Date();
      return figures.chart(filter, new Date(until.getTime() - lengthOf(range)), until, signal);
    },
    refetchInterval: againAfter(range),
    placeholderData: keepPreviousData,
    staleTime: 1_000,
  });
}
