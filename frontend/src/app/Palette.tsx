import { useLingui } from "@lingui/react/macro";
import * as Dialog from "@radix-ui/react-dialog";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useId, useRef, useState, useSyncExternalStore } from "react";
import type { KeyboardEvent } from "react";

import { openView, useSavedViews } from "#/list/SavedViews";
import { setTheme } from "#/header/theme";
import { Icon } from "#/pieces/Icon";
import type { IconName } from "#/pieces/Icon";
import { STATUS_NAMES } from "#/pieces/Status";
import { api } from "#/services/api";
import { STATUSES } from "#/services/types";
import { visible } from "#/texts/format";
import { speak } from "#/texts/i18n";

import { useCommands } from "./commands";
import { maySee, PAGES } from "./pages";
import { goTo, hrefTo } from "./place";
import { rankOf } from "./rank";
import { useRoom } from "./room";
import { changeView, NO_FILTERS } from "./view";

interface Entry {
  key: string;
  group: string;
  icon: IconName;
  title: string;
  side?: string;
  /** More words that find it. */
  also?: string;
  run: () => unknown;
}

interface Props {
  onClose: () => void;
  onKeys: () => void;
  onLeave: () => Promise<void>;
}

const SHOWN = 40;
const ID_FROM = 3; // characters from which a task is looked for by its id

/** Everything that can be done or gone to, found by typing some of its name. */
export default function Palette({ onClose, onKeys, onLeave }: Props) {
  const { t } = useLingui();
  const id = useId();
  const [text, setText] = useState("");
  const [active, setActive] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const typed = text.trim();
  const tasks = useTasks(typed);
  const entries = useEntries({ onKeys, onLeave });
  const found = [...tasks, ...choose(entries, typed)].slice(0, SHOWN);
  const at = Math.min(active, Math.max(0, found.length - 1));

  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [at]);
  const run = (entry: Entry | undefined) => {
    if (!entry) return;
    onClose();
    void entry.run();
  };
  const key = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && found.length > 0) {
      event.preventDefault();
      setActive((at + step + found.length) % found.length);
    } else if (event.key === "Enter" && !event.nativeEvent.isComposing) {
      event.preventDefault();
      run(found[at]);
    }
  };
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="overlay" />
        <Dialog.Content className="dialog palette" aria-describedby={undefined}>
          <Dialog.Title className="off-screen">{t`Commands`}</Dialog.Title>
          <input
            className="palette-input"
            role="combobox"
            aria-label={t`Go to or do`}
            aria-expanded={found.length > 0}
            aria-controls={id}
            aria-activedescendant={found.length > 0 ? `${id}-${at}` : undefined}
            aria-autocomplete="list"
            placeholder={t`Go to a page or a task, filter, or give a command`}
            value={text}
            spellCheck={false}
            autoComplete="off"
            maxLength={300}
            onChange={(event) => {
              setText(event.target.value);
              setActive(0);
            }}
            onKeyDown={key}
          />
          {found.length === 0 && <p className="palette-none" role="status">{t`Nothing is called so`}</p>}
          <div ref={list} className="palette-list" id={id} role="listbox" aria-label={t`Commands`} hidden={found.length === 0}>
            {found.map((entry, number) => (
              <div key={entry.key} role="presentation">
                {entry.group !== found[number - 1]?.group && <div className="palette-group" role="presentation">{entry.group}</div>}
                <div
                  id={`${id}-${number}`}
                  role="option"
                  aria-selected={number === at}
                  className="palette-item"
                  onPointerMove={() => setActive(number)}
                  onClick={() => run(entry)}
                >
                  <Icon name={entry.icon} />
                  <span className="cut">{entry.title}</span>
                  {entry.side && <span className="palette-side">{entry.side}</span>}
                </div>
              </div>
            ))}
          </div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

/** The entries that fit what was typed, the best of each group first; groups stay in their order. */
function choose(entries: readonly Entry[], typed: string): Entry[] {
  if (typed === "") return [...entries];
  const ranked = entries.flatMap((entry, order) => {
    const rank = rankOf(typed, entry.title, entry.also);
    return rank === null ? [] : [{ entry, rank, order }];
  });
  const best = new Map<string, number>();
  for (const { entry, rank } of ranked) best.set(entry.group, Math.min(rank, best.get(entry.group) ?? Infinity));
  const groupRank = (entry: Entry): number => best.get(entry.group) ?? 0;
  const groups = [...new Set(entries.map((entry) => entry.group))];
  return ranked
    .sort(
      (a, b) =>
        groupRank(a.entry) - groupRank(b.entry) ||
        groups.indexOf(a.entry.group) - groups.indexOf(b.entry.group) ||
        a.rank - b.rank ||
        a.order - b.order,
    )
    .map(({ entry }) => entry);
}

