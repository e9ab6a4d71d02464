import { useLingui } from "@lingui/react/macro";
import { useState } from "react";

import { changeView, momentOf } from "#/app/view";
import type { View } from "#/app/view";
import { Panel } from "#/pieces/Panel";

import { fromField, localField, SPANS, useTimeText } from "./times";

/** When the tasks were created: the last hours or days, or from and until as one likes. */
export function TimeFilter({ view }: { view: View }) {
  const { t } = useLingui();
  const timeText = useTimeText();
  const set = view.since !== "" || view.until !== "";
  const span = view.until === "" && SPANS.some(([key]) => key === view.since);
  const label = !set ? t`Any time` : span ? timeText(view.since) : t`Chosen time`;
  return (
    <Panel label={label} title={t`Created`} set={set}>
      {(close) => <Times view={view} onDone={close} />}
    </Panel>
  );
}

function Times({ view, onDone }: { view: View; onDone: () => void }) {
  const { t, i18n } = useLingui();
  const [since, setSince] = useState(() => localField(momentOf(view.since)));
  const [until, setUntil] = useState(() => localField(momentOf(view.until)));
  const begin = fromField(since);
  const end = fromField(until);
  const wrong = begin !== "" && end !== "" && begin >= end;
  const choose = (change: { since: string; until: string }) => {
    changeView(change);
    onDone();
  };
  return (
    <div className="times">
      <div className="times-spans">
        {SPANS.map(([key, name]) => (
          <button
            key={key}
            type="button"
            className="button"
            aria-pressed={view.since === key && view.until === ""}
            onClick={() => choose({ since: key, until: "" })}
          >
            {i18n._(name)}
          </button>
        ))}
      </div>
      <form
        className="times-own"
        onSubmit={(event) => {
          event.preventDefault();
          if (!wrong) choose({ since: begin, until: end });
        }}
      >
        <label>
          <span>{t`From`}</span>
          <input type="datetime-local" value={since} onChange={(event) => setSince(event.target.value)} />
        </label>
        <label>
          <span>{t`Until`}</span>
          <input type="datetime-local" value={until} aria-invalid={wrong} onChange={(event) => setUntil(event.target.value)} />
        </label>
        {wrong && <p className="wrong" role="alert">{t`The end must come after the beginning.`}</p>}
        <div className="panel-actions">
          <button type="button" className="button-quiet" onClick={() => choose({ since: "", until: "" })}>{t`Any time`}</button>
          <button type="submit" className="button button-main" disabled={wrong || (begin === "" && end === "")}>{t`Apply`}</button>
        </div>
      </form>
    </div>
  );
}
