import { useLingui } from "@lingui/react/macro";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { Link } from "#/app/Link";
import { hrefTo, hrefToList, searchOf, useAsked } from "#/app/place";
import { Choice } from "#/pieces/Choice";
import { PageFrame } from "#/pieces/PageFrame";
import { Answered, Nothing, Partial } from "#/pieces/States";
import { figures } from "#/services/figures";
import type { Bottleneck, Insights, NameFigures } from "#/services/figures";
import { formatCount, formatPercent, visible } from "#/texts/format";
import { useDuration, useLocale } from "#/texts/i18n";

import "./insights.css";
import { changeOf } from "./change";

const AGAIN_MS = 10_000;
const DAYS = ["1", "7", "30"] as const;
type Days = (typeof DAYS)[number];

/** What stands out: the slowest, most failing and most changed names against as long before, and where work waits. */
export default function InsightsPage() {
  const { t } = useLingui();
  const [asked, ask] = useAsked();
  const days = DAYS.find((one) => one === asked.get("days")) ?? "7";
  const answer = useQuery({
    queryKey: ["insights", days],
    queryFn: ({ signal }) => figures.insights(Number(days), signal),
    refetchInterval: AGAIN_MS,
    placeholderData: keepPreviousData,
  });
  const choices: (readonly [Days, string])[] = [["1", t`A day`], ["7", t`A week`], ["30", t`30 days`]];
  return (
    <PageFrame
      title={t`Insights`}
      lead={t`What stands out, against as long before. Days are whole and in UTC.`}
      tools={<Choice label={t`Over`} value={days} choices={choices} onChoose={(next) => ask({ days: next === "7" ? "" : next })} />}
    >
      <Answered answer={answer}>{(found) => <Sections found={found} />}</Answered>
    </PageFrame>
  );
}

function Sections({ found }: { found: Insights }) {
  const { t } = useLingui();
  const locale = useLocale();
  const days = new Intl.DateTimeFormat(locale, { day: "numeric", month: "long", timeZone: "UTC" });
  const day = (at: string, back = 0): string => days.format(Date.parse(at) - back);
  const [since, until, before, last] = [day(found.since), day(found.until, 1), day(found.before), day(found.since, 1)];
  if (found.slowest.length + found.bottlenecks.length + found.most_failing.length === 0)
    return <Nothing title={t`Nothing stands out yet`}>{t`No task has ended in this time.`}</Nothing>;
  return (
    <div className="cards">
      <p className="note">
        {found.partial && <Partial />} {t`${since} – ${until}, compared with ${before} – ${last}`}
      </p>
      <Section title={t`Slowest`} lead={t`By the time within which 95 of 100 end`} none={found.slowest.length === 0}>
        <Names kind="slow" items={found.slowest} since={found.since} />
      </Section>
      <Section title={t`Most failing`} lead={t`By how many of those that ended failed`} none={found.most_failing.length === 0}>
        <Names kind="failing" items={found.most_failing} since={found.since} />
      </Section>
      <Section title={t`Most changed`} lead={t`By how many times longer or shorter they take than before`} none={found.most_changed.length === 0}>
        <Names kind="changed" items={found.most_changed} since={found.since} />
      </Section>
      <Section title={t`Bottlenecks`} lead={t`Queues in which work waits more than it is worked on`} none={found.bottlenecks.length === 0}>
        <Queues items={found.bottlenecks} since={found.since} />
      </Section>
    </div>
  );
}

interface SectionProps {
  title: string;
  lead: string;
  none: boolean;
  children: ReactNode;
}

function Section({ title, lead, none, children }: SectionProps) {
  const { t } = useLingui();
  return (
    <section className="card" aria-label={title}>
      <div className="card-head">
        <h3>{title}</h3>
        <span className="note">{lead}</span>
      </div>
      {none ? <p className="note">{t`None in this time`}</p> : children}
    </section>
  );
}

interface NamesProps {
  kind: "slow" | "failing" | "changed";
  items: readonly NameFigures[];
  since: string;
}

