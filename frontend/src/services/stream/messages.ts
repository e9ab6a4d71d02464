import type { LogLine, Summary, Task } from "../types";

/** What the stream's hub tells each tab. */
export type FromHub =
  /** The tab was silent for so long (it slept) that it was given up: it says hello again and reads anew. */
  | { kind: "lost" }
  | { kind: "state"; state: LinkState }
  | { kind: "batch"; tasks: Task[]; logs: LogLine[]; metrics: Summary | null }
  | { kind: "reset"; reason: string };

/** What a tab tells the hub. */
export type ToHub =
  | {
      kind: "hello";
      url: string;
      /** Who is signed in, as the tab knows it: the stream of one is never given to a tab of another. */
      who: string;
    }
  | { kind: "beat" }
  /** The tab knows that the server answers again: a connection that went dead meanwhile would not say so. */
  | { kind: "anew" }
  | { kind: "bye" };

export interface LinkState {
  phase: "connecting" | "live" | "reconnecting" | "refused";
  /** When the stream was last heard, in epoch milliseconds; null where it never was. */
  heardAt: number | null;
  /** Since when Orakul itself cannot follow its journal (an ISO moment): the stream is open, and nothing can come. */
  awaySince: string | null;
}
