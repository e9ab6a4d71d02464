import { useLingui } from "@lingui/react/macro";
import { useRef, useState } from "react";
import type { KeyboardEvent } from "react";

import { Icon } from "#/pieces/Icon";

import { useChosenColumns } from "./chosen";
import { COLUMNS, columnStore, moved, USUAL } from "./columns";
import type { ColumnId } from "./columns";

/** Which columns are shown, and in which order: by buttons, by Alt and the arrows, or by drawing one over another. */
export default function ColumnChooser() {
  const { t, i18n } = useLingui();
  const chosen = useChosenColumns();
  const shown = chosen ?? USUAL;
  const [drawn, setDrawn] = useState<ColumnId | null>(null);
  const list = useRef<HTMLUListElement>(null);
  const order = [...shown, ...COLUMNS.map((column) => column.id).filter((id) => !shown.includes(id))];
  const titleOf = (id: ColumnId): string => i18n._(COLUMNS.find((column) => column.id === id)?.title ?? { id });

  const toggle = (id: ColumnId) => {
    const next = shown.includes(id) ? shown.filter((one) => one !== id) : [...shown, id];
    if (next.length > 0) columnStore.set(next);
  };
  const move = (id: ColumnId, step: -1 | 1) => columnStore.set(moved(shown, id, step));
  const drop = (onto: ColumnId) => {
    if (drawn === null || drawn === onto || !shown.includes(onto)) return;
    const rest = shown.filter((id) => id !== drawn);
    const at = shown.indexOf(onto);
    columnStore.set([...rest.slice(0, at), drawn, ...rest.slice(at)]);
  };
  const key = (event: KeyboardEvent, id: ColumnId) => {
    const step = event.key === "ArrowUp" ? -1 : event.key === "ArrowDown" ? 1 : 0;
    if (step === 0) return;
    event.preventDefault();
    if (event.altKey) {
      if (shown.includes(id)) move(id, step);
      return;
    }
    const boxes = [...(list.current?.querySelectorAll<HTMLElement>("input") ?? [])];
    boxes[boxes.findIndex((box) => box === event.target) + step]?.focus();
  };
  return (
    <div className="columns">
      <ul ref={list} aria-label={t`Columns`}>
        {order.map((id) => {
          const title = titleOf(id);
          const at = shown.indexOf(id);
          return (
            <li
              key={id}
              draggable={at >= 0}
              data-drawn={drawn === id || undefined}
              onDragStart={() => setDrawn(id)}
              onDragEnd={() => setDrawn(null)}
              onDragOver={(event) => event.preventDefault()}
              onDrop={() => drop(id)}
            >
              <label>
                <input
                  type="checkbox"
                  checked={at >= 0}
                  disabled={at >= 0 && shown.length === 1}
                  onChange={() => toggle(id)}
                  onKeyDown={(event) => key(event, id)}
                />
                <span>{title}</span>
              </label>
              {at >= 0 && (
                <>
                  <button type="button" className="button-icon" disabled={at === 0} aria-label={t`Move up: ${title}`} onClick={() => move(id, -1)}>
                    <Icon name="up" />
                  </button>
                  <button type="button" className="button-icon" disabled={at === shown.length - 1} aria-label={t`Move down: ${title}`} onClick={() => move(id, 1)}>
                    <Icon name="down" />
                  </button>
                </>
              )}
            </li>
          );
        })}
      </ul>
      <p className="note">{t`Alt and ↑ or ↓ move a column.`}</p>
      <div className="panel-actions">
        <button type="button" className="button-quiet" disabled={chosen === null} onClick={() => columnStore.set(null)}>
          {t`The usual columns`}
        </button>
      </div>
    </div>
  );
}
