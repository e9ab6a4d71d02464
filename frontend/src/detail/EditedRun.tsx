import { useLingui } from "@lingui/react/macro";
import * as Dialog from "@radix-ui/react-dialog";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { useExplain } from "#/app/commands";
import { queries, useRoom } from "#/app/room";
import { changeView } from "#/app/view";
import { Icon } from "#/pieces/Icon";
import { say } from "#/pieces/toasts";
import { api } from "#/services/api";
import type { Editable, Task } from "#/services/types";
import { visible } from "#/texts/format";

import { readJson } from "./edited";
import type { Fault } from "./edited";

/** A task's arguments, to be changed and run as a new task, which is opened then. */
export default function EditedRun({ task, onClose }: { task: Task; onClose: () => void }) {
  const { t } = useLingui();
  const explain = useExplain();
  const kept = useQuery({
    queryKey: ["editable", task.task_id],
    queryFn: ({ signal }) => api.editable(task.task_id, signal),
    retry: false,
    gcTime: 0,
  });
  const name = visible(task.name.slice(0, 200));
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="overlay" />
        <Dialog.Content className="dialog dialog-wide">
          <div className="dialog-top">
            <Dialog.Title className="dialog-title">{t`Run ${name} with other arguments`}</Dialog.Title>
            <Dialog.Close className="button-icon" aria-label={t`Close`}>
              <Icon name="close" />
            </Dialog.Close>
          </div>
          <Dialog.Description className="dialog-text">
            {t`A new task is made, and the histories of both name the other. This one stays as it is. What is masked and left as it is goes in as it was.`}
          </Dialog.Description>
          {kept.isPending && <p className="note">{t`Loading…`}</p>}
          {kept.error && <p className="wrong" role="alert">{explain(kept.error)}</p>}
          {kept.data && <Form task={task} kept={kept.data} onClose={onClose} />}
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

const written = (value: unknown): string => JSON.stringify(value, null, 2);

function Form({ task, kept, onClose }: { task: Task; kept: Editable; onClose: () => void }) {
  const { t } = useLingui();
  const { rows } = useRoom();
  const explain = useExplain();
  const [args, setArgs] = useState(() => written(kept.args));
  const [kwargs, setKwargs] = useState(() => written(kept.kwargs));
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  const list = readJson(args, "array");
  const named = readJson(kwargs, "object");
  const fine = list.fault === null && named.fault === null;

  const run = async () => {
    if (!fine || busy) return;
    setBusy(true);
    setWrong("");
    try {
      const made = await api.run(task.task_id, { args: list.value, kwargs: named.value, reason: reason.trim() });
      rows.put([made]);
      void queries.invalidateQueries({ queryKey: ["task", task.task_id] }); // its history names the new one
      onClose();
      changeView({ task: made.task_id });
      say("good", t`A new task was made`, made.delivered ? "" : (made.note ?? ""));
    } catch (error) {
      setWrong(explain(error));
      setBusy(false);
    }
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void run();
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void run();
      }}
    >
      <JsonField label={t`Positional arguments (a JSON array)`} text={args} fault={list.fault} first onChange={setArgs} />
      <JsonField label={t`Named arguments (a JSON object)`} text={kwargs} fault={named.fault} onChange={setKwargs} />
      <label className="dialog-field">
        <span>{t`Reason (optional, kept with the command)`}</span>
        <input type="text" value={reason} maxLength={1000} autoComplete="off" onChange={(event) => setReason(event.target.value)} />
      </label>
      {wrong && <p className="wrong" role="alert">{wrong}</p>}
      <div className="dialog-actions">
        <button type="button" className="button" onClick={onClose}>{t`Not now`}</button>
        <button type="submit" className="button button-main" disabled={!fine || busy}>{t`Run as a new task`}</button>
      </div>
    </form>
  );
}

function useFaultText(): (fault: Fault) => string {
  const { t } = useLingui();
  return (fault) => {
    if (fault.kind === "array") return t`It must be a JSON array: [ … ]`;
    if (fault.kind === "object") return t`It must be a JSON object: { … }`;
    const { line, column } = fault.at;
    return line === null ? t`This is not JSON.` : t`This is not JSON: see line ${line}, column ${column}.`;
  };
}

interface FieldProps {
  label: string;
  text: string;
  fault: Fault | null;
  first?: boolean;
  onChange: (text: string) => void;
}

function JsonField({ label, text, fault, first = false, onChange }: FieldProps) {
  const faultText = useFaultText();
  const lines = Math.min(14, Math.max(3, text.split("\n").length));
  return (
    <label className="dialog-field">
      <span>{label}</span>
      <textarea
        className="mono"
        rows={lines}
        value={text}
        spellCheck={false}
        autoFocus={first}
        autoCapitalize="none"
        aria-invalid={fault !== null}
        onChange={(event) => onChange(event.target.value)}
      />
      {fault && <span className="wrong" role="alert">{faultText(fault)}</span>}
    </label>
  );
}
