import { useLingui } from "@lingui/react/macro";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { useExplain } from "#/app/commands";
import { queries, useRoom } from "#/app/room";
import { confirmWhy } from "#/pieces/confirm";
import { Icon } from "#/pieces/Icon";
import { PageFrame } from "#/pieces/PageFrame";
import { Answered, Partial } from "#/pieces/States";
import { say } from "#/pieces/toasts";
import { figures } from "#/services/figures";
import type { Preview, Rules, RulesForm } from "#/services/figures";
import { formatCount, formatFull } from "#/texts/format";
import { useLocale } from "#/texts/i18n";
import { useKind } from "#/texts/kinds";

import "./retention.css";
import { daysOf, draftOf, formOf, sumsOf } from "./rules";
import type { Draft } from "./rules";

/** How long what is kept, and what would go. */
export default function RetentionPage() {
  const { t } = useLingui();
  const rules = useQuery({ queryKey: ["retention"], queryFn: ({ signal }) => figures.rules(signal), staleTime: 5_000 });
  return (
    <PageFrame title={t`Retention`} lead={t`How long what is kept. What still waits or runs stays, however old.`}>
      <Answered answer={rules}>{(found) => <Kept key={JSON.stringify(found)} rules={found} />}</Answered>
    </PageFrame>
  );
}

function Kept({ rules }: { rules: Rules }) {
  const { t } = useLingui();
  const locale = useLocale();
  const { me } = useRoom();
  const explain = useExplain();
  const [draft, setDraft] = useState(() => draftOf(rules));
  const [busy, setBusy] = useState(false);
  const form = formOf(draft);
  const changed = form !== null && JSON.stringify(form) !== JSON.stringify(formOf(draftOf(rules)));
  const mayChange = me.role === "admin";
  const preview = useQuery({
    queryKey: ["retention", "preview", form],
    queryFn: ({ signal }) => figures.previewRules(form ?? { tasks_days: null, events_days: null, logs_days: null, kinds: {} }, signal),
    enabled: form !== null,
    placeholderData: keepPreviousData,
    staleTime: 5_000,
  });
  const save = async (wanted: RulesForm) => {
    const yes = await confirmWhy({
      title: t`Keep things by these days?`,
      text: t`What is older goes within the next minutes and cannot be brought back.`,
      action: t`Keep by these days`,
      danger: true,
    });
    if (!yes) return;
    setBusy(true);
    try {
      queries.setQueryData(["retention"], await figures.setRules(wanted, yes.reason));
      say("good", t`The days are changed`);
    } catch (error) {
      say("bad", t`The days were not changed`, explain(error));
    }
    setBusy(false);
  };
  const by = rules.changed_by;
  const when = rules.changed_at ? formatFull(locale, rules.changed_at) : "";
  return (
    <div className="retention">
      <form
        className="card retention-form"
        aria-label={t`Days`}
        onSubmit={(event) => {
          event.preventDefault();
          if (form && changed) void save(form);
        }}
      >
        <Fields draft={draft} readOnly={!mayChange} onChange={setDraft} />
        <p className="note">{by === null ? t`As the settings say` : t`Changed by ${by}, ${when}`}</p>
        {form === null && <p role="alert" className="worse">{t`Days are whole numbers from 1 to 3650, and each kind stands once.`}</p>}
        {mayChange && (
          <p className="retention-tools">
            <button type="submit" className="button button-main" disabled={!changed || busy}>{t`Keep by these days`}</button>
            <button type="button" className="button" disabled={!changed} onClick={() => setDraft(draftOf(rules))}>{t`As it was`}</button>
          </p>
        )}
      </form>
      <section className="card" aria-label={t`What would go`}>
        <div className="card-head">
          <h3>{changed ? t`What would go by these days` : t`What would go now`}</h3>
        </div>
        {form !== null && <Answered answer={preview}>{(found) => <Going preview={found} />}</Answered>}
      </section>
    </div>
  );
}

interface FieldsProps {
  draft: Draft;
  readOnly: boolean;
  onChange: (draft: Draft) => void;
}

