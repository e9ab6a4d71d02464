import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { useExplain } from "#/app/commands";
import { Link } from "#/app/Link";
import { currentPlace, goTo, hrefTo, hrefToList, searchOf, useAsked } from "#/app/place";
import { isRange, lengthOf, rangeAround } from "#/charts/ranges";
import type { Range } from "#/charts/ranges";
import { Choice } from "#/pieces/Choice";
import { NameField } from "#/pieces/Fields";
import { Icon } from "#/pieces/Icon";
import { PageFrame } from "#/pieces/PageFrame";
import { Nothing, Partial } from "#/pieces/States";
import { STATUS_NAMES, StatusBadge } from "#/pieces/Status";
import { figures } from "#/services/figures";
import { STATUSES } from "#/services/types";
import type { Status } from "#/services/types";
import { formatCount, formatFull, formatMoment, visible } from "#/texts/format";
import { useLocale } from "#/texts/i18n";

import "./past.css";
import type { PastRoom } from "./playing";
import { TimeSlider } from "./TimeSlider";
import { usePast } from "./usePast";

const SPEEDS = ["1", "10", "60", "600"] as const;
type Speed = (typeof SPEEDS)[number];
const BACK_MS = 300_000; // where nothing is said, the room is shown as it was five minutes ago
const isStatus = (text: string): text is Status => (STATUSES as readonly string[]).includes(text);
const second = (at: number): string => new Date(Math.floor(at / 1000) * 1000).toISOString().replace(".000Z", "Z");

/** The middle of a journal that is younger than that: before its first event there is nothing to see. */
const halfway = (oldest: string | null, now: number): number => (oldest === null ? 0 : (Date.parse(oldest) + now) / 2);

/** The room as it was at any moment, and played forward from it. */
export default function PastPage() {
  const { t } = useLingui();
  const locale = useLocale();
  const [asked, ask] = useAsked();
  const [opened] = useState(() => Date.now());
  const bounds = useQuery({ queryKey: ["moments"], queryFn: ({ signal }) => figures.moments(signal), refetchInterval: 60_000 });
  const oldest = bounds.data?.oldest ?? null;
  const given = Date.parse(asked.get("at") ?? "");
  const at = Number.isNaN(given) ? Math.max(opened - BACK_MS, halfway(oldest, opened)) : Math.min(given, Date.now());
  const wanted = asked.get("over");
  const range: Range = isRange(wanted) ? wanted : rangeAround(at, Date.now());
  const status = (asked.get("status") ?? "").split(",").filter(isStatus).join(",");
  const filter = { status, name: asked.get("name") ?? "", queue: asked.get("queue") ?? "" };
  const [speed, setSpeed] = useState<Speed>("10");
  const [playing, setPlaying] = useState(false);
  const seek = (to: number) => ask({ at: second(to) }, "replace");
  const { room, error, busy } = usePast(at, filter, playing ? Number(speed) : null, (now, ended) => {
    const some = { ...Object.fromEntries(new URLSearchParams(currentPlace().search)), at: second(now) };
    if (currentPlace().path === "past") goTo(hrefTo("past", searchOf(some)), "replace");
    if (ended) setPlaying(false);
  });
  const shown = room && playing ? Date.parse(room.at) : at;
  const when = formatMoment(locale, second(shown), Date.now());
  const ranges: (readonly [Range, string])[] = [["1h", t`1 h`], ["6h", t`6 h`], ["24h", t`24 h`], ["7d", t`7 d`], ["30d", t`30 d`]];
  useSpace(() => setPlaying((before) => !before));
  return (
    <PageFrame
      title={t`Looking back`}
      tools={
        <>
          <NameField value={filter.name} onChange={(name) => ask({ name }, "replace")} />
          <Choice label={t`Over`} value={range} choices={ranges} onChoose={(next) => ask({ over: next, at: second(Math.max(at, Date.now() - lengthOf(next))) }, "replace")} />
        </>
      }
    >
      <div className="past-banner" role="status">
        <Icon name="past" />
        <span>{t`You look at ${when}: the room as it was, not as it is`}</span>
        <Link className="button" href={hrefTo("")}>{t`Back to now`}</Link>
      </div>
      <TimeSlider at={shown} range={range} filter={filter} oldest={oldest} onSeek={seek} />
      <div className="past-tools">
        <button type="button" className="button" onClick={() => seek(at - 10_000)} title={t`Ten seconds back`}>−10 {t`s`}</button>
        <button type="button" className="button button-main" aria-pressed={playing} onClick={() => setPlaying(!playing)}>
          <Icon name={playing ? "pause" : "play"} />
          {playing ? t`Stop` : t`Play`}
        </button>
        <button type="button" className="button" onClick={() => seek(Math.min(Date.now(), at + 10_000))} title={t`Ten seconds on`}>+10 {t`s`}</button>
        <Choice label={t`Speed`} value={speed} choices={SPEEDS.map((one) => [one, `× ${one}`] as const)} onChoose={setSpeed} />
        <Exact at={at} onSeek={seek} />
        {oldest !== null && <span className="note">{t`The journal reaches back to ${formatMoment(locale, oldest, Date.now())}`}</span>}
      </div>
      {room ? <Room room={room} status={status} busy={busy} onStatus={(next) => ask({ status: next })} /> : <State error={error} />}
    </PageFrame>
  );
}

