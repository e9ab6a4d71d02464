export interface Change {
  way: "slower" | "faster" | "same";
  times: number;
}

/** What a ratio of durations means: within a tenth nothing has changed, as histograms are no finer; null is new. */
export function changeOf(ratio: number | null): Change | null {
  if (ratio === null) return null;
  if (ratio > 1.1) return { way: "slower", times: ratio };
  if (ratio < 1 / 1.1) return { way: "faster", times: ratio > 0 ? 1 / ratio : Infinity };
  return { way: "same", times: 1 };
}
