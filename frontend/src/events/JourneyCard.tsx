import { useLingui } from "@lingui/react/macro";
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { Link } from "#/app/Link";
import { hrefTo, hrefToList } from "#/app/place";
import { Icon } from "#/pieces/Icon";
import type { IconName } from "#/pieces/Icon";
import { Answered } from "#/pieces/States";
import { eventsApi } from "#/services/events";
import type { Journey, JourneyStep } from "#/services/events";
import { formatFull, visible } from "#/texts/format";
import { useDuration, useLocale } from "#/texts/i18n";

const AGAIN_MS = 2_000;
const ICONS: Record<string, IconName> = { published: "file", relayed: "right", pending: "pending", in_progress: "in_progress", completed: "completed", failed: "failed", cancelled: "cancelled", retry_requested: "retry", retry_sent: "retry", cancel_requested: "stop" };
const STATUS: Record<string, string> = { published: "pending", relayed: "pending", retry_requested: "pending", retry_sent: "pending", cancel_requested: "cancelled" };

/** The way of one event, from its publishing to each consumer and each of its attempts. */
export function JourneyCard({ eventId }: { eventId: string }) {
  const { t } = useLingui();
  const answer = useQuery({
    queryKey: ["journey", eventId],
    queryFn: ({ signal }) => eventsApi.journey(eventId, signal),
    refetchInterval: AGAIN_MS,
    placeholderData: keepPreviousData,
  });
  return (
    <section className="card journey" aria-label={t`The way of an event`}>
      <div className="card-head">
        <h3>{answer.data ? visible(answer.data.event.event_type) : t`The way of an event`}</h3>
        <span className="note mono">{visible(eventId)}</span>
        <Link className="button journey-close" href={hrefTo("events")} aria-label={t`Close`}><Icon name="close" /></Link>
      </div>
      <Answered answer={answer}>{(journey) => <Way journey={journey} />}</Answered>
    </section>
  );
}

function Way({ journey }: { journey: Journey }) {
  const locale = useLocale();
  const duration = useDuration();
  const began = Date.parse(journey.steps[0]?.at ?? journey.event.timestamp);
  return (
    <>
      <ol className="journey-steps">
        {journey.steps.map((step, at) => (
          <li key={at} data-step={step.step} data-status={STATUS[step.step] ?? step.step}>
            <Icon name={ICONS[step.step] ?? "pending"} />
            <time dateTime={step.at} title={formatFull(locale, step.at)}>+{duration(Math.max(0, Date.parse(step.at) - began))}</time>
            <Said step={step} />
          </li>
        ))}
      </ol>
      <pre className="journey-data">{visible(JSON.stringify(journey.event.data, null, 2).slice(0, 20_000))}</pre>
    </>
  );
}

function Said({ step }: { step: JourneyStep }) {
  const { t } = useLingui();
  const words: Record<string, string> = {
    published: t`Published`,
    relayed: step.outcome === "unheard" ? t`Relayed; nobody listens` : t`Relayed to the broker`,
    pending: t`waits`,
    in_progress: t`begins`,
    completed: step.outcome === "Duplicate" ? t`was handled before` : t`has handled it`,
    failed: step.outcome === "Dead" ? t`has given it up: a dead letter` : step.retrying ? t`failed, and tries again` : t`failed`,
    cancelled: t`was stopped`,
    retry_requested: t`replay asked for`,
    retry_sent: t`replayed`,
    cancel_requested: t`stop asked for`,
  };
  const attempt = step.attempt ?? 1;
  return (
    <span className="journey-words">
      {step.consumer !== null && step.task_id !== null && <Link href={hrefToList({ task: step.task_id })}><b>{visible(step.consumer)}</b></Link>}
      <span>{words[step.step] ?? step.step}</span>
      {step.consumer !== null && attempt > 1 && <span className="attempt">{t`attempt ${attempt}`}</span>}
      {step.author !== null && <span className="soft">{visible(step.author)}</span>}
      {step.error !== null && <span className="journey-error">{visible(step.error)}</span>}
    </span>
  );
}
