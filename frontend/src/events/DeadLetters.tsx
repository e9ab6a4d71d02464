import { useLingui } from "@lingui/react/macro";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { useExplain } from "#/app/commands";
import { Link } from "#/app/Link";
import { hrefTo, hrefToList, useAsked } from "#/app/place";
import { queries, useRoom } from "#/app/room";
import { useSecond } from "#/live/clock";
import { confirmWhy } from "#/pieces/confirm";
import { Icon } from "#/pieces/Icon";
import { Answered, Nothing } from "#/pieces/States";
import { say } from "#/pieces/toasts";
import { eventsApi } from "#/services/events";
import type { DeadFilter, DeadTask } from "#/services/events";
import { formatCount, formatFull, formatMoment, visible } from "#/texts/format";
import { useLocale } from "#/texts/i18n";

const AGAIN_MS = 3_000;

/** Deliveries that failed for good; administrators put them back, one or all that fit the filter. */
export function DeadLetters({ type }: { type: string }) {
  const { t } = useLingui();
  const locale = useLocale();
  const { me } = useRoom();
  const [asked, ask] = useAsked();
  const filter: DeadFilter = { type, consumer: asked.get("consumer") ?? "" };
  const answer = useQuery({
    queryKey: ["dead-letters", filter],
    queryFn: ({ signal }) => eventsApi.dead(filter, null, signal),
    refetchInterval: AGAIN_MS,
    placeholderData: keepPreviousData,
    staleTime: 1_000,
  });
  const { replay, busy } = useReplay();
  const items = answer.data?.items ?? [];
  const shown = `${formatCount(locale, items.length)}${answer.data?.next ? "+" : ""}`;
  return (
    <section className="card" aria-label={t`Dead letters`}>
      <div className="card-head">
        <h3>{t`Dead letters`}</h3>
        {items.length > 0 && <span className="note">{shown}</span>}
        {filter.consumer && (
          <button type="button" className="button" onClick={() => ask({ consumer: "" })}>
            {visible(filter.consumer)} <Icon name="close" />
          </button>
        )}
        {me.role === "admin" && items.length > 0 && (
          <button type="button" className="button event-replay" disabled={busy} onClick={() => void replay(filter, shown)}>
            <Icon name="retry" /> {t`Replay all that fit`}
          </button>
        )}
      </div>
      <Answered answer={answer}>
        {(found) =>
          found.items.length === 0 ? (
            <Nothing title={t`No dead letters`}>{t`What its consumer cannot handle lies here until it is replayed.`}</Nothing>
          ) : (
            <Letters items={found.items} may={me.role === "admin"} busy={busy} onReplay={(letter) => void replay({ task_ids: [letter.task_id] }, "1")} onConsumer={(consumer) => ask({ consumer })} />
          )
        }
      </Answered>
    </section>
  );
}

function useReplay() {
  const { t } = useLingui();
  const explain = useExplain();
  const [busy, setBusy] = useState(false);
  const replay = async (target: DeadFilter | { task_ids: readonly string[] }, count: string): Promise<void> => {
    const yes = await confirmWhy({
      title: t`Replay dead letters?`,
      text: t`They go back to their consumers' queues, as a further attempt: ${count}`,
      action: t`Replay`,
      danger: false,
    });
    if (yes === null) return;
    setBusy(true);
    try {
      const done = await eventsApi.replay(target, yes.reason);
      const [replayed, gone] = [done.replayed, done.gone];
      say("good", t`Replayed: ${replayed}`, gone > 0 ? t`No longer among the dead letters: ${gone}` : "");
    } catch (error) {
      say("bad", t`Could not be replayed`, explain(error));
    } finally {
      setBusy(false);
      void queries.invalidateQueries({ queryKey: ["dead-letters"] });
    }
  };
  return { replay, busy };
}

interface LettersProps {
  items: readonly DeadTask[];
  may: boolean;
  busy: boolean;
  onReplay: (letter: DeadTask) => void;
  onConsumer: (consumer: string) => void;
}

function Letters({ items, may, busy, onReplay, onConsumer }: LettersProps) {
  const { t } = useLingui();
  const locale = useLocale();
  const now = useSecond();
  const heads = [t`When`, t`Consumer`, t`Event`, t`Error`, t`Attempts`];
  return (
    <div className="table-frame">
      <table className="table table-cards dead-letters">
        <thead>
          <tr>
            {heads.map((head) => <th key={head} scope="col">{head}</th>)}
            {may && <th scope="col" aria-label={t`Replay`} />}
          </tr>
        </thead>
        <tbody>
          {items.map((letter) => (
            <tr key={letter.task_id} data-task={letter.task_id}>
              <td data-label={heads[0]} className="soft"><time dateTime={letter.died_at} title={formatFull(locale, letter.died_at)}>{formatMoment(locale, letter.died_at, now)}</time></td>
              <td data-label={heads[1]}><button type="button" className="event-link" onClick={() => onConsumer(letter.consumer)}>{visible(letter.consumer)}</button></td>
              <td data-label={heads[2]}>
                {letter.event_id === null ? <span className="soft">{t`no event`}</span> : <Link href={hrefTo(`events/${encodeURIComponent(letter.event_id)}`)}>{visible(letter.event_type ?? letter.event_id)}</Link>}
              </td>
              <td data-label={heads[3]} className="wrap">
                <Link href={hrefToList({ task: letter.task_id })}><b>{visible(letter.error_type ?? "")}</b></Link>{" "}
                <span className="soft">{visible((letter.error_message ?? "").slice(0, 300))}</span>
              </td>
              <td data-label={heads[4]} className="number">{formatCount(locale, letter.attempt)}</td>
              {may && (
                <td>
                  <button type="button" className="button" disabled={busy} onClick={() => onReplay(letter)}>
                    <Icon name="retry" /> {t`Replay`}
                  </button>
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
