import { useLingui } from "@lingui/react/macro";
import { useEffect, useSyncExternalStore } from "react";
import type { ReactNode } from "react";

import { useRoom } from "#/app/room";
import { api } from "#/services/api";
import type { Summary } from "#/services/types";
import { formatCount, formatPercent } from "#/texts/format";
import { useDuration, useLocale } from "#/texts/i18n";

export function useSummary(): Summary | null {
  const { feed } = useRoom();
  return useSyncExternalStore(feed.onSummary, feed.summaryState);
}

/** The four figures of the header. Read once; after that the stream brings them. */
export function Metrics() {
  const { t } = useLingui();
  const { feed } = useRoom();
  const locale = useLocale();
  const duration = useDuration();
  const summary = useSummary();

  useEffect(() => {
    const control = new AbortController();
    const read = () => void api.summary(control.signal).then((first) => feed.setSummary(first), () => undefined);
    read();
    const unfollow = feed.follow({ reset: read });
    return () => {
      control.abort();
      unfollow();
    };
  }, [feed]);

  const count = (value: number | undefined): string =>
    value === undefined ? "–" : `${formatCount(locale, value)}${summary?.capped && value >= 10_000 ? "+" : ""}`;
  const rate = summary?.failure_rate_24h;
  const mean = summary?.mean_duration_24h;
  return (
    <dl className="metrics" aria-label={t`Figures`}>
      <Metric name={t`Queued`} testId="queued">{count(summary?.queued)}</Metric>
      <Metric name={t`Active`} testId="active">{count(summary?.active)}</Metric>
      <Metric name={t`Failure rate (24 h)`} testId="failure-rate" alarm={(rate ?? 0) >= 0.1}>
        {rate === null || rate === undefined ? "–" : formatPercent(locale, rate)}
      </Metric>
      <Metric name={t`Mean duration (24 h)`} testId="mean-duration">
        {mean === null || mean === undefined ? "–" : duration(mean * 1000)}
      </Metric>
    </dl>
  );
}

interface MetricProps {
  name: string;
  testId: string;
  alarm?: boolean;
  children: ReactNode;
}

function Metric({ name, testId, alarm = false, children }: MetricProps) {
  return (
    <div className="metric" data-alarm={alarm || undefined}>
      <dt title={name}>{name}</dt>
      <dd data-metric={testId}>{children}</dd>
    </div>
  );
}
