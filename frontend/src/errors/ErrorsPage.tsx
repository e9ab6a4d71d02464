import { Plural, useLingui } from "@lingui/react/macro";
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { Link } from "#/app/Link";
import { hrefTo, hrefToList, searchOf, useAsked } from "#/app/place";
import { useRoom } from "#/app/room";
import { JobStrip } from "#/list/JobStrip";
import { useSecond } from "#/live/clock";
import { Choice } from "#/pieces/Choice";
import { NameField, QueueField } from "#/pieces/Fields";
import { Icon } from "#/pieces/Icon";
import { PageFrame } from "#/pieces/PageFrame";
import { Answered, Nothing, Partial } from "#/pieces/States";
import { figures } from "#/services/figures";
import type { ErrorGroup, ErrorGroups } from "#/services/figures";
import { formatCount, formatFull, formatMoment, visible } from "#/texts/format";
import { useLocale, useTicking } from "#/texts/i18n";

import "./errors.css";
import { sparkPath } from "./sparks";
import { useRetryGroup } from "./useRetryGroup";

const AGAIN_MS = 10_000;
const NAMES_SHOWN = 4;
const DAYS = { "1d": 1, "7d": 7, "30d": 30 } as const;
type Span = keyof typeof DAYS | "all";

const isSpan = (text: string | null): text is Span => text === "all" || (text !== null && text in DAYS);
/** To the minute, so that the same question is the same for a while. */
const sinceOf = (span: Span, now: number): string =>
  span === "all" ? "" : new Date(Math.floor(now / 60_000) * 60_000 - DAYS[span] * 86_400_000).toISOString().replace(".000Z", "Z");

/** Failures in groups of one exception at one place: how many, since when, how they went, and what they touch. */
export default function ErrorsPage() {
  const { t } = useLingui();
  const [asked, ask] = useAsked();
  const given = asked.get("over");
  const span: Span = isSpan(given) ? given : "7d";
  const name = asked.get("name") ?? "";
  const queue = asked.get("queue") ?? "";
  const answer = useQuery({
    queryKey: ["errors", span, name, queue],
    queryFn: ({ signal }) => figures.errors({ name, queue, since: sinceOf(span, Date.now()) }, signal),
    refetchInterval: AGAIN_MS,
    placeholderData: keepPreviousData,
    staleTime: 1_000,
  });
  const spans: (readonly [Span, string])[] = [
    ["1d", t`24 h`],
    ["7d", t`7 d`],
    ["30d", t`30 d`],
    ["all", t`all`],
  ];
  return (
    <PageFrame
      title={t`Errors`}
      lead={t`Tasks that are failed now: one group for the same exception at the same place`}
      tools={
        <>
          <NameField value={name} onChange={(next) => ask({ name: next }, "replace")} />
          <QueueField value={queue} onChange={(next) => ask({ queue: next })} />
          <Choice label={t`Over`} value={span} choices={spans} onChoose={(next) => ask({ over: next === "7d" ? "" : next })} />
        </>
      }
    >
      <JobStrip />
      <Answered answer={answer}>
        {(found) => <Groups found={found} filter={{ name, queue, since: sinceOf(span, Date.now()) }} />}
      </Answered>
    </PageFrame>
  );
}

interface Filter {
  name: string;
  queue: string;
  since: string;
}

function Groups({ found, filter }: { found: ErrorGroups; filter: Filter }) {
  const { t } = useLingui();
  if (found.items.length === 0 && !found.partial) return <Nothing title={t`No failures`}>{t`No task of this time is failed now.`}</Nothing>;
  return (
    <>
      {found.partial && <Partial words={t`Partial: made of the latest failures only`} />}
      <ul className="groups" aria-label={t`Groups of errors`}>
        {found.items.map((group) => (
          <Group key={group.key} group={group} found={found} filter={filter} />
        ))}
      </ul>
    </>
  );
}

function Group({ group, found, filter }: { group: ErrorGroup; found: ErrorGroups; filter: Filter }) {
  const { t } = useLingui();
  const locale = useLocale();
  const { me } = useRoom();
  const retry = useRetryGroup();
  const type = visible(group.type ?? "") || t`(no exception)`;
  const count = `${formatCount(locale, group.count)}${group.capped ? "+" : ""}`;
  const list = { status: "failed", error: group.key, ...filter };
  const rest = group.names.length - NAMES_SHOWN;
  return (
    <li className="group" data-error={group.key}>
      <div className="group-main">
        <h3 className="group-type">
          <Link href={hrefToList(list)}>{type}</Link>
        </h3>
        {group.message && <p className="group-message">{visible(group.message.slice(0, 400))}</p>}
        {group.place && <p className="group-place mono">{visible(group.place)}</p>}
        <p className="group-names">
          {group.names.slice(0, NAMES_SHOWN).map((name) => (
            <Link key={name} href={hrefToList({ ...list, name })}>{visible(name)}</Link>
          ))}
          {rest > 0 && <span className="note">{t`and ${rest} more`}</span>}
        </p>
      </div>
      <div className="group-figures">
        <p className="group-count">
          <strong>{count}</strong> <Plural value={group.count} one="failure" other="failures" />
        </p>
        <Trend group={group} found={found} />
        <Seen group={group} />
      </div>
      <div className="group-tools">
        <Link className="button" href={hrefToList(list)}>{t`Show tasks`}</Link>
        <Link className="button" href={hrefTo("", searchOf({ ...list, task: group.task_id }))}>{t`The latest`}</Link>
        {me.role !== "viewer" && (
          <button type="button" className="button" onClick={() => void retry(group, filter)}>
            <Icon name="retry" />
            {t`Retry all`}
          </button>
        )}
      </div>
    </li>
  );
}

function Seen({ group }: { group: ErrorGroup }) {
  const { t } = useLingui();
  const locale = useLocale();
  const ticking = useTicking();
  const now = useSecond();
  const ago = ticking(now - Date.parse(group.last_seen));
  return (
    <p className="group-seen">
      <span title={formatFull(locale, group.last_seen)}>{t`last ${ago} ago`}</span>
      <span title={formatFull(locale, group.first_seen)}>{t`first ${formatMoment(locale, group.first_seen, now)}`}</span>
    </p>
  );
}

const WIDTH = 168;
const HEIGHT = 28;

function Trend({ group, found }: { group: ErrorGroup; found: ErrorGroups }) {
  const { t } = useLingui();
  const locale = useLocale();
  const { trend } = group;
  if (trend.length === 0 || !found.since || !found.until) return <p className="note">{t`no time to count it over time`}</p>;
  const now = Date.parse(found.until);
  const most = Math.max(...trend);
  const words = t`From ${formatMoment(locale, found.since, now)} until now, at most ${most} in a step`;
  return (
    <svg className="trend" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} role="img" aria-label={words}>
      <title>{words}</title>
      <path d={sparkPath(trend, WIDTH, HEIGHT - 1)} />
      <line x1="0" x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
    </svg>
  );
}
