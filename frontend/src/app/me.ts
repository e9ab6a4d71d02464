import { queryOptions } from "@tanstack/react-query";

import { api } from "#/services/api";
import { ApiError } from "#/services/http";
import type { Me } from "#/services/types";

const KNOWN = "orakul.known"; // read by public/theme.js before the first paint

/** Who is signed in; null where nobody is. */
async function whoAmI(signal: AbortSignal): Promise<Me | null> {
  try {
    return await api.me(signal);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return null;
    throw error;
  }
}

/** Keep for the next visit whether the frame of the room is what to paint first. */
export function remember(known: boolean): void {
  try {
    if (known) localStorage.setItem(KNOWN, "1");
    else localStorage.removeItem(KNOWN);
  } catch {
    // the next visit begins with the mark alone
  }
}

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: ({ signal }) => whoAmI(signal),
  retry: true,
  retryDelay: (count) => Math.min(10_000, 500 * 2 ** count),
  gcTime: Infinity,
});
