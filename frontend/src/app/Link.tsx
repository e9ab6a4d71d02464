import type { AnchorHTMLAttributes, MouseEvent } from "react";

import { goTo } from "./place";

interface Props extends AnchorHTMLAttributes<HTMLAnchorElement> {
  /** From `hrefTo` or `hrefToList`. */
  href: string;
}

/** A link inside the interface: a true address, for a new tab or a copy, and no page load where it is just pressed. */
export function Link({ href, onClick, ...rest }: Props) {
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!plain || event.defaultPrevented) return;
    event.preventDefault();
    goTo(href);
  };
  return <a href={href} onClick={follow} {...rest} />;
}
