import { useLingui } from "@lingui/react/macro";

import type { Permission } from "#/services/types";

export type CommandName = "retry" | "cancel";

/** Says why a command cannot be given, in the reader's language; in the server's words where we have none. */
export function useObstacle(): (can: Permission, command: CommandName, kind: string) => string {
  const { t } = useLingui();
  return (can, command, kind) => {
    switch (can.code) {
      case "viewer":
        return t`A viewer sees everything and commands nothing`;
      case "state":
        return command === "retry" ? t`Only a failed task can be retried` : t`Only a pending or running task can be cancelled`;
      case "no_message":
        return t`Its original message was not kept: it was published without Orakul, or keeping messages is switched off (celery.keep_messages)`;
      case "no_runner":
        return t`Orakul is not set up to command such tasks here`;
      case "elsewhere":
        return kind === "operation"
          ? t`An operation is a call inside a program: Orakul watches it and cannot make the call again or stop it. Run it there again`
          : t`A pipeline runs where its loader runs: Orakul watches it and cannot run it again or stop it`;
      default:
        return can.why ?? "";
    }
  };
}
