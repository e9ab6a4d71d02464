import { useEffect, useRef } from "react";
import type { ReactNode } from "react";

interface Props {
  title: string;
  /** One sentence under the title: what is shown here. */
  lead?: ReactNode;
  /** What stands at the right of the title: choices and buttons. */
  tools?: ReactNode;
  children: ReactNode;
}

/** The frame of a page: its heading, its tools, and what scrolls below them. The heading is given the focus. */
export function PageFrame({ title, lead, tools, children }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return (
    <section className="page" aria-label={title}>
      <header className="page-head">
        <div className="page-words">
          <h2 ref={heading} tabIndex={-1}>{title}</h2>
          {lead && <p className="note">{lead}</p>}
        </div>
        {tools && <div className="page-tools">{tools}</div>}
      </header>
      <div className="page-body" tabIndex={0} role="group" aria-label={title}>
        {children}
      </div>
    </section>
  );
}
