import { useLingui } from "@lingui/react/macro";
import { useEffect, useId, useRef, useState } from "react";
import type { ReactNode } from "react";

import { useExplain } from "#/app/commands";
import { say } from "#/pieces/toasts";
import { rulesApi } from "#/services/rules";
import type { NotifierItem, RulePreview } from "#/services/rules";
import { visible } from "#/texts/format";

import { ruleOf } from "./draft";
import type { Draft } from "./draft";
import { Previewed } from "./Previewed";

interface Props {
  ruleId: string | null;
  start: Draft;
  notifiers: readonly NotifierItem[];
  onDone: () => void;
  onLeave: () => void;
}

type Texts = { [Key in keyof Draft as Draft[Key] extends string ? Key : never]: string };

/** Write a rule, and see what it would have told, before it is kept. */
export function RuleEditor({ ruleId, start, notifiers, onDone, onLeave }: Props) {
  const { t } = useLingui();
  const explain = useExplain();
  const [draft, setDraft] = useState(start);
  const [wrong, setWrong] = useState<string | null>(null);
  const [preview, setPreview] = useState<RulePreview | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector("input")?.focus(), []);
  const change = (part: Partial<Draft>) => setDraft({ ...draft, ...part });
  const told = async (work: () => Promise<void>) => {
    setBusy(true);
    setWrong(null);
    try {
      await work();
    } catch (error) {
      setWrong(explain(error));
    }
    setBusy(false);
  };
  const save = () =>
    told(async () => {
      const rule = ruleOf(draft);
      await (ruleId === null ? rulesApi.create(rule) : rulesApi.change(ruleId, rule));
      say("good", t`The rule is kept`);
      onDone();
    });
  const look = () => told(async () => setPreview(await rulesApi.previewOf(ruleOf(draft))));
  const field = (key: keyof Texts, label: string, hint: string) => (
    <Field label={label}>
      {(id) => <input id={id} type="text" value={draft[key]} placeholder={hint} autoComplete="off" onChange={(event) => change({ [key]: event.target.value })} />}
    </Field>
  );
  return (
    <form
      ref={form}
      className="card rule-form"
      aria-label={ruleId === null ? t`New rule` : t`Change the rule`}
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <div className="rule-fields">
        {field("name", t`Name of the rule`, t`payments fail`)}
        <fieldset className="rule-notify">
          <legend>{t`Tell`}</legend>
          {notifiers.length === 0 && <span className="note">{t`Nobody yet: write [notifiers.NAME] in orakul.toml.`}</span>}
          {notifiers.map((one) => (
            <label key={one.name}>
              <input
                type="checkbox"
                checked={draft.notify.includes(one.name)}
                onChange={(event) => change({ notify: event.target.checked ? [...draft.notify, one.name] : draft.notify.filter((name) => name !== one.name) })}
              />
              {visible(one.name)}
            </label>
          ))}
        </fieldset>
      </div>
      <Part title={t`When`}>
        {field("event", t`Events`, "task.failed, order.*")}
        {field("task", t`Names of tasks`, "shop.*")}
        {field("kind", t`Kinds`, "celery, export")}
        {field("queue", t`Queues`, "celery")}
        {field("times", t`So many within`, "5 in 10m")}
        <Field label={t`Fields of the event's data, a line each`}>
          {(id) => <textarea id={id} rows={2} value={draft.data} placeholder={"error.type: Timeout*\nrows: >= 10"} onChange={(event) => change({ data: event.target.value })} />}
        </Field>
      </Part>
      <Part title={t`How often`}>
        {field("group", t`Grouped by`, "name, error.type")}
        {field("every", t`A group at most once in`, "5m")}
        {field("limit", t`The whole rule at most`, "20 in 1h")}
        {field("quiet", t`Quiet hours`, "22:00-07:00 Europe/Moscow")}
        <label className="rule-check"><input type="checkbox" checked={draft.recovered} onChange={(event) => change({ recovered: event.target.checked })} />{t`Tell when it works again`}</label>
        <label className="rule-check"><input type="checkbox" checked={draft.enabled} onChange={(event) => change({ enabled: event.target.checked })} />{t`The rule is on`}</label>
      </Part>
      <Part title={t`The message`}>
        {field("title", t`Title (a Jinja template; empty: the usual words)`, "{{ name }} {{ status }}")}
        <Field label={t`Text (likewise)`}>
          {(id) => <textarea id={id} rows={3} value={draft.text} placeholder={"{{ error.type }}: {{ error.message }}"} onChange={(event) => change({ text: event.target.value })} />}
        </Field>
        <Field label={t`Severity`}>
          {(id) => (
            <select id={id} value={draft.severity} onChange={(event) => change({ severity: event.target.value })}>
              <option value="">{t`as it happened`}</option>
              <option value="info">{t`information`}</option>
              <option value="warning">{t`warning`}</option>
              <option value="error">{t`error`}</option>
            </select>
          )}
        </Field>
      </Part>
      {wrong !== null && <p role="alert" className="worse rule-wrong">{wrong}</p>}
      <p className="rule-tools">
        <button type="submit" className="button button-main" disabled={busy}>{t`Keep the rule`}</button>
        <button type="button" className="button" disabled={busy} onClick={() => void look()}>{t`What would it have told?`}</button>
        <button type="button" className="button" onClick={onLeave}>{t`Leave it`}</button>
      </p>
      {preview && <Previewed preview={preview} />}
    </form>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <fieldset className="rule-part">
      <legend>{title}</legend>
      <div className="rule-fields">{children}</div>
    </fieldset>
  );
}

function Field({ label, children }: { label: string; children: (id: string) => ReactNode }) {
  const id = useId();
  return (
    <div className="rule-field">
      <label htmlFor={id}>{label}</label>
      {children(id)}
    </div>
  );
}