function Names({ kind, items, since }: NamesProps) {
  const { t } = useLingui();
  const locale = useLocale();
  const duration = useDuration();
  const time = (value: number | null | undefined): string => (value === null || value === undefined ? "–" : duration(value));
  const rate = (value: number | null): string => (value === null ? "–" : formatPercent(locale, value));
  const heads = [t`Ended`, t`Failed`, t`Failure rate`, t`p50`, t`p95`, t`p95 before`, t`Change`];
  return (
    <div className="table-frame">
      <table className="table table-cards insights">
        <thead>
          <tr>
            <th scope="col">{t`Task name`}</th>
            {heads.map((head) => <th key={head} scope="col" className="number">{head}</th>)}
          </tr>
        </thead>
        <tbody>
          {items.map((item) => {
            const slower = changeOf(item.changed);
            const failing = (item.failure_rate ?? 0) - (item.failure_rate_before ?? 0);
            const list = { name: item.name, since, ...(kind === "failing" ? { status: "failed" } : {}) };
            return (
              <tr key={item.name}>
                <th scope="row">
                  <Link href={hrefToList(list)}>{visible(item.name) || t`(no name)`}</Link>{" "}
                  <Link className="insights-chart" href={hrefTo("charts", searchOf({ name: item.name, range: "7d" }))} title={t`Charts of ${item.name}`}>
                    {t`chart`}
                  </Link>
                </th>
                <td className="number" data-label={heads[0]}>{formatCount(locale, item.ended)}</td>
                <td className="number" data-label={heads[1]}>{formatCount(locale, item.failed)}</td>
                <td className="number" data-label={heads[2]}>
                  <span className={failing > 0.01 ? "worse" : failing < -0.01 ? "better" : ""}>{rate(item.failure_rate)}</span>
                  {item.failure_rate_before !== null && <span className="soft"> ← {rate(item.failure_rate_before)}</span>}
                </td>
                <td className="number" data-label={heads[3]}>{time(item.duration.p50)}</td>
                <td className="number" data-label={heads[4]}>{time(item.duration.p95)}</td>
                <td className="number soft" data-label={heads[5]}>{time(item.duration_before.p95)}</td>
                <td className="number" data-label={heads[6]}>
                  {slower === null ? <span className="soft">{t`new`}</span> : <ChangeWords change={slower} />}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function ChangeWords({ change }: { change: { way: "slower" | "faster" | "same"; times: number } }) {
  const { t, i18n } = useLingui();
  const times = i18n.number(change.times, { maximumFractionDigits: 1 });
  if (change.way === "same") return <span className="soft">{t`as before`}</span>;
  return change.way === "slower" ? (
    <span className="worse">{t`${times} × slower`}</span>
  ) : (
    <span className="better">{t`${times} × faster`}</span>
  );
}

function Queues({ items, since }: { items: readonly Bottleneck[]; since: string }) {
  const { t } = useLingui();
  const locale = useLocale();
  const duration = useDuration();
  const time = (value: number | null | undefined): string => (value === null || value === undefined ? "–" : duration(value));
  const heads = [t`Begun`, t`Share of waiting`, t`Waited in all`, t`Worked in all`, t`Waiting p50`, t`Waiting p95`];
  return (
    <div className="table-frame">
      <table className="table table-cards insights">
        <thead>
          <tr>
            <th scope="col">{t`Queue`}</th>
            {heads.map((head) => <th key={head} scope="col" className="number">{head}</th>)}
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr key={item.queue ?? ""}>
              <th scope="row">
                {item.queue === null ? t`(no queue)` : <Link href={hrefToList({ queue: item.queue, since })}>{visible(item.queue)}</Link>}
              </th>
              <td className="number" data-label={heads[0]}>{formatCount(locale, item.started)}</td>
              <td className="number" data-label={heads[1]}>
                {formatPercent(locale, item.share)}
                <svg className="share" viewBox="0 0 100 5" preserveAspectRatio="none" aria-hidden="true"><rect width={item.share * 100} height="5" /></svg>
              </td>
              <td className="number" data-label={heads[2]}>{duration(item.waiting_ms)}</td>
              <td className="number" data-label={heads[3]}>{duration(item.busy_ms)}</td>
              <td className="number" data-label={heads[4]}>{time(item.waiting.p50)}</td>
              <td className="number" data-label={heads[5]}>{time(item.waiting.p95)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
