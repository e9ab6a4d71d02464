import { useEffect, useState } from "react";

import { useTheme } from "#/header/theme";

const NAMES = ["ink", "ink-faint", "line", "surface", "accent", "pending", "in_progress", "completed", "failed", "cancelled", "warn"] as const;
export type Colours = Record<(typeof NAMES)[number], string>;

/** The theme's colours as a canvas understands them: what `light-dark()` comes to is known to the page only. */
function read(): Colours {
  const probe = document.createElement("span");
  document.body.append(probe);
  const found = NAMES.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color] as const;
  });
  probe.remove();
  return Object.fromEntries(found) as Colours;
}

export function useColours(): Colours {
  const theme = useTheme();
  const [colours, setColours] = useState(read);
  useEffect(() => {
    const again = () => setColours((before) => (JSON.stringify(before) === JSON.stringify(read()) ? before : read()));
    again();
    const media = matchMedia("(prefers-color-scheme: dark)");
    media.addEventListener("change", again);
    return () => media.removeEventListener("change", again);
  }, [theme]);
  return colours;
}

/** The same colour, let through. */
export const faint = (colour: string, share: number): string => colour.replace(/^rgb\((.+)\)$/, `rgb($1 / ${share})`).replaceAll(",", "");
