import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect } from "react";

import { queries, useRoom } from "#/app/room";
import { api } from "#/services/api";
import type { Counts, Status, TaskQuery } from "#/services/types";
import { formatCount } from "#/texts/format";

const AGAIN_MS = 3_000; // counting costs the database more than a page of the list does
const KEY = "counts";

/** How many tasks of each status the other filters leave; read again, not too often, when the stream says anything. */
export function useCounts(query: TaskQuery): Counts | undefined {
  const { feed } = useRoom();
  const { sort: _sort, ...filters } = { ...query, status: [] };
  const key = JSON.stringify(filters);
  const counts = useQuery({
    queryKey: [KEY, key],
    queryFn: ({ signal }) => api.counts(filters, signal),
    placeholderData: keepPreviousData,
    retry: false,
  });
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        if (!document.hidden) void queries.invalidateQueries({ queryKey: [KEY, key] });
      }, AGAIN_MS);
    };
    const unfollow = feed.follow({ tasks: again, reset: again });
    document.addEventListener("visibilitychange", again);
    return () => {
      clearTimeout(timer);
      unfollow();
      document.removeEventListener("visibilitychange", again);
    };
  }, [feed, key]);
  return counts.data;
}

/** A bounded count as it is written: `1,234`, or `10,000+` where there are more than were counted. */
export function countText(locale: string, counts: Counts | undefined, statuses: readonly Status[]): string | null {
  if (!counts) return null;
  const some = counts.items.filter((one) => statuses.includes(one.status));
  const sum = some.reduce((total, one) => total + one.count, 0);
  return `${formatCount(locale, sum)}${some.some((one) => one.capped || one.partial) ? "+" : ""}`;
}
