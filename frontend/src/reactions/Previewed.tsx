import { useLingui } from "@lingui/react/macro";

import { Link } from "#/app/Link";
import { hrefToList } from "#/app/place";
import { useSecond } from "#/live/clock";
import { Partial } from "#/pieces/States";
import type { RulePreview } from "#/services/rules";
import { formatCount, formatFull, formatMoment, visible } from "#/texts/format";
import { useLocale } from "#/texts/i18n";

/** What a rule would have told in the last day. */
export function Previewed({ preview }: { preview: RulePreview }) {
  const { t } = useLingui();
  const locale = useLocale();
  const now = useSecond();
  const total = formatCount(locale, preview.total);
  const looked = formatCount(locale, preview.looked);
  return (
    <div className="rule-preview">
      <p className="note">{t`It would have told ${total} times in the last day, of ${looked} events looked at.`}</p>
      {preview.partial && <Partial words={t`Partial: there were more events than were looked at`} />}
      {preview.trouble !== null && <p role="alert" className="worse">{visible(preview.trouble)}</p>}
      {preview.items.length > 0 && (
        <ol className="rule-messages">
          {preview.items.slice(0, 50).map((one, at) => (
            <li key={at} data-kind={one.kind} data-severity={one.severity}>
              <time className="soft" dateTime={one.at} title={formatFull(locale, one.at)}>{formatMoment(locale, one.at, now)}</time>
              <div>
                <strong>{visible(one.title)}</strong>
                {one.text && <p className="rule-text">{visible(one.text.slice(0, 400))}</p>}
              </div>
              {one.task_id !== null && <Link href={hrefToList({ task: one.task_id })}>{t`the task`}</Link>}
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}
