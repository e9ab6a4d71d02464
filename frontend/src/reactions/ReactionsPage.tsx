import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { useExplain } from "#/app/commands";
import { queries, useRoom } from "#/app/room";
import { confirm } from "#/pieces/confirm";
import { Icon } from "#/pieces/Icon";
import { PageFrame } from "#/pieces/PageFrame";
import { Answered, Nothing } from "#/pieces/States";
import { say } from "#/pieces/toasts";
import { rulesApi } from "#/services/rules";
import type { NotifierItem, RuleItem } from "#/services/rules";
import { visible } from "#/texts/format";

import { NEW, draftOf } from "./draft";
import type { Draft } from "./draft";
import "./reactions.css";
import { RuleCard } from "./RuleCard";
import { RuleEditor } from "./RuleEditor";

interface Editing {
  ruleId: string | null;
  draft: Draft;
}

/** When this happens, tell them: the rules, what became of them, and who can be told. */
export default function ReactionsPage() {
  const { t } = useLingui();
  const { me } = useRoom();
  const [editing, setEditing] = useState<Editing | null>(null);
  const rules = useQuery({ queryKey: ["rules"], queryFn: ({ signal }) => rulesApi.list(signal), refetchInterval: 5_000, staleTime: 1_000 });
  const mayChange = me.role === "admin";
  const edit = (item: RuleItem) => setEditing({ ruleId: item.rule_id, draft: draftOf(item.rule) });
  const done = () => {
    setEditing(null);
    void queries.invalidateQueries({ queryKey: ["rules"] });
  };
  return (
    <PageFrame
      title={t`Reactions`}
      lead={t`When this happens, tell them`}
      tools={
        mayChange && (
          <button type="button" className="button button-main" disabled={editing !== null} onClick={() => setEditing({ ruleId: null, draft: NEW })}>
            {t`New rule`}
          </button>
        )
      }
    >
      <Answered answer={rules}>
        {(found) => (
          <div className="reactions">
            {editing && <RuleEditor key={editing.ruleId ?? ""} ruleId={editing.ruleId} start={editing.draft} notifiers={found.notifiers} onDone={done} onLeave={() => setEditing(null)} />}
            <section aria-label={t`Rules`} className="cards">
              {found.items.length === 0 && !editing && (
                <Nothing title={t`No rules yet`}>{t`Make one here, or write [[rules]] in orakul.toml.`}</Nothing>
              )}
              {found.items.map((item) => (
                <RuleCard key={item.rule_id} item={item} mayChange={mayChange} onEdit={() => edit(item)} />
              ))}
            </section>
            <Notifiers notifiers={found.notifiers} />
          </div>
        )}
      </Answered>
    </PageFrame>
  );
}

function Notifiers({ notifiers }: { notifiers: readonly NotifierItem[] }) {
  const { t } = useLingui();
  return (
    <section className="card" aria-label={t`Who can be told`}>
      <div className="card-head"><h3>{t`Who can be told`}</h3></div>
      {notifiers.length === 0 && <p className="note">{t`Nobody yet: write [notifiers.NAME] in orakul.toml.`}</p>}
      <ul className="reactions-notifiers">
        {notifiers.map((one) => (
          <li key={one.name} data-notifier={one.name}>
            <Icon name={one.trouble === null ? "completed" : "failed"} className={one.trouble === null ? "better" : "worse"} />
            <strong>{visible(one.name)}</strong>
            <span className="attempt">{one.kind}</span>
            {one.trouble !== null && <span className="worse reactions-trouble">{visible(one.trouble)}</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Delete a rule, after a question. */
export function useRemoval() {
  const { t } = useLingui();
  const explain = useExplain();
  return async (item: RuleItem): Promise<void> => {
    const name = item.rule.name;
    const yes = await confirm({
      title: t`Delete the rule ${name}?`,
      text: t`Messages that it has made are delivered all the same.`,
      action: t`Delete`,
      danger: true,
    });
    if (!yes) return;
    try {
      await rulesApi.remove(item.rule_id);
      say("good", t`The rule is deleted`);
    } catch (error) {
      say("bad", t`The rule was not deleted`, explain(error));
    }
    void queries.invalidateQueries({ queryKey: ["rules"] });
  };
}
