import type { MessageDescriptor } from "@lingui/core";
import { msg } from "@lingui/core/macro";
import { useLingui } from "@lingui/react";

import type { Status } from "#/services/types";

import { Icon } from "./Icon";

export const STATUS_NAMES: Record<Status, MessageDescriptor> = {
  pending: msg`Pending`,
  in_progress: msg`In progress`,
  completed: msg`Completed`,
  failed: msg`Failed`,
  cancelled: msg`Cancelled`,
};

export const COMMAND_NAMES: Record<"retry" | "cancel", MessageDescriptor> = {
  retry: msg`Retrying…`,
  cancel: msg`Cancelling…`,
};

interface Props {
  status: Status;
  /** A command that was given and whose effect has not been seen yet. */
  command?: "retry" | "cancel" | null;
  size?: "small" | "large";
  /** Shine for a moment: the status has just changed. */
  fresh?: boolean;
}

/** A status, by colour, drawing and word. */
export function StatusBadge({ status, command = null, size = "small", fresh = false }: Props) {
  const { i18n } = useLingui();
  return (
    <span className={`status status-${size}${fresh ? " status-fresh" : ""}`} data-status={status} data-command={command}>
      <Icon name={command ? "in_progress" : status} />
      <span className="status-name">{i18n._(command ? COMMAND_NAMES[command] : STATUS_NAMES[status])}</span>
    </span>
  );
}
