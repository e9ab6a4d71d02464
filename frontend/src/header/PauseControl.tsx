import { useLingui } from "@lingui/react/macro";
import { lazy, Suspense, useState } from "react";

import { Icon } from "#/pieces/Icon";

import { useSummary } from "./Metrics";

/** The name under which all queues are paused at once. */
export const ALL_QUEUES = "*";

const load = () => import("./PauseMenu");
const PauseMenu = lazy(load);

/** A button that becomes a menu once it is wanted; the menu is fetched when a hand comes near. */
export function PauseControl() {
  const [wanted, setWanted] = useState(false);
  const paused = (useSummary()?.paused_queues ?? []).length > 0;
  const button = (
    <button
      type="button"
      className="button pause-button"
      aria-haspopup="menu"
      aria-expanded={false}
      data-paused={paused || undefined}
      onPointerEnter={() => void load()}
      onFocus={() => void load()}
      onClick={() => setWanted(true)}
    >
      <PauseLabel paused={paused} />
    </button>
  );
  return wanted ? (
    <Suspense fallback={button}>
      <PauseMenu />
    </Suspense>
  ) : (
    button
  );
}

export function PauseLabel({ paused }: { paused: boolean }) {
  const { t } = useLingui();
  return (
    <>
      <Icon name={paused ? "play" : "pause"} />
      <span className="label-wide">{paused ? t`Resume queue` : t`Pause queue`}</span>
      <Icon name="down" />
    </>
  );
}
