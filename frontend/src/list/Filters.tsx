import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { memo, useState } from "react";
import type { RefObject } from "react";

import { useRoom } from "#/app/room";
import { changeView, DEFAULT_SORT } from "#/app/view";
import type { View } from "#/app/view";
import { Icon } from "#/pieces/Icon";
import { api } from "#/services/api";
import { useKind } from "#/texts/kinds";

import { ActiveFilters } from "./ActiveFilters";
import { COLUMNS } from "./columns";
import { NameFilter } from "./NameFilter";
import { TimeFilter } from "./TimeFilter";
import { useTyped } from "./typed";

const KINDS = ["celery", "export", "operation", "pipeline", "delivery", "reaction", "bulk"]; // work that Orakul watches

interface Props {
  view: View;
  searchRef: RefObject<HTMLInputElement | null>;
}

/** What narrows the list: fields above, and below them, each to be taken away, what is set. */
export const Filters = memo(function Filters({ view, searchRef }: Props) {
  const { t } = useLingui();
  const { me } = useRoom();
  const kind = useKind();
  const staff = me.role !== "user";
  const [wide, setWide] = useState(false);
  const [search, setSearch] = useTyped(view.search, (text) => changeView({ search: text.trim() }, "replace"));
  const [words, setWords] = useTyped(view.text, (text) => changeView({ text: text.trim() }, "replace"));
  const [user, setUser] = useTyped(view.user, (text) => changeView({ user: text.trim() }, "replace"));
  const usual = { enabled: staff, retry: false, staleTime: 30_000 };
  const queues = useQuery({ queryKey: ["queues"], queryFn: ({ signal }) => api.queues(signal), ...usual });
  const workers = useQuery({ queryKey: ["workers"], queryFn: ({ signal }) => api.workers(signal), ...usual });
  const queueNames = withSet(queues.data?.items.map((queue) => queue.queue) ?? [], view.queue);
  const workerNames = withSet(workers.data?.items.map((worker) => worker.worker) ?? [], view.worker);
  const more = [view.user, view.kind, view.queue, view.worker].filter(Boolean).length;
  return (
    <search className="filters" aria-label={t`Filters`}>
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
        <label className="field field-words">
          <input
            type="search"
            value={words}
            placeholder={t`In arguments and errors`}
            aria-label={t`Words in arguments and errors`}
            spellCheck={false}
            maxLength={500}
            onChange={(event) => setWords(event.target.value)}
          />
        </label>
        <NameFilter value={view.name} />
        <TimeFilter view={view} />
        <button type="button" className="button fields-toggle" aria-expanded={wide} onClick={() => setWide(!wide)}>
          <Icon name="filter" />
          {more > 0 ? t`More (${more})` : t`More`}
        </button>
        <div className="fields-more" data-open={wide || undefined}>
          {staff && (
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
          <Choice label={t`Kind`} any={t`Any kind`} value={view.kind} options={withSet(KINDS, view.kind)} name={kind} onChange={(kind) => changeView({ kind })} />
          {queueNames.length > 0 && (
            <Choice label={t`Queue`} any={t`Any queue`} value={view.queue} options={queueNames} onChange={(queue) => changeView({ queue })} />
          )}
          {workerNames.length > 0 && (
            <Choice label={t`Worker`} any={t`Any worker`} value={view.worker} options={workerNames} onChange={(worker) => changeView({ worker })} />
          )}
        </div>
        <SortChoice sort={view.sort} />
      </div>
      <ActiveFilters view={view} />
    </search>
  );
});

/** What can be chosen, and what is chosen, which may be none of it any more. */
const withSet = (options: readonly string[], set: string): string[] => [...new Set([...options, set])].filter(Boolean);

interface ChoiceProps {
  label: string;
  any: string;
  value: string;
  options: readonly string[];
  name?: (option: string) => string;
  onChange: (value: string) => void;
}

function Choice({ label, any, value, options, name, onChange }: ChoiceProps) {
  return (
    <label className="field field-choice" data-set={value !== "" || undefined}>
      <select aria-label={label} value={value} onChange={(event) => onChange(event.target.value)}>
        <option value="">{any}</option>
        {options.map((option) => (
          <option key={option} value={option}>
            {name ? name(option) : option.slice(0, 80)}
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
