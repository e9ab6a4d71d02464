/**
 * How well a typed text fits a title, 0 the best; null where it does not. Every word must begin a word of the title or
 * of the further words, or stand somewhere in them; a title that begins with the whole text comes first.
 */
export function rankOf(typed: string, title: string, also = ""): number | null {
  const low = title.toLowerCase();
  const whole = `${low} ${also.toLowerCase()}`;
  const wanted = typed.toLowerCase().split(/\s+/).filter(Boolean);
  if (low.startsWith(wanted.join(" "))) return 0;
  let rank = 1;
  for (const word of wanted) {
    const at = whole.indexOf(word);
    if (at < 0) return null;
    const begins = whole.split(/[^\p{L}\p{N}]+/u).some((one) => one.startsWith(word));
    rank = Math.max(rank, begins ? 1 : 2);
  }
  return rank;
}
