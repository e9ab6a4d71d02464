import { plural } from "@lingui/core/macro";
import { useLingui } from "@lingui/react/macro";
import { lazy, memo, Suspense, useSyncExternalStore } from "react";

import { Link } from "#/app/Link";
import { findPage } from "#/app/pages";
import { hrefTo, searchOf } from "#/app/place";
import { useRoom } from "#/app/room";
import { changeView } from "#/app/view";
import type { View } from "#/app/view";
import { Icon } from "#/pieces/Icon";
import { Panel } from "#/pieces/Panel";
import { STATUS_NAMES } from "#/pieces/Status";
import type { Counts, Status } from "#/services/types";
import { STATUSES } from "#/services/types";

import { countText } from "./useCounts";

const ColumnChooser = lazy(() => import("./ColumnChooser"));
const SavedViews = lazy(() => import("./SavedViews"));

interface Props {
  view: View;
  counts: Counts | undefined;
  /** New tasks that the list keeps back. */
  held: number;
  onShowNew: () => void;
  /** Whether the chart above the list is open; null where there is none. */
  chart: boolean | null;
  onChart: () => void;
}

/** The states with their counts, and what concerns the list as a whole. */
export const ListBar = memo(function ListBar({ view, counts, held, onShowNew, chart, onChart }: Props) {
  const { t, i18n } = useLingui();
  const { feed } = useRoom();
  const hold = useSyncExternalStore(feed.onHold, feed.holdState);
  const toggle = (status: Status) =>
    changeView({
      status: STATUSES.filter((one) => (one === status ? !view.status.includes(one) : view.status.includes(one))),
    });
  const errors = findPage("errors") !== null;
  const { task: _task, sort: _sort, status: _status, error: _error, ...filters } = view;
  return (
    <div className="list-bar">
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
            <span className="chip-count" data-count={status}>{countText(i18n.locale, counts, [status]) ?? " "}</span>
          </button>
        ))}
      </div>
      {held > 0 && (
        <button type="button" className="pill" onClick={onShowNew}>
          <Icon name="up" />
          {t`${plural(held, { one: "# new", other: "# new" })}`}
        </button>
      )}
      <div className="list-tools">
        {errors && (
          <Link className="button-quiet list-link" href={hrefTo("errors", searchOf(filters))} aria-label={t`Grouped by error`} title={t`Grouped by error`}>
            <Icon name="group" />
            <span className="tool-word">{t`Grouped by error`}</span>
          </Link>
        )}
        {chart !== null && (
          <button type="button" className="button-icon" aria-pressed={chart} aria-label={t`Chart`} title={t`Chart`} onClick={onChart}>
            <Icon name="chart" />
          </button>
        )}
        <Panel label={t`Saved views`} icon="views" bare>
          {(close) => (
            <Suspense fallback={null}>
              <SavedViews onDone={close} />
            </Suspense>
          )}
        </Panel>
        <Panel label={t`Columns`} icon="columns" bare>
          {() => (
            <Suspense fallback={null}>
              <ColumnChooser />
            </Suspense>
          )}
        </Panel>
        <button
          type="button"
          className="button-icon"
          aria-pressed={hold !== null}
          aria-label={t`Hold the list`}
          title={`${hold ? t`Let go` : t`Hold the list`} (h)`}
          onClick={() => feed.setHold(hold === null)}
        >
          <Icon name={hold ? "play" : "pause"} />
        </button>
      </div>
    </div>
  );
});
