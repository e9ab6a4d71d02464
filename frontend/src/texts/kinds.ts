import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { useLingui } from "@lingui/react";

import { visible } from "./format";

/** What Orakul's own kinds of work are called; another's kind keeps the name it came with. */
const KINDS: ReadonlyMap<string, MessageDescriptor> = new Map(
  Object.entries({
    bulk: msg({ message: "bulk command", context: "kind of task" }),
    delivery: msg({ message: "delivery", context: "kind of task" }),
    export: msg({ message: "export", context: "kind of task" }),
    export_group: msg({ message: "export group", context: "kind of task" }),
    export_script: msg({ message: "export script", context: "kind of task" }),
    operation: msg({ message: "operation", context: "kind of task" }),
    pipeline: msg({ message: "pipeline", context: "kind of task" }),
    reaction: msg({ message: "reaction", context: "kind of task" }),
  }),
);

/** The name of a kind of task in the language of the page; several are written with commas. */
export function useKind(): (kind: string) => string {
  const { i18n } = useLingui();
  const one = (kind: string): string => {
    const known = KINDS.get(kind);
    return known ? i18n._(known) : visible(kind.slice(0, 80));
  };
  return (kind) => kind.split(",").map(one).join(", ");
}
