import { address } from "./base";
import type { Problem } from "./types";

/** The API's answer was an error: a problem document (RFC 9457), or none at all (`status` 0: nobody answered). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    /** The whole problem document, where there was one. */
    readonly problem: Partial<Problem> = {},
  ) {
    super(detail || title || `HTTP ${status}`);
    this.name = "ApiError";
  }
}

let onExpired: () => void = () => undefined;

/** Say what is to happen when the API answers that nobody is signed in. */
export function whenSessionExpires(handler: () => void): void {
  onExpired = handler;
}

interface Options {
  method?: "GET" | "POST" | "PUT" | "DELETE";
  json?: unknown;
  form?: Record<string, string>;
  bearer?: string;
  signal?: AbortSignal | undefined;
  /** A 401 here is an answer, not the end of a session. */
  anonymous?: boolean;
}

async function problem(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null) {
      const { title, detail } = body as { title?: unknown; detail?: unknown };
      return new ApiError(
        response.status,
        typeof title === "string" ? title : response.statusText,
        typeof detail === "string" ? detail : "",
        body,
      );
    }
  } catch {
    // not JSON: a proxy's own page, of which only the status is of use
  }
  return new ApiError(response.status, response.statusText, "");
}

export async function request<T>(path: string, options: Options = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  let body: BodyInit | null = null;
  if (options.json !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(options.json);
  } else if (options.form) {
    body = new URLSearchParams(options.form);
  }
  if (options.bearer) headers.Authorization = `Bearer ${options.bearer}`;
  let response: Response;
  try {
    response = await fetch(address(path), {
      method: options.method ?? "GET",
      headers,
      body,
      credentials: "same-origin",
      signal: options.signal ?? null,
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, "", "");
  }
  if (!response.ok) {
    if (response.status === 401 && !options.anonymous) onExpired();
    throw await problem(response);
  }
  const text = await response.text();
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

/** Write a query string, leaving out what is empty; a list becomes repeated keys. */
export function query(values: Record<string, string | number | readonly string[] | null | undefined>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === "") continue;
    if (typeof value === "object") value.forEach((one) => search.append(key, one));
    else search.set(key, String(value));
  }
  const text = search.toString();
  return text ? `?${text}` : "";
}
