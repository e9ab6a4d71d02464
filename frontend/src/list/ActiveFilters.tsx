import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { useLingui } from "@lingui/react/macro";

import { changeView, NO_FILTERS } from "#/app/view";
import type { View } from "#/app/view";
import { Icon } from "#/pieces/Icon";
import { visible } from "#/texts/format";
import { useKind } from "#/texts/kinds";

import { useTimeText } from "./times";

type Key = "name" | "user" | "kind" | "queue" | "worker" | "since" | "until" | "error" | "search" | "text";

const NAMES: Record<Key, MessageDescriptor> = {
  search: msg`ID`,
  text: msg`Words`,
  name: msg`Task name`,
  since: msg`From`,
  until: msg`Until`,
  user: msg`User`,
  kind: msg`Kind`,
  queue: msg`Queue`,
  worker: msg`Worker`,
  error: msg`Error`,
};
const KEYS = Object.keys(NAMES) as Key[];

/** What narrows the list now, each with a button that takes it away. The statuses are pressed buttons themselves. */
export function ActiveFilters({ view }: { view: View }) {
  const { t, i18n } = useLingui();
  const timeText = useTimeText();
  const kind = useKind();
  const set = KEYS.filter((key) => view[key] !== "");
  if (set.length === 0) return null;
  const words = (key: Key): string => {
    if (key === "since" || key === "until") return timeText(view[key]);
    if (key === "kind") return kind(view.kind);
    return visible(key === "error" ? `${view.error.slice(0, 12)}…` : view[key].slice(0, 80));
  };
  return (
    <div className="active" role="group" aria-label={t`Active filters`}>
      {set.map((key) => {
        const name = i18n._(NAMES[key]);
        const text = words(key);
        return (
          <button
            key={key}
            type="button"
            className="active-chip"
            title={visible(view[key].slice(0, 300))}
            onClick={() => changeView({ [key]: "" })}
          >
            <span className="unseen">{t`Remove the filter`} </span>
            <span className="active-name">{`${name}: `}</span>
            <span className="cut">{text}</span>
            <Icon name="close" />
          </button>
        );
      })}
      <button type="button" className="button-quiet" onClick={() => changeView(NO_FILTERS)}>
        {t`Clear all`}
      </button>
    </div>
  );
}
