import type { ElementType, ReactNode } from "react";

interface Props {
  as?: ElementType;
  children?: ReactNode;
  [rest: string]: unknown;
}

/** Stands in for `react-remove-scroll` (see vite.config.ts): passes its children on and locks nothing. */
export function RemoveScroll({ as: Outer = "div", children, allowPinchZoom: _pinch, shards: _shards, ...rest }: Props) {
  return <Outer {...rest}>{children}</Outer>;
}
