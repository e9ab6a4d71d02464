import { useLingui } from "@lingui/react/macro";
import { useQuery } from "@tanstack/react-query";
import { useId, useState } from "react";
import type { KeyboardEvent } from "react";

import { changeView } from "#/app/view";
import { api } from "#/services/api";
import { visible } from "#/texts/format";

import { useTyped } from "./typed";

/** Text that is being typed finds by its beginning; a name that was chosen finds itself alone. */
const wanted = (text: string): string => (text === "" || text.endsWith("*") ? text : `${text}*`);

export function NameFilter({ value }: { value: string }) {
  const { t } = useLingui();
  const id = useId();
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const [text, setText] = useTyped(value.replace(/\*$/, ""), (typed) => changeView({ name: wanted(typed.trim()) }, "replace"));
  const names = useQuery({
    queryKey: ["names", text],
    queryFn: ({ signal }) => api.names(text, signal),
    enabled: open,
    staleTime: 15_000,
    retry: false,
    placeholderData: (previous) => previous,
  });
  const options = (names.data?.items ?? []).filter((name) => name.startsWith(text)).slice(0, 12);
  const shown = open && options.length > 0 && !(options.length === 1 && options[0] === value);

  const choose = (name: string) => {
    setText(name);
    changeView({ name });
    setOpen(false);
    setActive(-1);
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      setActive((now) => (options.length === 0 ? -1 : (now + step + options.length) % options.length));
    } else if (event.key === "Enter" && shown && options[active] !== undefined) {
      choose(options[active]);
    } else if (event.key === "Escape" && shown) {
      event.stopPropagation();
      setOpen(false);
    }
  };
  return (
    <div className="field field-name">
      <input
        role="combobox"
        aria-label={t`Task name`}
        aria-expanded={shown}
        aria-controls={shown ? id : undefined}
        aria-autocomplete="list"
        aria-activedescendant={shown && active >= 0 ? `${id}-${active}` : undefined}
        type="search"
        value={text}
        placeholder={t`Task name`}
        spellCheck={false}
        autoComplete="off"
        maxLength={300}
        onChange={(event) => {
          setText(event.target.value);
          setOpen(true);
          setActive(-1);
        }}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={key}
      />
      {shown && (
        <ul className="suggestions" role="listbox" id={id} aria-label={t`Task name`}>
          {options.map((name, at) => (
            <li
              key={name}
              id={`${id}-${at}`}
              role="option"
              aria-selected={at === active}
              onPointerDown={(event) => {
                event.preventDefault(); // the field keeps the focus
                choose(name);
              }}
            >
              {visible(name.slice(0, 200))}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