/** The space bar plays and stops, wherever nothing else wants it. */
function useSpace(onSpace: () => void): void {
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const free = event.target === document.body || (event.target instanceof Element && event.target.matches("h2, .page-body"));
      if (event.key !== " " || !free) return;
      event.preventDefault();
      onSpace();
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  });
}

function Exact({ at, onSeek }: { at: number; onSeek: (at: number) => void }) {
  const { t } = useLingui();
  const local = new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
  return (
    <span className="field">
      <input
        type="datetime-local"
        step={1}
        value={local}
        aria-label={t`Moment`}
        onChange={(event) => {
          const next = new Date(event.target.value).getTime();
          if (!Number.isNaN(next) && next <= Date.now()) onSeek(next);
        }}
      />
    </span>
  );
}

function State({ error }: { error: unknown }) {
  const { t } = useLingui();
  const explain = useExplain();
  if (error) return <Nothing title={t`This could not be read`}>{explain(error)}</Nothing>;
  return <div className="page-note">{t`Loading…`}</div>;
}

interface RoomProps {
  room: PastRoom;
  status: string;
  busy: boolean;
  onStatus: (status: string) => void;
}

function Room({ room, status, busy, onStatus }: RoomProps) {
  const { t, i18n } = useLingui();
  const locale = useLocale();
  const queues = room.queues.filter((queue) => queue.pending + queue.in_progress > 0 || queue.paused);
  return (
    <div className="past-room" aria-busy={busy}>
      {room.partial && <Partial words={t`Partial: more went on than could be looked through, or events of then are past their retention`} />}
      <div className="chips" role="group" aria-label={t`Tasks by status then`}>
        {STATUSES.map((one) => (
          <button key={one} type="button" className="chip" data-status={one} data-count={room.counts[one]} aria-pressed={status === one} onClick={() => onStatus(status === one ? "" : one)}>
            <Icon name={one} />
            {i18n._(STATUS_NAMES[one])}
            <strong>{formatCount(locale, room.counts[one])}{room.capped.has(one) ? "+" : ""}</strong>
          </button>
        ))}
      </div>
      <div className="past-parts">
        <section className="card" aria-label={t`Tasks then`}>
          <div className="card-head"><h3>{t`Tasks`}</h3><span className="note">{t`as they were then; a link shows one as it is now`}</span></div>
          {room.tasks.length === 0 ? <p className="note">{t`No task of then fits`}</p> : <Tasks room={room} />}
        </section>
        <section className="card" aria-label={t`Queues then`}>
          <div className="card-head"><h3>{t`Queues`}</h3></div>
          {queues.length === 0 ? (
            <p className="note">{t`Nothing waited or ran`}</p>
          ) : (
            <table className="table">
              <thead>
                <tr><th scope="col">{t`Queue`}</th><th scope="col" className="number">{t`Waiting`}</th><th scope="col" className="number">{t`Running`}</th></tr>
              </thead>
              <tbody>
                {queues.map((queue) => (
                  <tr key={queue.queue} data-queue={queue.queue}>
                    <th scope="row">
                      {queue.queue === "*" ? t`all queues` : visible(queue.queue)}
                      {queue.paused && <span className="past-paused">{t`paused by ${queue.paused_by ?? "–"}`}</span>}
                    </th>
                    <td className="number">{formatCount(locale, queue.pending)}</td>
                    <td className="number">{formatCount(locale, queue.in_progress)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </section>
      </div>
    </div>
  );
}

function Tasks({ room }: { room: PastRoom }) {
  const { t } = useLingui();
  const locale = useLocale();
  const now = Date.parse(room.at);
  const heads = [t`Status`, t`Queue`, t`User`, t`Created`];
  return (
    <div className="table-frame">
      <table className="table table-cards past-tasks">
        <thead>
          <tr><th scope="col">{t`Task name`}</th>{heads.map((head) => <th key={head} scope="col">{head}</th>)}</tr>
        </thead>
        <tbody>
          {room.tasks.map((task) => (
            <tr key={task.task_id} data-past={task.task_id} data-fresh={task.fresh || undefined}>
              <th scope="row">
                <Link href={hrefToList({ task: task.task_id })}>{visible(task.name) || t`(no name)`}</Link>
                {task.attempt > 1 && <span className="attempt">×{task.attempt}</span>}
              </th>
              <td data-label={heads[0]}><StatusBadge status={task.status} fresh={task.fresh} /></td>
              <td data-label={heads[1]} className="soft">{task.queue === null ? "–" : visible(task.queue)}</td>
              <td data-label={heads[2]} className="soft">{task.user_id === null ? "–" : visible(task.user_id)}</td>
              <td data-label={heads[3]} className="soft" title={formatFull(locale, task.created_at)}>{formatMoment(locale, task.created_at, now)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
