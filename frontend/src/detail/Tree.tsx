import { useLingui } from "@lingui/react/macro";
import { lazy, Suspense } from "react";

import { useTask } from "#/app/room";
import { changeView } from "#/app/view";
import { StatusBadge } from "#/pieces/Status";
import type { Task } from "#/services/types";
import { visible } from "#/texts/format";
import { useDuration } from "#/texts/i18n";

import { levelsOf } from "./levels";
import { useTree } from "./useTree";

const Waterfall = lazy(() => import("#/waterfall/Waterfall"));

const SHOWN = 200;

export function Tree({ task }: { task: Task }) {
  const { t } = useLingui();
  const tree = useTree(task);
  if (!tree.data) return <p className="note">{tree.isError ? t`The tree could not be read` : t`Loading…`}</p>;
  const { top, rest, more } = tree.data;
  const leaves = levelsOf(top, rest);
  const alone = rest.length === 0;
  const again = task.attempt > 1 || task.run > 0;
  if (alone && !again) return <p className="note">{t`It stands alone`}</p>;
  return (
    <>
      {alone ? (
        <p className="note">{t`It stands alone`}</p>
      ) : (
        <ul className="tree" aria-label={t`Tree`}>
          {leaves.slice(0, SHOWN).map(({ task: one, level }) => (
            <Leaf key={one.task_id} task={one} level={level} here={one.task_id === task.task_id} />
          ))}
          {(more || leaves.length > SHOWN) && <li className="note">{t`and more`}</li>}
        </ul>
      )}
      <Suspense fallback={<p className="note">{t`Loading…`}</p>}>
        <Waterfall leaves={leaves} here={task.task_id} more={more} />
      </Suspense>
    </>
  );
}

function Leaf({ task, level, here }: { task: Task; level: number; here: boolean }) {
  const { t } = useLingui();
  const duration = useDuration();
  const now = useTask(task.task_id) ?? task;
  const name = visible(now.name.slice(0, 200)) || t`(no name)`;
  return (
    <li style={{ paddingInlineStart: `${Math.min(level, 12) * 18}px` }}>
      <button
        type="button"
        className="tree-leaf"
        aria-current={here || undefined}
        aria-description={t`level ${level + 1}`}
        onClick={() => changeView({ task: now.task_id })}
      >
        {level > 0 && <span className="tree-branch" aria-hidden="true" />}
        <StatusBadge status={now.status} />
        <span className="cut">{name}</span>
        <span className="tree-time">{now.duration_ms === null ? "" : duration(now.duration_ms)}</span>
      </button>
    </li>
  );
}
