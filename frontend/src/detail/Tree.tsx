import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";

import { queries, useRoom, useTask } from "#/app/room";
import { changeView } from "#/app/view";
import { StatusBadge } from "#/pieces/Status";
import { api } from "#/services/api";
import { ApiError } from "#/services/http";
import type { Task } from "#/services/types";
import { visible } from "#/texts/format";
import { useDuration } from "#/texts/i18n";

import { levelsOf } from "./levels";

const SHOWN = 200;
const AGAIN_MS = 700;

/** The tree that a task stands in, from its root; of somebody else's root, as far as one may see. */
async function readTree(task: Task, signal: AbortSignal): Promise<{ top: Task; rest: Task[]; more: boolean }> {
  const whole = async (top: Task) => {
    const page = await api.children(top.task_id, signal);
    return { top, rest: page.items, more: page.next !== null };
  };
  if (task.root_id === null || task.root_id === task.task_id) return whole(task);
  try {
    return await whole(await api.task(task.root_id, signal));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return whole(task);
    throw error;
  }
}

export function Tree({ task }: { task: Task }) {
  const { t } = useLingui();
  const { rows, feed } = useRoom();
  const rootId = task.root_id ?? task.task_id;
  const tree = useQuery({ queryKey: ["tree", rootId, task.task_id], queryFn: ({ signal }) => readTree(task, signal) });
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const known = new Set(tree.data?.rest.map((one) => one.task_id));
    const again = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void queries.invalidateQueries({ queryKey: ["tree", rootId] });
      }, AGAIN_MS);
    };
    const unfollow = feed.follow({
      tasks: (tasks) => tasks.some((one) => one.root_id === rootId && one.task_id !== rootId && !known.has(one.task_id)) && again(),
      reset: again,
    });
    return () => {
      clearTimeout(timer);
      unfollow();
    };
  }, [feed, rootId, tree.data]);
  useEffect(() => {
    if (tree.data) rows.put([tree.data.top, ...tree.data.rest]);
  }, [rows, tree.data]);

  if (!tree.data) return <p className="note">{tree.isError ? t`The tree could not be read` : t`Loading…`}</p>;
  const { top, rest, more } = tree.data;
  if (rest.length === 0) return <p className="note">{t`It stands alone`}</p>;
  const leaves = levelsOf(top, rest);
  return (
    <ul className="tree" aria-label={t`Tree`}>
      {leaves.slice(0, SHOWN).map(({ task: one, level }) => (
        <Leaf key={one.task_id} task={one} level={level} here={one.task_id === task.task_id} />
      ))}
      {(more || leaves.length > SHOWN) && <li className="note">{t`and more`}</li>}
    </ul>
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
        aria-label={`${name}, ${t`level ${level + 1}`}`}
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
