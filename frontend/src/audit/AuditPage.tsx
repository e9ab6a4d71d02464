import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { useLingui } from "@lingui/react/macro";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { useExplain } from "#/app/commands";
import { Link } from "#/app/Link";
import { hrefToList, useAsked } from "#/app/place";
import { queries, useRoom } from "#/app/room";
import { useSecond } from "#/live/clock";
import { PageFrame } from "#/pieces/PageFrame";
import { Nothing } from "#/pieces/States";
import { StatusBadge } from "#/pieces/Status";
import { figures } from "#/services/figures";
import type { AuditEntry, AuditFilter } from "#/services/figures";
import { STATUSES } from "#/services/types";
import type { Status } from "#/services/types";
import { formatFull, formatMoment, visible } from "#/texts/format";
import { useLocale } from "#/texts/i18n";

import "./audit.css";

const AGAIN_MS = 5_000;
const TYPING_MS = 300;

const COMMANDS: Record<string, MessageDescriptor> = {
  "task.retry_requested": msg`Retry`,
  "task.cancel_requested": msg`Cancel`,
  "task.run_requested": msg`Run with other arguments`,
  "queue.paused": msg`Pause a queue`,
  "queue.resumed": msg`Resume a queue`,
  "bulk.requested": msg`Many tasks`,
  "bulk.abort_requested": msg`Abort of many tasks`,
  "retention.changed": msg`Other days of retention`,
  "reaction.rule_created": msg`New rule`,
  "reaction.rule_changed": msg`Change the rule`,
  "reaction.rule_deleted": msg`Delete the rule`,
};
const RESULTS: Record<string, MessageDescriptor> = {
  requested: msg`requested`,
  sent: msg`sent`,
  paused: msg`paused`,
  resumed: msg`resumed`,
};

/** Every command: who, when, why, to what, and what came of it. */
export default function AuditPage() {
  const { t, i18n } = useLingui();
  const [asked, ask] = useAsked();
  const { feed } = useRoom();
  const filter: AuditFilter = { author: asked.get("author") ?? "", type: asked.get("type") ?? "", task_id: asked.get("task_id") ?? "" };
  const answer = useInfiniteQuery({
    queryKey: ["audit", filter],
    queryFn: ({ signal, pageParam }) => figures.audit(filter, pageParam, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next,
    refetchInterval: ({ state }) => ((state.data?.pages.length ?? 0) > 3 ? false : AGAIN_MS),
    staleTime: 1_000,
  });
  useEffect(() => feed.follow({ reset: () => void queries.invalidateQueries({ queryKey: ["audit"] }) }), [feed]);
  const entries = answer.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <PageFrame
      title={t`Audit`}
      lead={t`Every command that was given, the newest first`}
      tools={
        <>
          <Typed label={t`Author`} value={filter.author} onTake={(author) => ask({ author }, "replace")} />
          <Typed label={t`Task ID`} value={filter.task_id} onTake={(task_id) => ask({ task_id }, "replace")} />
          <span className="field field-choice" data-set={filter.type !== "" || undefined}>
            <select value={filter.type} aria-label={t`Command`} onChange={(event) => ask({ type: event.target.value })}>
              <option value="">{t`Any command`}</option>
              {Object.entries(COMMANDS).map(([type, name]) => (
                <option key={type} value={type}>{i18n._(name)}</option>
              ))}
            </select>
          </span>
        </>
      }
    >
      {entries.length > 0 ? <Entries entries={entries} /> : <State answer={answer} filtered={Object.values(filter).some(Boolean)} />}
      {answer.hasNextPage && (
        <button type="button" className="button audit-more" disabled={answer.isFetchingNextPage} onClick={() => void answer.fetchNextPage()}>
          {t`Older commands`}
        </button>
      )}
    </PageFrame>
  );
}

function State({ answer, filtered }: { answer: { isPending: boolean; isError: boolean; error: unknown }; filtered: boolean }) {
  const { t } = useLingui();
  const explain = useExplain();
  if (answer.isError) return <Nothing title={t`This could not be read`}>{explain(answer.error)}</Nothing>;
  if (answer.isPending) return <div className="page-note" role="status">{t`Loading…`}</div>;
  return <Nothing title={filtered ? t`No such command` : t`No commands yet`}>{filtered ? t`Nothing fits these filters.` : t`Whoever retries, cancels, pauses or resumes is named here.`}</Nothing>;
}

function Entries({ entries }: { entries: readonly AuditEntry[] }) {
  const { t, i18n } = useLingui();
  const locale = useLocale();
  const now = useSecond();
  const heads = [t`When`, t`Author`, t`Command`, t`Target`, t`Reason`, t`Outcome`];
  return (
    <div className="table-frame">
      <table className="table table-cards audit">
        <thead>
          <tr>{heads.map((head) => <th key={head} scope="col">{head}</th>)}</tr>
        </thead>
        <tbody>
          {entries.map((entry) => {
            const command = COMMANDS[entry.command];
            return (
              <tr key={entry.seq} data-seq={entry.seq}>
                <td data-label={heads[0]} className="soft"><time dateTime={entry.timestamp} title={formatFull(locale, entry.timestamp)}>{formatMoment(locale, entry.timestamp, now)}</time></td>
                <th scope="row" data-label={heads[1]}>{entry.author === null ? "–" : visible(entry.author)}</th>
                <td data-label={heads[2]}>{command ? i18n._(command) : entry.command}</td>
                <td data-label={heads[3]} className="wrap"><Target entry={entry} /></td>
                <td data-label={heads[4]} className="wrap">{entry.reason === null ? "" : visible(entry.reason)}</td>
                <td data-label={heads[5]}><Outcome entry={entry} /></td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Target({ entry }: { entry: AuditEntry }) {
  const { t } = useLingui();
  const attempt = entry.attempt;
  if (entry.task_id !== null)
    return (
      <span className="audit-target">
        <Link className="mono" href={hrefToList({ task: entry.task_id })}>{visible(entry.task_id.slice(0, 80))}</Link>
        {attempt !== null && attempt > 1 && <span className="attempt">{t`attempt ${attempt}`}</span>}
        {entry.made !== null && <span> → <Link className="mono" href={hrefToList({ task: entry.made })}>{visible(entry.made.slice(0, 80))}</Link></span>}
      </span>
    );
  if (entry.queue === null) return <>–</>;
  return entry.queue === "*" ? <>{t`all queues`}</> : <Link href={hrefToList({ queue: entry.queue })}>{visible(entry.queue)}</Link>;
}

const isStatus = (text: string): text is Status => (STATUSES as readonly string[]).includes(text);

function Outcome({ entry }: { entry: AuditEntry }) {
  const { i18n } = useLingui();
  if (isStatus(entry.result)) return <StatusBadge status={entry.result} />;
  const words = RESULTS[entry.result];
  return <span className="outcome">{words ? i18n._(words) : entry.result}</span>;
}

function Typed({ label, value, onTake }: { label: string; value: string; onTake: (text: string) => void }) {
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
  return (
    <span className="field">
      <input type="search" value={text} placeholder={label} aria-label={label} onChange={(event) => setText(event.target.value)} />
    </span>
  );
}
