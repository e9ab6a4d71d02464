/** The part of the one door to the API that the page of domain events goes through: fetched with it. */
import { query, request } from "./http";
import type { components } from "./schema";

type Schemas = components["schemas"];

export type EventFigures = Schemas["EventFigures"];
export type Tally = Schemas["Tally"];
export type PublishedEvent = Schemas["PublishedEvent"];
export type PublishedPage = Schemas["PublishedPage"];
export type Journey = Schemas["Journey"];
export type JourneyStep = Schemas["JourneyStep"];
export type DeadTask = Schemas["DeadTask"];
export type Replayed = Schemas["Replayed"];

/** Which dead letters; empty texts do not filter. */
export interface DeadFilter {
  consumer: string;
  type: string;
}

const words = (text: string): string[] => text.split(",").map((word) => word.trim()).filter(Boolean);

export const eventsApi = {
  figures: (hours: number, signal?: AbortSignal) => request<EventFigures>(`api/events/figures${query({ hours })}`, { signal }),
  published: (type: string, before: number | null, signal?: AbortSignal) =>
    request<PublishedPage>(`api/events/published${query({ type, before, limit: 50 })}`, { signal }),
  journey: (eventId: string, signal?: AbortSignal) =>
    request<Journey>(`api/events/journey${query({ event_id: eventId })}`, { signal }),
  dead: (filter: DeadFilter, cursor: string | null, signal?: AbortSignal) =>
    request<{ items: DeadTask[]; next: string | null }>(`api/deadletters${query({ ...filter, cursor, limit: 50 })}`, { signal }),
  replay: (target: DeadFilter | { task_ids: readonly string[] }, reason: string) =>
    request<Replayed>("api/deadletters/replay", {
      method: "POST",
      json: {
        ...("task_ids" in target ? target : { filter: { consumer: words(target.consumer), type: words(target.type) } }),
        ...(reason ? { reason } : {}),
      },
    }),
};
