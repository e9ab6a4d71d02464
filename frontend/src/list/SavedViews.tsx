import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { useExplain } from "#/app/commands";
import { queries, useRoom } from "#/app/room";
import { currentView, formatView, parseView, showView } from "#/app/view";
import { Icon } from "#/pieces/Icon";
import { say } from "#/pieces/toasts";
import { api } from "#/services/api";
import type { SavedView } from "#/services/types";
import { visible } from "#/texts/format";

import { columnStore, readColumns } from "./columns";

export const VIEWS_KEY = ["views"];
export const useSavedViews = () => useQuery({ queryKey: VIEWS_KEY, queryFn: ({ signal }) => api.views(signal), staleTime: 10_000 });

/** Show the list as a saved view has it, its columns included. */
export function openView(view: SavedView): void {
  columnStore.set(readColumns(view.columns));
  showView(parseView(view.query));
}

/** Questions that are asked again and again, each under a name: one's own, and those that others share. */
export default function SavedViews({ onDone }: { onDone: () => void }) {
  const { t } = useLingui();
  const { me } = useRoom();
  const explain = useExplain();
  const views = useSavedViews();
  const [name, setName] = useState("");
  const [shared, setShared] = useState(false);
  const [busy, setBusy] = useState(false);
  const items = views.data?.items ?? [];
  const mine = items.filter((view) => view.mine);
  const others = items.filter((view) => !view.mine);

  const act = async (work: () => Promise<unknown>) => {
    setBusy(true);
    try {
      await work();
    } catch (error) {
      say("bad", t`The view was not changed`, explain(error));
    }
    await queries.invalidateQueries({ queryKey: VIEWS_KEY });
    setBusy(false);
  };
  const save = () =>
    act(async () => {
      const query = formatView({ ...currentView(), task: null });
      await api.saveView({ name: name.trim(), query, columns: columnStore.snapshot() ?? [], shared });
      setName("");
    });
  const open = (view: SavedView) => {
    openView(view);
    onDone();
  };
  const entry = (view: SavedView) => (
    <Entry
      key={view.view_id}
      view={view}
      busy={busy}
      mayDelete={view.mine || me.role === "admin"}
      onOpen={() => open(view)}
      onDelete={() => void act(() => api.deleteView(view.view_id))}
      onRename={(next) =>
        void act(async () => {
          await api.saveView({ name: next, query: view.query, columns: view.columns, shared: view.shared });
          await api.deleteView(view.view_id); // last, so that nothing is lost on the way
        })
      }
    />
  );
  return (
    <div className="views">
      {views.isPending && <p className="note">{t`Loading…`}</p>}
      {views.data && items.length === 0 && <p className="note">{t`Nothing is saved yet.`}</p>}
      {mine.length > 0 && <Group title={t`Mine`}>{mine.map(entry)}</Group>}
      {others.length > 0 && <Group title={t`Shared`}>{others.map(entry)}</Group>}
      <form
        className="views-save"
        onSubmit={(event) => {
          event.preventDefault();
          if (name.trim()) void save();
        }}
      >
        <label>
          <span>{t`Save what is shown now as`}</span>
          <input type="text" data-first value={name} maxLength={200} placeholder={t`Name`} onChange={(event) => setName(event.target.value)} />
        </label>
        {me.role !== "viewer" && (
          <label className="views-shared">
            <input type="checkbox" checked={shared} onChange={(event) => setShared(event.target.checked)} />
            <span>{t`Shared with everyone`}</span>
          </label>
        )}
        <button type="submit" className="button button-main" disabled={busy || name.trim() === ""}>{t`Save the view`}</button>
      </form>
    </div>
  );
}

function Group({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <section aria-label={title}>
      <p className="views-head" aria-hidden="true">{title}</p>
      <ul>{children}</ul>
    </section>
  );
}

interface EntryProps {
  view: SavedView;
  busy: boolean;
  mayDelete: boolean;
  onOpen: () => void;
  onDelete: () => void;
  onRename: (name: string) => void;
}

function Entry({ view, busy, mayDelete, onOpen, onDelete, onRename }: EntryProps) {
  const { t } = useLingui();
  const [name, setName] = useState<string | null>(null);
  const title = visible(view.name.slice(0, 200));
  const owner = view.user_id;
  if (name !== null) {
    return (
      <li>
        <form
          className="views-rename"
          onSubmit={(event) => {
            event.preventDefault();
            if (name.trim() && name.trim() !== view.name) onRename(name.trim());
            setName(null);
          }}
        >
          <input
            type="text"
            autoFocus
            value={name}
            maxLength={200}
            aria-label={t`New name of ${title}`}
            onChange={(event) => setName(event.target.value)}
            onKeyDown={(event) => {
              if (event.key !== "Escape") return;
              event.stopPropagation();
              setName(null);
            }}
          />
          <button type="submit" className="button">{t`Rename`}</button>
        </form>
      </li>
    );
  }
  return (
    <li>
      <button type="button" className="views-open" onClick={onOpen}>
        <span className="cut">{title}</span>
        {!view.mine && <span className="note">{t`by ${owner}`}</span>}
        {view.mine && view.shared && <span className="note">{t`shared`}</span>}
      </button>
      {view.mine && (
        <button type="button" className="button-icon" disabled={busy} aria-label={t`Rename ${title}`} title={t`Rename`} onClick={() => setName(view.name)}>
          <Icon name="edit" />
        </button>
      )}
      {mayDelete && (
        <button type="button" className="button-icon" disabled={busy} aria-label={t`Delete ${title}`} title={t`Delete`} onClick={onDelete}>
          <Icon name="close" />
        </button>
      )}
    </li>
  );
}
