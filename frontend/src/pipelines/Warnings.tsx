import { plural } from "@lingui/core/macro";
import { useLingui } from "@lingui/react/macro";

import { Icon } from "#/pieces/Icon";
import type { Pipeline, Warning } from "#/services/pipelines";
import { formatCount, visible } from "#/texts/format";
import { useDuration, useLocale } from "#/texts/i18n";

/** The rules of data quality that the last run broke, in the words of the page's language. */
export function Warnings({ pipeline }: { pipeline: Pipeline }) {
  const { t } = useLingui();
  const said = useSentence();
  const result = visible(pipeline.result_name);
  if (pipeline.data_quality.length === 0) return null;
  return (
    <ul className="pipeline-warnings" aria-label={t`Data quality of ${result}`}>
      {pipeline.data_quality.map((warning) => (
        <li key={`${warning.rule} ${warning.message}`}>
          <Icon name="failed" />
          <span>
            {warning.rule !== warning.kind?.replace("_", " ") && <strong>{visible(warning.rule)} </strong>}
            {said(warning)}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** What a rule says, from its kind and figures; as it came where the kind is not known here. */
function useSentence(): (warning: Warning) => string {
  const { t } = useLingui();
  const locale = useLocale();
  const duration = useDuration();
  const share = (value: number): string => value.toLocaleString(locale, { style: "percent", maximumFractionDigits: 1 });
  return ({ kind, value = 0, threshold = 0, usual = null, message }) => {
    const rows = Math.abs(value);
    const loaded = formatCount(locale, value);
    const about = formatCount(locale, Math.round(usual ?? 0));
    const [lost, allowed] = [share(value), share(threshold)];
    const [silent, rhythm] = [duration(value * 1000), duration(Math.round(usual ?? 0) * 1000)];
    switch (kind) {
      case "rows_lost":
        return value < 0
          ? t`${plural(rows, { one: "# row more exported than loaded", other: "# rows more exported than loaded" })}`
          : t`${plural(rows, { one: "# row dropped by a validator or filter", other: "# rows dropped by a validator or filter" })}`;
      case "share_lost":
        return t`${lost} of the rows lost, ${allowed} allowed`;
      case "fewer_rows":
        return t`rows loaded: ${loaded}, usually about ${about}`;
      case "late":
        return t`silent for ${silent}, usually a run every ${rhythm}`;
      default:
        return visible(message);
    }
  };
}
