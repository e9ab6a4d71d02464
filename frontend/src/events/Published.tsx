import { useLingui } from "@lingui/react/macro";
import { useInfiniteQuery } from "@tanstack/react-query";

import { useExplain } from "#/app/commands";
import { Link } from "#/app/Link";
import { hrefTo } from "#/app/place";
import { useSecond } from "#/live/clock";
import { Nothing } from "#/pieces/States";
import { eventsApi } from "#/services/events";
import type { PublishedEvent } from "#/services/events";
import { formatCount, formatFull, formatMoment, visible } from "#/texts/format";
import { useLocale } from "#/texts/i18n";

const AGAIN_MS = 2_000;

/** The latest domain events, as they come. */
export function Published({ type }: { type: string }) {
  const { t } = useLingui();
  const explain = useExplain();
  const answer = useInfiniteQuery({
    queryKey: ["published-events", type],
    queryFn: ({ signal, pageParam }) => eventsApi.published(type, pageParam, signal),
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.next,
    refetchInterval: ({ state }) => ((state.data?.pages.length ?? 0) > 2 ? false : AGAIN_MS),
    staleTime: 1_000,
  });
  const items = answer.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <section className="card" aria-label={t`The latest events`}>
      <div className="card-head"><h3>{t`The latest events`}</h3></div>
      {answer.isError && <p role="alert" className="partial">{explain(answer.error)}</p>}
      {items.length > 0 ? <Rows items={items} /> : !answer.isError && <Nothing title={answer.isPending ? t`Loading…` : type ? t`No event fits this filter` : t`No events yet`} />}
      {answer.hasNextPage && (
        <button type="button" className="button events-more" disabled={answer.isFetchingNextPage} onClick={() => void answer.fetchNextPage()}>
          {t`Older events`}
        </button>
      )}
    </section>
  );
}

function Rows({ items }: { items: readonly PublishedEvent[] }) {
  const { t } = useLingui();
  const locale = useLocale();
  const now = useSecond();
  const heads = [t`When`, t`Type`, t`About`, t`User`, t`Data`, t`Deliveries`];
  return (
    <div className="table-frame">
      <table className="table table-cards published">
        <thead><tr>{heads.map((head) => <th key={head} scope="col">{head}</th>)}</tr></thead>
        <tbody>
          {items.map((event) => (
            <tr key={event.seq} data-event={event.event_id}>
              <td data-label={heads[0]} className="soft"><time dateTime={event.timestamp} title={formatFull(locale, event.timestamp)}>{formatMoment(locale, event.timestamp, now)}</time></td>
              <th scope="row" data-label={heads[1]}><Link href={hrefTo(`events/${encodeURIComponent(event.event_id)}`)}>{visible(event.event_type)}</Link></th>
              <td data-label={heads[2]} className="mono soft">{visible((event.subject ?? "").slice(0, 60))}</td>
              <td data-label={heads[3]}>{event.user_id === null ? "–" : visible(event.user_id)}</td>
              <td data-label={heads[4]} className="mono event-data">{visible(JSON.stringify(event.data).slice(0, 300))}</td>
              <td data-label={heads[5]}><Standing event={event} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Where the deliveries of an event stand. */
export function Standing({ event }: { event: PublishedEvent }) {
  const { t } = useLingui();
  const locale = useLocale();
  if (event.heard === false) return <span className="soft">{t`nobody listens`}</span>;
  const words: Record<string, string> = { completed: t`delivered`, dead: t`dead`, failed: t`failed`, pending: t`waiting`, in_progress: t`under way`, cancelled: t`cancelled` };
  const known = Object.entries(event.deliveries);
  if (known.length === 0) return <span className="soft">{t`on its way`}</span>;
  return (
    <span className="event-standing">
      {known.map(([status, count]) => (
        <span key={status} className="event-chip" data-status={status === "dead" ? "failed" : status}>{words[status] ?? status}{count > 1 ? ` ${formatCount(locale, count)}` : ""}</span>
      ))}
    </span>
  );
}
