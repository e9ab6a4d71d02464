import { useLingui } from "@lingui/react/macro";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { useExplain } from "#/app/commands";

import { Icon } from "./Icon";
import "./tables.css";

interface Props<T> {
  answer: UseQueryResult<T>;
  children: (data: T) => ReactNode;
}

/** What was asked for; until it is here, and where it does not come, what is the matter. */
export function Answered<T>({ answer, children }: Props<T>) {
  const { t } = useLingui();
  const explain = useExplain();
  if (answer.data !== undefined)
    return (
      <>
        {answer.isError && (
          <p role="alert" className="partial">
            <Icon name="failed" />
            {t`This is not fresh: ${explain(answer.error)}`}
          </p>
        )}
        {children(answer.data)}
      </>
    );
  if (!answer.isError) return <div className="page-note" role="status">{t`Loading…`}</div>;
  return (
    <div className="page-note" role="alert">
      <strong>{t`This could not be read`}</strong>
      <p>{explain(answer.error)}</p>
      <button type="button" className="button" onClick={() => void answer.refetch()}>
        {t`Try again`}
      </button>
    </div>
  );
}

/** Says that nothing is there, which is not the same as nothing known. */
export function Nothing({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="page-note">
      <strong>{title}</strong>
      {children && <p>{children}</p>}
    </div>
  );
}

/** Says that time ran out and only a part was looked at. */
export function Partial({ words }: { words?: string }) {
  const { t } = useLingui();
  return (
    <p className="partial" role="note">
      <Icon name="pending" />
      {words ?? t`Partial: time ran out, only the latest was looked at`}
    </p>
  );
}
