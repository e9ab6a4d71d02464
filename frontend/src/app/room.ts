import { QueryClient } from "@tanstack/react-query";
import { createContext, use, useCallback, useSyncExternalStore } from "react";

import { LiveFeed } from "#/live/feed";
import { Rows } from "#/live/rows";
import { ApiError } from "#/services/http";
import type { Me, Task } from "#/services/types";

/** Commands given to tasks whose effect has not been seen yet. */
export type Command = "retry" | "cancel";

/** What all parts of the page share. */
export class Room {
  readonly rows = new Rows();
  readonly feed: LiveFeed;
  private readonly commands = new Map<string, { command: Command; mark: string }>();
  private readonly listeners = new Set<() => void>();

  constructor(readonly me: Me) {
    this.feed = new LiveFeed(this.rows, `${me.user_id}/${me.role}`);
  }

  command(taskId: string): Command | null {
    const given = this.commands.get(taskId);
    return given?.mark === this.mark(taskId) ? given.command : null;
  }

  /** Show a command as under way until the task is seen to have changed, or it is taken back (null). */
  setCommand(taskId: string, command: Command | null): void {
    if (command) this.commands.set(taskId, { command, mark: this.mark(taskId) });
    else this.commands.delete(taskId);
    this.listeners.forEach((listener) => listener());
  }

  readonly onCommand = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  private mark(taskId: string): string {
    const task = this.rows.get(taskId);
    return task ? `${task.attempt}/${task.run}/${task.status}` : "";
  }
}

const RoomContext = createContext<Room | null>(null);
export const RoomProvider = RoomContext.Provider;

export function useRoom(): Room {
  const room = use(RoomContext);
  if (!room) throw new Error("outside of a RoomProvider");
  return room;
}

/** A task as it now is, and nothing but that one. */
export function useTask(taskId: string): Task | undefined {
  const { rows } = useRoom();
  const subscribe = useCallback((listener: () => void) => rows.subscribe(taskId, listener), [rows, taskId]);
  return useSyncExternalStore(subscribe, () => rows.get(taskId));
}

export function useCommandOf(taskId: string): Command | null {
  const room = useRoom();
  return useSyncExternalStore(room.onCommand, () => room.command(taskId));
}

/** Answers are kept until the stream says that they have changed; what nobody answered is asked again. */
export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: Infinity,
      gcTime: 60_000,
      refetchOnWindowFocus: false,
      retry: (count, error) => count < 5 && error instanceof ApiError && (error.status === 0 || error.status >= 500),
      retryDelay: (count) => Math.min(8_000, 500 * 2 ** count),
    },
  },
});
