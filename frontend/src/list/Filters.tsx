import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import type { RefObject } from "react";

import { useRoom } from "#/app/room";
import { changeView, DEFAULT_SORT } from "#/app/view";
import type { View } from "#/app/view";
import { Icon } from "#/pieces/Icon";
import { STATUS_NAMES } from "#/pieces/Status";
import { api } from "#/services/api";
import { STATUSES } from "#/services/types";
import type { Status } from "#/services/types";

import { COLUMNS } from "./columns";
import { NameFilter } from "./NameFilter";

const TYPING_MS = 250;
const KINDS = ["celery", "export", "operation", "pipeline", "event"]; // kinds of work that Orakul watches

/** A field whose text is taken a moment after the last key. */
export function useTyped(value: string, take: (text: string) => void): [string, (text: string) => void] {
  const [text, setText] = useState(value);
  const [seen, setSeen] = useState(value);
  const latest = useRef(take);
  useEffect(() => {
    latest.current = take;
  });
  if (seen !== value) {
    setSeen(value);
    setText(value); // it was changed elsewhere: by "back", or "clear"
  }
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => latest.current(text), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text, value]);
  return [text, setText];
}

interface Props {
  view: View;
  searchRef: RefObject<HTMLInputElement | null>;
  /** New tasks that the list keeps back. */
  held: number;
  onShowNew: () => void;
}

export function Filters({ view, searchRef, held, onShowNew }: Props) {
  const { t, i18n } = useLingui();
  const { me } = useRoom();
  const [search, setSearch] = useTyped(view.search, (text) => changeView({ search: text.trim() }, "replace"));
  const [user, setUser] = useTyped(view.user, (text) => changeView({ user: text.trim() }, "replace"));
  const queues = useQuery({ queryKey: ["queues"], queryFn: ({ signal }) => api.queues(signal), enabled: me.role !== "user", retry: false, staleTime: 30_000 });
  const queueNames = [...new Set([...(queues.data?.items.map((queue) => queue.queue) ?? []), view.queue].filter(Boolean))];
  const kinds = [...new Set([...KINDS, view.kind].filter(Boolean))];
  const any = [view.name, view.user, view.kind, view.queue, view.search].some(Boolean) || view.status.length > 0;
  const toggle = (status: Status) =>
    changeView({
      status: STATUSES.filter((one) => (one === status ? !view.status.includes(one) : view.status.includes(one))),
    });
  return (
    <search className="filters" aria-label={t`Filters`}>
      <div className="chips" role="group" aria-label={t`Status`}>
        {STATUSES.map((status) => (
          <button
            key={status}
            type="button"
            className="chip"
            data-status={status}
            aria-pressed={view.status.includes(status)}
            onClick={() => toggle(status)}
          >
            <Icon name={status} />
            {i18n._(STATUS_NAMES[status])}
          </button>
        ))}
        {held > 0 && (
          <button type="button" className="pill" onClick={onShowNew}>
            <Icon name="up" />
            {t`${held} new`}
          </button>
        )}
      </div>
      <div className="fields">
        <label className="field field-search">
          <Icon name="search" />
          <input
            ref={searchRef}
            type="search"
            value={search}
            placeholder={t`Search by ID`}
            aria-label={t`Search by ID`}
            spellCheck={false}
            maxLength={200}
            onChange={(event) => setSearch(event.target.value)}
          />
          <kbd className="only-wide" aria-hidden="true">/</kbd>
        </label>
        <NameFilter value={view.name} />
        {me.role !== "user" && (
          <label className="field">
            <input
              type="search"
              value={user}
              placeholder={t`User`}
              aria-label={t`User`}
              spellCheck={false}
              maxLength={200}
              onChange={(event) => setUser(event.target.value)}
            />
          </label>
        )}
        <Choice label={t`Kind`} any={t`Any kind`} value={view.kind} options={kinds} onChange={(kind) => changeView({ kind })} />
        {queueNames.length > 0 && (
          <Choice label={t`Queue`} any={t`Any queue`} value={view.queue} options={queueNames} onChange={(queue) => changeView({ queue })} />
        )}
        <SortChoice sort={view.sort} />
        <button
          type="button"
          className="button-quiet"
          disabled={!any}
          onClick={() => changeView({ status: [], name: "", user: "", kind: "", queue: "", search: "" })}
        >
          {t`Clear`}
        </button>
      </div>
    </search>
  );
}

interface ChoiceProps {
  label: string;
  any: string;
  value: string;
  options: readonly string[];
  onChange: (value: string) => void;
}

function Choice({ label, any, value, options, onChange }: ChoiceProps) {
  return (
    <label className="field field-choice" data-set={value !== "" || undefined}>
      <select aria-label={label} value={value} onChange={(event) => onChange(event.target.value)}>
        <option value="">{any}</option>
        {options.map((option) => (
          <option key={option} value={option}>
            {option.slice(0, 80)}
          </option>
        ))}
      </select>
      <Icon name="down" />
    </label>
  );
}

/** The order of the list, where it has no titles to press. */
function SortChoice({ sort }: { sort: string }) {
  const { t, i18n } = useLingui();
  return (
    <label className="field field-choice only-compact">
      <select aria-label={t`Sort`} value={sort} onChange={(event) => changeView({ sort: event.target.value })}>
        {COLUMNS.flatMap(({ sort: key, title }) =>
          key === null
            ? []
            : [`-${key}`, key].map((order) => (
                <option key={order} value={order}>
                  {`${i18n._(title)} ${order.startsWith("-") ? "↓" : "↑"}`}
                </option>
              )),
        )}
        {!COLUMNS.some(({ sort: key }) => key === sort.replace(/^-/, "")) && <option value={sort}>{sort || DEFAULT_SORT}</option>}
      </select>
      <Icon name="down" />
    </label>
  );
}
