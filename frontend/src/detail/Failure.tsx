import { useLingui } from "@lingui/react/macro";
import { useState } from "react";

import { Copy } from "#/pieces/Copy";
import { Icon } from "#/pieces/Icon";
import { usePrinting } from "#/pieces/usePrinting";
import type { TaskError } from "#/services/types";
import { visible } from "#/texts/format";

const MESSAGE = 1_000;
const TRACEBACK = 100_000;

/** What went wrong: the error first, where it arose, and the traceback below. */
export function Failure({ error }: { error: TaskError }) {
  const { t } = useLingui();
  const [whole, setWhole] = useState(false);
  const printing = usePrinting();
  const long = error.message.length > MESSAGE;
  const message = whole || printing || !long ? error.message : `${error.message.slice(0, MESSAGE)}…`;
  return (
    <section className="section failure" aria-label={t`Error`}>
      <h3>
        <Icon name="failed" />
        <span className="failure-type mono">{visible(error.type.slice(0, 300)) || t`Error`}</span>
      </h3>
      <p className="failure-message">{visible(message)}</p>
      {long && (
        <button type="button" className="json-more" onClick={() => setWhole(!whole)}>
          {whole ? t`Less` : t`More`}
        </button>
      )}
      {error.place && <p className="failure-place mono">{visible(error.place.slice(0, 500))}</p>}
      {error.traceback && (
        <details className="traceback" open>
          <summary>{t`Traceback`}</summary>
          <div className="traceback-frame">
            <pre className="mono" tabIndex={0} role="region" aria-label={t`Traceback`}>{visible(error.traceback.slice(0, TRACEBACK))}</pre>
            <Copy text={error.traceback} label={t`Copy the traceback`} />
          </div>
        </details>
      )}
    </section>
  );
}