function Fields({ draft, readOnly, onChange }: FieldsProps) {
  const { t } = useLingui();
  const rows: ["tasks" | "events" | "logs", string][] = [["tasks", t`Ended tasks`], ["events", t`Events`], ["logs", t`Log lines`]];
  const setKind = (at: number, change: { kind?: string; days?: string }) =>
    onChange({ ...draft, kinds: draft.kinds.map((one, index) => (index === at ? { ...one, ...change } : one)) });
  return (
    <>
      {rows.map(([key, label]) => (
        <label key={key} className="retention-row">
          <span>{label}</span>
          <Days value={draft[key]} readOnly={readOnly} label={label} onChange={(days) => onChange({ ...draft, [key]: days })} />
        </label>
      ))}
      <fieldset className="retention-kinds">
        <legend>{t`Ended tasks of single kinds`}</legend>
        {draft.kinds.map((one, at) => (
          <div key={at} className="retention-row">
            <input type="text" value={one.kind} readOnly={readOnly} aria-label={t`Kind`} placeholder="export" onChange={(event) => setKind(at, { kind: event.target.value })} />
            <Days value={one.days} readOnly={readOnly} label={t`Days for the kind ${one.kind}`} onChange={(days) => setKind(at, { days })} />
            {!readOnly && (
              <button type="button" className="button-icon" aria-label={t`Take away ${one.kind}`} onClick={() => onChange({ ...draft, kinds: draft.kinds.filter((_one, index) => index !== at) })}>
                <Icon name="close" />
              </button>
            )}
          </div>
        ))}
        {draft.kinds.length === 0 && readOnly && <p className="note">{t`None`}</p>}
        {!readOnly && (
          <button type="button" className="button-quiet" onClick={() => onChange({ ...draft, kinds: [...draft.kinds, { kind: "", days: "" }] })}>
            {t`Add a kind`}
          </button>
        )}
      </fieldset>
    </>
  );
}

interface DaysProps {
  value: string;
  readOnly: boolean;
  label: string;
  onChange: (text: string) => void;
}

function Days({ value, readOnly, label, onChange }: DaysProps) {
  const { t } = useLingui();
  return (
    <span className="retention-days">
      <input inputMode="numeric" size={5} value={value} readOnly={readOnly} aria-label={label} aria-invalid={daysOf(value) === null} onChange={(event) => onChange(event.target.value)} />
      {t`days`}
    </span>
  );
}

function Going({ preview }: { preview: Preview }) {
  const { t } = useLingui();
  const locale = useLocale();
  const kind = useKind();
  const sums = sumsOf(preview.items);
  const names = { tasks: t`Ended tasks`, events: t`Events`, logs: t`Log lines` };
  const days = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
  const size = new Intl.NumberFormat(locale, { style: "unit", unit: "megabyte", maximumFractionDigits: 1 });
  if (sums.length === 0) return <p className="note">{t`Nothing: all that is kept is younger.`}</p>;
  return (
    <>
      {preview.partial && <Partial words={t`Partial: there is more than was counted`} />}
      <div className="table-frame">
        <table className="table table-cards">
          <thead>
            <tr>
              {[t`What`, t`Days`].map((head) => <th key={head} scope="col">{head}</th>)}
              {[t`How many`, t`Size`, t`Stays, as tasks are open`].map((head) => <th key={head} scope="col" className="number">{head}</th>)}
            </tr>
          </thead>
          <tbody>
            {sums.map((sum) => (
              <tr key={`${sum.what}/${sum.kind ?? ""}`} data-going={sum.what}>
                <th scope="row">{names[sum.what]}{sum.kind !== null && <span className="soft"> · {kind(sum.kind)}</span>}</th>
                <td data-label={t`Days`}>{sum.first === sum.last ? days.format(Date.parse(sum.first)) : days.formatRange(Date.parse(sum.first), Date.parse(sum.last))}</td>
                <td className="number" data-label={t`How many`}>{sum.what === "tasks" ? "" : "≈ "}{formatCount(locale, sum.count)}</td>
                <td className="number" data-label={t`Size`}>{sum.bytes === null ? "–" : size.format(sum.bytes / 1e6)}</td>
                <td className="number" data-label={t`Stays, as tasks are open`}>{sum.held === 0 ? "–" : formatCount(locale, sum.held)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
