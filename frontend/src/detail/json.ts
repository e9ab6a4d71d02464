import type { Json } from "#/services/types";

const OPEN_DEPTH = 5;
const OPEN_SIZE = 60;

export const sizeOf = (value: object): number => (Array.isArray(value) ? value.length : Object.keys(value).length);

/** Whether a branch is drawn folded at first: what is deep or large is. */
export const isFolded = (value: object, depth: number): boolean => depth >= OPEN_DEPTH || (depth > 0 && sizeOf(value) > OPEN_SIZE);

export interface Link {
  /** What a browser may follow: http and https only, so that a result cannot carry a script. */
  href: string | null;
  text: string;
}

const FILE = /^(?:file:\/\/)?(?:\/|[A-Za-z]:\\|\.{1,2}\/|s3:\/\/|gs:\/\/)[^\n\r\0]{1,1000}$/;

/** Read a text as an address or as a file's path; null where it is neither. */
export function linkIn(text: string): Link | null {
  if (text.length > 2_000) return null;
  if (/^https?:\/\/\S+$/i.test(text)) {
    try {
      return { href: new URL(text).href, text };
    } catch {
      return null;
    }
  }
  return FILE.test(text) ? { href: null, text } : null;
}

const FILE_KEYS = ["url", "href", "link", "file", "file_url", "path", "download_url"];

/** Find the file or address that a whole result stands for: a text, or an object with one key of that meaning. */
export function resultLink(result: Json): Link | null {
  if (typeof result === "string") return linkIn(result);
  if (result === null || typeof result !== "object" || Array.isArray(result)) return null;
  const record = result as Record<string, Json>;
  for (const key of FILE_KEYS) {
    const value = record[key];
    if (typeof value === "string") {
      const link = linkIn(value);
      if (link) return link;
    }
  }
  return null;
}
