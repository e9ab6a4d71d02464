import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { useExplain } from "#/app/commands";
import { Link } from "#/app/Link";
import { hrefToList } from "#/app/place";
import { Icon } from "#/pieces/Icon";
import { Answered } from "#/pieces/States";
import { say } from "#/pieces/toasts";
import { rulesApi } from "#/services/rules";
import type { RuleItem, Tried } from "#/services/rules";
import { formatCount, visible } from "#/texts/format";
import { useLocale } from "#/texts/i18n";

import { askedOf } from "./draft";
import { Previewed } from "./Previewed";
import { useRemoval } from "./ReactionsPage";

interface Props {
  item: RuleItem;
  mayChange: boolean;
  onEdit: () => void;
}

/** One rule: what it asks for, whom it tells, how it fares. */
export function RuleCard({ item, mayChange, onEdit }: Props) {
  const { t } = useLingui();
  const explain = useExplain();
  const remove = useRemoval();
  const [looking, setLooking] = useState(false);
  const [tried, setTried] = useState<Tried | null>(null);
  const [busy, setBusy] = useState(false);
  const { rule } = item;
  const off = rule.enabled === false;
  const tryOut = async () => {
    setBusy(true);
    setTried(null);
    try {
      setTried(await rulesApi.tryOut(item.rule_id));
    } catch (error) {
      say("bad", t`The sample was not sent`, explain(error));
    }
    setBusy(false);
  };
  return (
    <article className="card rule" data-rule={rule.name} data-off={off || undefined} aria-label={rule.name}>
      <div className="card-head">
        <h3>{visible(rule.name)}</h3>
        {off && <span className="attempt">{t`off`}</span>}
        {item.source === "file" && <span className="attempt">orakul.toml</span>}
        <Deliveries item={item} />
      </div>
      <p className="rule-line">
        {askedOf(rule).map((word, at) => <code key={at} className="mono">{visible(word)}</code>)}
        {rule.times && <span className="soft">{rule.times}</span>}
        <Icon name="right" />
        {rule.notify.map((name) => <strong key={name}>{visible(name)}</strong>)}
      </p>
      <p className="note">
        {[rule.every && t`at most one message in ${rule.every} for ${(rule.group ?? []).join(", ")}`, rule.limit && t`${rule.limit} in all`, rule.quiet && t`quiet ${rule.quiet}`, rule.recovered && t`tells when it works again`].filter(Boolean).join(" · ")}
      </p>
      {item.trouble !== null && <p role="alert" className="worse">{visible(item.trouble)}</p>}
      <p className="rule-tools">
        <button type="button" className="button" aria-expanded={looking} onClick={() => setLooking(!looking)}>{t`The last day`}</button>
        {mayChange && <button type="button" className="button" disabled={busy} onClick={() => void tryOut()}>{t`Try it`}</button>}
        {mayChange && item.source === "page" && <button type="button" className="button" onClick={onEdit}>{t`Edit`}</button>}
        {mayChange && item.source === "page" && <button type="button" className="button-quiet" onClick={() => void remove(item)}>{t`Delete`}</button>}
      </p>
      {tried && <Outcome tried={tried} />}
      {looking && <Yesterday ruleId={item.rule_id} />}
    </article>
  );
}

function Deliveries({ item }: { item: RuleItem }) {
  const { t } = useLingui();
  const locale = useLocale();
  const { done = 0, failed = 0, pending = 0 } = item.deliveries;
  const href = hrefToList({ kind: "reaction", name: item.rule.name });
  if (done + failed + pending === 0) return <span className="note">{t`nothing told in the last day`}</span>;
  return (
    <Link className="rule-deliveries" href={href}>
      <span>{t`told: ${formatCount(locale, done)}`}</span>
      {pending > 0 && <span>{t`on the way: ${formatCount(locale, pending)}`}</span>}
      {failed > 0 && <span className="worse">{t`not delivered: ${formatCount(locale, failed)}`}</span>}
    </Link>
  );
}

function Outcome({ tried }: { tried: Tried }) {
  return (
    <div role="status">
      <ul className="reactions-notifiers">
        {tried.items.map((one) => (
          <li key={one.notifier} data-delivered={one.delivered}>
            <Icon name={one.delivered ? "completed" : "failed"} className={one.delivered ? "better" : "worse"} />
            <strong>{visible(one.notifier)}</strong>
            <span className={one.delivered ? "soft" : "worse reactions-trouble"}>{visible(one.said)}</span>
          </li>
        ))}
        {tried.trouble !== null && <li className="worse">{visible(tried.trouble)}</li>}
      </ul>
    </div>
  );
}

function Yesterday({ ruleId }: { ruleId: string }) {
  const answer = useQuery({ queryKey: ["rules", "preview", ruleId], queryFn: ({ signal }) => rulesApi.preview(ruleId, signal), staleTime: 10_000 });
  return <Answered answer={answer}>{(found) => <Previewed preview={found} />}</Answered>;
}
