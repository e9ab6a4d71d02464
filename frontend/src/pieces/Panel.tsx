import { useEffect, useId, useLayoutEffect, useRef, useState } from "react";
import type { ReactNode } from "react";

import { Icon } from "./Icon";
import type { IconName } from "./Icon";

const EDGE = 8;

interface Props {
  /** What the button says, and what the panel is called where `title` is not given. */
  label: string;
  title?: string;
  icon?: IconName;
  /** Whether something is chosen in it. */
  set?: boolean;
  /** Only the drawing is seen; the words are for screen readers. */
  bare?: boolean;
  children: (close: () => void) => ReactNode;
}

/** A button and the panel that opens under it: closed by Escape, by a press elsewhere, and when the focus leaves it. */
export function Panel({ label, title = label, icon, set = false, bare = false, children }: Props) {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  return (
    <>
      <button
        ref={button}
        type="button"
        className={bare ? "button-icon" : "button panel-button"}
        aria-haspopup="dialog"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        aria-label={bare ? label : undefined}
        title={bare ? label : undefined}
        data-set={set || undefined}
        onClick={() => setOpen(!open)}
      >
        {icon && <Icon name={icon} />}
        {!bare && <span className="cut">{label}</span>}
        {!bare && <Icon name="down" />}
      </button>
      {open && (
        <Opened id={id} title={title} anchor={button} onClose={() => setOpen(false)} onEscape={close}>
          {children(close)}
        </Opened>
      )}
    </>
  );
}

interface OpenedProps {
  id: string;
  title: string;
  anchor: { current: HTMLElement | null };
  onClose: () => void;
  onEscape: () => void;
  children: ReactNode;
}

function Opened({ id, title, anchor, onClose, onEscape, children }: OpenedProps) {
  const panel = useRef<HTMLDivElement>(null);
  const latest = useRef({ onClose, onEscape });
  useEffect(() => {
    latest.current = { onClose, onEscape };
  });
  useLayoutEffect(() => {
    const element = panel.current;
    if (!element) return;
    const put = () => {
      const from = anchor.current?.getBoundingClientRect();
      if (!from) return;
      element.style.left = `${Math.max(EDGE, Math.min(from.left, innerWidth - element.offsetWidth - EDGE))}px`;
      element.style.top = `${from.bottom + 4}px`;
      element.style.maxHeight = `${Math.max(160, innerHeight - from.bottom - 4 - EDGE)}px`;
      if (element.contains(document.activeElement) && document.activeElement !== element) return;
      (element.querySelector<HTMLElement>("[data-first]") ?? element.querySelector<HTMLElement>("input, select, button, a") ?? element).focus();
    };
    put();
    const observer = new ResizeObserver(put); // what is in it may be loaded only now
    observer.observe(element);
    return () => observer.disconnect();
  }, [anchor]);
  useEffect(() => {
    const outside = (event: Event) => {
      const { target } = event;
      if (!(target instanceof Node) || panel.current?.contains(target) || anchor.current?.contains(target)) return;
      latest.current.onClose();
    };
    const key = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      event.preventDefault();
      latest.current.onEscape();
    };
    const element = panel.current;
    addEventListener("pointerdown", outside);
    addEventListener("focusin", outside);
    element?.addEventListener("keydown", key);
    return () => {
      removeEventListener("pointerdown", outside);
      removeEventListener("focusin", outside);
      element?.removeEventListener("keydown", key);
    };
  }, [anchor]);
  return (
    <div ref={panel} id={id} className="panel" role="dialog" aria-label={title} tabIndex={-1}>
      {children}
    </div>
  );
}
