import { useLingui } from "@lingui/react/macro";
import { useEffect, useRef, useState } from "react";

import { Link } from "#/app/Link";
import { maySee, PAGES } from "#/app/pages";
import type { PageEntry } from "#/app/pages";
import { hrefTo } from "#/app/place";
import { useRoom } from "#/app/room";
import { Icon } from "#/pieces/Icon";

const IN_BAR = 4; // on a phone; the others are under "More"

/** The way between pages: a rail at the side, on a phone a bar at the foot. */
export function Navigation({ here }: { here: PageEntry | null }) {
  const { t } = useLingui();
  const { me } = useRoom();
  const [open, setOpen] = useState(false);
  const frame = useRef<HTMLElement>(null);
  const pages = PAGES.filter((entry) => maySee(entry, me));
  const hidden = pages.slice(IN_BAR);
  useEffect(() => {
    if (!open) return;
    const close = (event: Event) => {
      if (event instanceof KeyboardEvent ? event.key === "Escape" : !frame.current?.contains(event.target as Node)) setOpen(false);
    };
    addEventListener("pointerdown", close);
    addEventListener("keydown", close);
    return () => {
      removeEventListener("pointerdown", close);
      removeEventListener("keydown", close);
    };
  }, [open]);
  if (pages.length < 2) return null;
  return (
    <nav ref={frame} className="nav" aria-label={t`Pages`} data-open={open || undefined}>
      <Entries pages={pages.slice(0, IN_BAR)} here={here} onGo={() => setOpen(false)} />
      <Entries pages={hidden} here={here} onGo={() => setOpen(false)} />
      {hidden.length > 0 && (
        <button
          type="button"
          className="nav-entry nav-more"
          aria-expanded={open}
          data-here={(here !== null && hidden.includes(here)) || undefined}
          onClick={() => setOpen(!open)}
        >
          <Icon name="more" />
          <span>{t`More`}</span>
        </button>
      )}
    </nav>
  );
}

interface EntriesProps {
  pages: readonly PageEntry[];
  here: PageEntry | null;
  onGo: () => void;
}

function Entries({ pages, here, onGo }: EntriesProps) {
  const { i18n } = useLingui();
  if (pages.length === 0) return null;
  return (
    <ul>
      {pages.map((entry) => {
        const title = i18n._(entry.title);
        return (
          <li key={entry.path}>
            <Link
              className="nav-entry"
              href={hrefTo(entry.path)}
              aria-current={entry === here ? "page" : undefined}
              title={`${title} (g ${entry.key})`}
              onClick={onGo}
            >
              <Icon name={entry.icon} />
              <span>{title}</span>
            </Link>
          </li>
        );
      })}
    </ul>
  );
}
