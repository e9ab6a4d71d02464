import { useLingui } from "@lingui/react/macro";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import type { PageProps } from "#/app/pages";
import { useAsked } from "#/app/place";
import { PageFrame } from "#/pieces/PageFrame";
import { Answered } from "#/pieces/States";
import { eventsApi } from "#/services/events";

import { Counters } from "./Counters";
import { DeadLetters } from "./DeadLetters";
import "./events.css";
import { JourneyCard } from "./JourneyCard";
import { Published } from "./Published";

const AGAIN_MS = 3_000;
const TYPING_MS = 300;

/** Domain events: how they fare, the latest of them, the way of one, and those that nobody could handle. */
export default function EventsPage({ rest }: PageProps) {
  const { t } = useLingui();
  const [asked, ask] = useAsked();
  const type = asked.get("type") ?? "";
  const hours = Number(asked.get("hours") ?? "") || 24;
  const figures = useQuery({
    queryKey: ["event-figures", hours],
    queryFn: ({ signal }) => eventsApi.figures(hours, signal),
    refetchInterval: AGAIN_MS,
    placeholderData: keepPreviousData,
    staleTime: 1_000,
  });
  return (
    <PageFrame
      title={t`Events`}
      lead={t`What services tell each other, and what became of it`}
      tools={
        <>
          <TypeFilter value={type} onTake={(next) => ask({ type: next }, "replace")} />
          <span className="field field-choice">
            <select value={hours} aria-label={t`Time`} onChange={(event) => ask({ hours: event.target.value })}>
              <option value={1}>{t`This hour`}</option>
              <option value={24}>{t`24 hours`}</option>
              <option value={168}>{t`7 days`}</option>
            </select>
          </span>
        </>
      }
    >
      <div className="cards">
        {rest && <JourneyCard eventId={decodeURIComponent(rest)} />}
        <Answered answer={figures}>{(found) => <Counters figures={found} />}</Answered>
        <DeadLetters type={type} />
        <Published type={type} />
      </div>
    </PageFrame>
  );
}

function TypeFilter({ value, onTake }: { value: string; onTake: (text: string) => void }) {
  const { t } = useLingui();
  const [text, setText] = useState(value);
  const [seen, setSeen] = useState(value);
  if (seen !== value) {
    setSeen(value);
    setText(value);
  }
  useEffect(() => {
    if (text.trim() === value) return;
    const timer = setTimeout(() => onTake(text.trim()), TYPING_MS);
    return () => clearTimeout(timer);
  });
  const label = t`Type, such as defect.*`;
  return (
    <span className="field">
      <input type="search" value={text} placeholder={label} aria-label={label} onChange={(event) => setText(event.target.value)} />
    </span>
  );
}