/** Tasks whose id begins with what was typed. */
function useTasks(typed: string): Entry[] {
  const { t, i18n } = useLingui();
  const wanted = /^\S+$/.test(typed) && typed.length >= ID_FROM ? typed : "";
  const found = useQuery({
    queryKey: ["palette-tasks", wanted],
    queryFn: ({ signal }) => api.tasks({ ...NO_FILTERS, search: wanted, sort: "-created_at" }, null, 5, signal),
    enabled: wanted !== "",
    placeholderData: keepPreviousData,
    staleTime: 5_000,
    retry: false,
  });
  if (wanted === "") return [];
  return (found.data?.items ?? [])
    .filter((task) => task.task_id.startsWith(wanted))
    .map((task) => ({
      key: `task ${task.task_id}`,
      group: t`Tasks`,
      icon: task.status,
      title: `${visible(task.task_id.slice(0, 80))} · ${visible(task.name.slice(0, 80))}`,
      side: i18n._(STATUS_NAMES[task.status]),
      run: () => changeView({ task: task.task_id }),
    }));
}

function useEntries({ onKeys, onLeave }: Pick<Props, "onKeys" | "onLeave">): Entry[] {
  const { t, i18n } = useLingui();
  const { me, feed } = useRoom();
  const { pause, resume } = useCommands();
  const hold = useSyncExternalStore(feed.onHold, feed.holdState);
  const views = useSavedViews();
  const queues = useQuery({
    queryKey: ["queues"],
    queryFn: ({ signal }) => api.queues(signal),
    enabled: me.role !== "user",
    retry: false,
    staleTime: 5_000,
  });
  const pages = PAGES.filter((page) => maySee(page, me)).map((page): Entry => ({
    key: `page ${page.path}`,
    group: t`Pages`,
    icon: page.icon,
    title: i18n._(page.title),
    side: `g ${page.key}`,
    run: () => goTo(hrefTo(page.path)),
  }));
  const saved = (views.data?.items ?? []).map((view): Entry => ({
    key: `view ${view.view_id}`,
    group: t`Saved views`,
    icon: "views",
    title: visible(view.name.slice(0, 120)),
    run: () => openView(view),
  }));
  const narrow = (key: string, icon: IconName, title: string, change: Parameters<typeof changeView>[0]): Entry => ({
    key: `filter ${key}`,
    group: t`Filters`,
    icon,
    title,
    run: () => changeView(change),
  });
  const queueNames = (queues.data?.items ?? []).map((queue) => queue.queue);
  const filters = [
    ...STATUSES.map((status) => {
      const name = i18n._(STATUS_NAMES[status]);
      return narrow(status, status, t`Only: ${name}`, { status: [status] });
    }),
    ...queueNames.map((queue) => narrow(`queue ${queue}`, "queues", t`Only the queue ${visible(queue)}`, { queue })),
    narrow("1h", "past", t`Only the last hour`, { since: "1h", until: "" }),
    narrow("24h", "past", t`Only the last 24 hours`, { since: "24h", until: "" }),
    narrow("none", "close", t`Clear all filters`, NO_FILTERS),
  ];
  const act = (icon: IconName, title: string, run: () => unknown, also = "", side = ""): Entry => ({
    key: `do ${title}`,
    group: t`Commands`,
    icon,
    title,
    also,
    side,
    run,
  });
  const admin = me.role !== "admin" ? [] : [
    ...queueNames.flatMap((queue) => [
      act("pause", t`Pause the queue ${visible(queue)}`, () => pause(queue)),
      act("play", t`Resume the queue ${visible(queue)}`, () => resume(queue)),
    ]),
    act("pause", t`Pause all queues`, () => pause(null)),
    act("play", t`Resume all queues`, () => resume(null)),
  ];
  const russian = i18n.locale === "ru";
  return [
    ...pages,
    ...saved,
    ...filters,
    act(hold ? "play" : "pause", hold ? t`Let the list go on` : t`Hold the list`, () => feed.setHold(hold === null), "", "h"),
    ...admin,
    act("sun", t`Light theme`, () => setTheme("light"), "light"),
    act("moon", t`Dark theme`, () => setTheme("dark"), "dark"),
    act("system", t`Theme as the system`, () => setTheme("system"), "system"),
    act("file", russian ? "English" : "Русский", () => speak(russian ? "en" : "ru", true), "language язык English Russian"),
    act("keys", t`Keys`, onKeys, "", "?"),
    act("out", t`Sign out`, onLeave),
  ];
}
