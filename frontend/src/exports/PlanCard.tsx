import { useLingui } from "@lingui/react/macro";
import { useState } from "react";

import { useExplain } from "#/app/commands";
import { Icon } from "#/pieces/Icon";
import { Panel } from "#/pieces/Panel";
import { say } from "#/pieces/toasts";
import { exportsApi } from "#/services/exports";
import type { ExportOrder, Plan, PlanGroup, PlanScript } from "#/services/exports";
import { visible } from "#/texts/format";

import { readRunsAgain } from "./Runs";

/** Start an export, say that it has begun, and show it among the runs. */
function useStart(): (order: ExportOrder) => Promise<void> {
  const { t } = useLingui();
  const explain = useExplain();
  return async (order) => {
    try {
      const run = await exportsApi.start(order);
      say("good", t`Started: ${visible(run.name)}`);
      readRunsAgain();
    } catch (error) {
      say("bad", t`The export was not started`, explain(error));
    }
  };
}

interface Props {
  plan: Plan;
  mayStart: boolean;
}

/** A plan: its groups and their scripts, each to be started by itself, or all together. */
export function PlanCard({ plan, mayStart }: Props) {
  const { t } = useLingui();
  const start = useStart();
  return (
    <section className="card plan" aria-label={plan.name} data-plan={plan.plan}>
      <div className="card-head">
        <h3>{visible(plan.name)}</h3>
        <span className="note mono">{visible(plan.plan)}</span>
        {plan.format && <span className="plan-format">{plan.format}</span>}
        {mayStart && !plan.error && (
          <button type="button" className="button button-main plan-start" onClick={() => void start({ plan: plan.plan })}>
            <Icon name="play" />
            {t`All groups`}
          </button>
        )}
      </div>
      {plan.database && <p className="card-lead mono">{visible(plan.database)}</p>}
      {plan.error && <pre className="exports-error" role="alert">{visible(plan.error)}</pre>}
      {plan.groups.map((group) => (
        <Group key={group.id} plan={plan} group={group} onStart={mayStart && group.enabled ? start : null} />
      ))}
    </section>
  );
}

interface GroupProps {
  plan: Plan;
  group: PlanGroup;
  onStart: ((order: ExportOrder) => Promise<void>) | null;
}

function Group({ plan, group, onStart }: GroupProps) {
  const { t } = useLingui();
  const name = group.name ?? group.id;
  const order = { plan: plan.plan, group: group.id };
  return (
    <div className="plan-group" role="group" aria-label={name}>
      <div className="plan-line">
        <h4>{visible(name)}</h4>
        {!group.enabled && <span className="note">{t`not enabled`}</span>}
        {onStart && (
          <button type="button" className="button" aria-label={t`Start group ${name}`} onClick={() => void onStart(order)}>
            <Icon name="play" />
            {t`Group`}
          </button>
        )}
      </div>
      <ul>
        {group.scripts.map((script) => (
          <Script key={script.id} script={script} onStart={onStart && script.enabled ? (columns) => onStart({ ...order, script: script.id, ...columns }) : null} />
        ))}
      </ul>
    </div>
  );
}

interface ScriptProps {
  script: PlanScript;
  onStart: ((columns: { columns?: readonly number[] }) => Promise<void>) | null;
}

function Script({ script, onStart }: ScriptProps) {
  const { t } = useLingui();
  const name = script.name ?? script.id;
  return (
    <li className="plan-line">
      <span className="plan-script">{visible(name)}</span>
      {!script.enabled && <span className="note">{t`not enabled`}</span>}
      {onStart && script.columns.length > 0 && (
        <Panel label={t`Columns`} title={t`Columns of ${name}`} icon="columns">
          {(close) => <Columns script={script} onStart={(columns) => void onStart({ columns }).then(close)} />}
        </Panel>
      )}
      {onStart && (
        <button type="button" className="button" aria-label={t`Start script ${name}`} onClick={() => void onStart({})}>
          <Icon name="play" />
          {t`Script`}
        </button>
      )}
    </li>
  );
}

function Columns({ script, onStart }: { script: PlanScript; onStart: (columns: readonly number[]) => void }) {
  const { t } = useLingui();
  const [chosen, choose] = useState<readonly number[]>(script.columns.map((column) => column.id));
  const turn = (id: number) => choose(chosen.includes(id) ? chosen.filter((each) => each !== id) : [...chosen, id]);
  return (
    <form
      className="plan-columns"
      onSubmit={(event) => {
        event.preventDefault();
        onStart(script.columns.map((column) => column.id).filter((id) => chosen.includes(id)));
      }}
    >
      <fieldset>
        <legend className="note">{t`Only the columns that are ticked`}</legend>
        {script.columns.map((column) => (
          <label key={column.id}>
            <input type="checkbox" checked={chosen.includes(column.id)} onChange={() => turn(column.id)} />
            <span>{visible(column.title ?? column.name)}</span>
            <span className="note">{column.id}</span>
          </label>
        ))}
      </fieldset>
      <button type="submit" className="button button-main" disabled={chosen.length === 0}>
        <Icon name="play" />
        {t`Start with these columns`}
      </button>
    </form>
  );
}
