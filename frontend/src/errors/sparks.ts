/** Bars of a sparkline as one path: `counts` side by side, the tallest as high as the picture; none is not drawn. */
export function sparkPath(counts: readonly number[], width: number, height: number): string {
  const most = Math.max(1, ...counts);
  const step = width / Math.max(1, counts.length);
  return counts
    .map((count, at) => {
      if (count === 0) return "";
      const tall = Math.max(2, (count / most) * height);
      const left = (at * step).toFixed(1);
      return `M${left} ${height}v-${tall.toFixed(1)}h${(step - 1).toFixed(1)}v${tall.toFixed(1)}Z`;
    })
    .join("");
}
