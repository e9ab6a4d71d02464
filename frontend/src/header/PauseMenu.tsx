import { useLingui } from "@lingui/react/macro";
import * as Menu from "@radix-ui/react-dropdown-menu";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { useCommands } from "#/app/commands";
import { Icon } from "#/pieces/Icon";
import { api } from "#/services/api";
import type { Queue } from "#/services/types";
import { visible } from "#/texts/format";

import { useSummary } from "./Metrics";
import { ALL_QUEUES, PauseLabel } from "./PauseControl";

/** Pause and resume, a queue or all of them: the menu that opens from the button of `PauseControl`. */
export default function PauseMenu() {
  const { t } = useLingui();
  const [open, setOpen] = useState(true);
  const { pause, resume } = useCommands();
  const paused = useSummary()?.paused_queues ?? [];
  const all = paused.some((one) => one.queue === ALL_QUEUES);
  const queues = useQuery({ queryKey: ["queues"], queryFn: ({ signal }) => api.queues(signal), enabled: open, staleTime: 2_000 });
  const isPaused = (queue: Queue): boolean => paused.some((one) => one.queue === queue.queue);
  return (
    <Menu.Root open={open} onOpenChange={setOpen} modal={false}>
      <Menu.Trigger className="button pause-button" data-paused={paused.length > 0 || undefined}>
        <PauseLabel paused={paused.length > 0} />
      </Menu.Trigger>
        <Menu.Content className="menu" align="end" sideOffset={6} collisionPadding={8} aria-label={t`Queues`}>
          {queues.isPending && <div className="menu-note">{t`Loading…`}</div>}
          {queues.data?.items.map((queue) => (
            <Menu.Item
              key={queue.queue}
              className="menu-item"
              onSelect={() => void (isPaused(queue) ? resume(queue.queue) : pause(queue.queue))}
            >
              <Icon name={isPaused(queue) ? "play" : "pause"} />
              <span className="menu-main">
                {isPaused(queue) ? t`Resume ${visible(queue.queue)}` : t`Pause ${visible(queue.queue)}`}
              </span>
              <span className="menu-side">{t`${queue.pending} waiting, ${queue.in_progress} running`}</span>
            </Menu.Item>
          ))}
          {queues.data && <Menu.Separator className="menu-line" />}
          {!all && (
            <Menu.Item className="menu-item" onSelect={() => void pause(null)}>
              <Icon name="pause" />
              <span className="menu-main">{t`Pause all queues`}</span>
            </Menu.Item>
          )}
          {paused.length > 0 && (
            <Menu.Item className="menu-item" onSelect={() => void resume(null)}>
              <Icon name="play" />
              <span className="menu-main">{t`Resume all queues`}</span>
            </Menu.Item>
          )}
        </Menu.Content>
    </Menu.Root>
  );
}
