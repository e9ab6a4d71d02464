import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useId, useState } from "react";

import { useRoom } from "#/app/room";
import { api } from "#/services/api";

/** A name, or its beginning and `*`, with suggestions. */
export function NameField({ value, onChange }: { value: string; onChange: (name: string) => void }) {
  const { t } = useLingui();
  const [text, setText] = useState(value);
  const [seen, setSeen] = useState(value);
  const list = useId();
  if (seen !== value) {
    setSeen(value);
    setText(value);
  }
  const names = useQuery({ queryKey: ["names", text], queryFn: ({ signal }) => api.names(text.replace(/\*$/, ""), signal), staleTime: 30_000 });
  return (
    <form
      className="field"
      onSubmit={(event) => {
        event.preventDefault();
        onChange(text.trim());
      }}
    >
      <input
        type="search"
        list={list}
        value={text}
        placeholder={t`Task name`}
        aria-label={t`Task name`}
        onChange={(event) => {
          const next = event.target.value;
          setText(next);
          if (next === "" || names.data?.items.includes(next)) onChange(next);
        }}
        onBlur={() => text.trim() !== value && onChange(text.trim())}
      />
      <datalist id={list}>
        {names.data?.items.slice(0, 50).map((name) => <option key={name} value={name} />)}
      </datalist>
    </form>
  );
}

/** A queue of those seen; left out where one may not ask for them. */
export function QueueField({ value, onChange }: { value: string; onChange: (queue: string) => void }) {
  const { t } = useLingui();
  const { me } = useRoom();
  const queues = useQuery({ queryKey: ["queues"], queryFn: ({ signal }) => api.queues(signal), enabled: me.role !== "user", staleTime: 10_000 });
  if (me.role === "user") return null;
  const names = [...new Set([...(queues.data?.items.map((queue) => queue.queue) ?? []), value])].filter(Boolean);
  return (
    <span className="field field-choice" data-set={value !== "" || undefined}>
      <select value={value} aria-label={t`Queue`} onChange={(event) => onChange(event.target.value)}>
        <option value="">{t`Any queue`}</option>
        {names.map((name) => <option key={name} value={name}>{name}</option>)}
      </select>
    </span>
  );
}
