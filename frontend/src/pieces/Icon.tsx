import type { ReactNode } from "react";

const PATHS = {
  pending: <><circle cx="8" cy="8" r="5.75" strokeDasharray="2.6 2" /><path d="M8 5.2V8l1.9 1.3" /></>,
  in_progress: <path d="M8 2.25a5.75 5.75 0 1 1-5.75 5.75" />,
  completed: <><circle cx="8" cy="8" r="5.75" /><path d="m5.6 8.1 1.7 1.7 3.2-3.5" /></>,
  failed: <><path d="M8 2.4 14 13H2L8 2.4Z" /><path d="M8 6.6v3M8 11.2v.1" /></>,
  cancelled: <><circle cx="8" cy="8" r="5.75" /><path d="m4 12 8-8" /></>,
  retry: <><path d="M13.2 8A5.2 5.2 0 1 1 11.6 4.3L13.2 6" /><path d="M13.4 2.8V6h-3.2" /></>,
  stop: <rect x="4" y="4" width="8" height="8" rx="1.4" />,
  pause: <path d="M5.5 3.5v9M10.5 3.5v9" />,
  play: <path d="M5 3.2v9.6L12.6 8 5 3.2Z" />,
  search: <><circle cx="7" cy="7" r="4.25" /><path d="m13.2 13.2-3-3" /></>,
  close: <path d="m4 4 8 8M12 4l-8 8" />,
  copy: <><rect x="5.5" y="5.5" width="8" height="8" rx="1.4" /><path d="M10.5 3.2A1 1 0 0 0 9.8 2.5H3.5a1 1 0 0 0-1 1v6.3a1 1 0 0 0 .7.7" /></>,
  check: <path d="m3.5 8.4 3 3 6-6.6" />,
  down: <path d="m4.5 6.5 3.5 3.5 3.5-3.5" />,
  right: <path d="m6.5 4.5 3.5 3.5-3.5 3.5" />,
  left: <path d="M9.5 4.5 6 8l3.5 3.5" />,
  up: <path d="m4.5 9.5 3.5-3.5 3.5 3.5" />,
  external: <><path d="M9 3h4v4M13 3 7.5 8.5" /><path d="M11 9.5v2.8a.9.9 0 0 1-.9.9H3.9a.9.9 0 0 1-.9-.9V5.9a.9.9 0 0 1 .9-.9h2.8" /></>,
  sun: <><circle cx="8" cy="8" r="2.6" /><path d="M8 1.8v1.4M8 12.8v1.4M1.8 8h1.4M12.8 8h1.4M3.6 3.6l1 1M11.4 11.4l1 1M3.6 12.4l1-1M11.4 4.6l1-1" /></>,
  moon: <path d="M13 9.6A5.6 5.6 0 0 1 6.4 3a5.6 5.6 0 1 0 6.6 6.6Z" />,
  system: <><rect x="2.2" y="3" width="11.6" height="8" rx="1.2" /><path d="M6 13.5h4" /></>,
  user: <><circle cx="8" cy="5.6" r="2.6" /><path d="M2.9 13.4a5.2 5.2 0 0 1 10.2 0" /></>,
  out: <><path d="M6.5 13.2H3.6a.9.9 0 0 1-.9-.9V3.7a.9.9 0 0 1 .9-.9h2.9" /><path d="M10.2 11 13.3 8l-3.1-3M13 8H6.4" /></>,
  keys: <><rect x="1.8" y="4" width="12.4" height="8" rx="1.4" /><path d="M4.6 6.8h.1M7 6.8h.1M9.4 6.8h.1M11.6 6.8h.1M5 9.4h6" /></>,
  filter: <path d="M2.5 4h11M4.5 8h7M6.5 12h3" />,
  link: <><path d="M6.8 9.2a2.6 2.6 0 0 0 3.7 0l2-2a2.6 2.6 0 0 0-3.7-3.7l-.7.7" /><path d="M9.2 6.8a2.6 2.6 0 0 0-3.7 0l-2 2a2.6 2.6 0 0 0 3.7 3.7l.7-.7" /></>,
  file: <><path d="M9 2.2H4.6a.9.9 0 0 0-.9.9v9.8a.9.9 0 0 0 .9.9h6.8a.9.9 0 0 0 .9-.9V5.5L9 2.2Z" /><path d="M9 2.4v3.2h3.2" /></>,
  events: <><circle cx="4" cy="8" r="1.6" /><circle cx="12" cy="4" r="1.6" /><circle cx="12" cy="12" r="1.6" /><path d="m5.5 7.3 5-2.6M5.5 8.7l5 2.6" /></>,
  pipelines: <><path d="M2.2 4.6h4.2v6.8H2.2zM9.6 4.6h4.2v6.8H9.6zM6.4 8h3.2" /></>,
  reactions: <><path d="M4.2 10.6V7.2a3.8 3.8 0 0 1 7.6 0v3.4l1.2 1.6H3l1.2-1.6Z" /><path d="M6.7 13.6h2.6" /></>,
  tasks: <><path d="M6.2 4h7.6M6.2 8h7.6M6.2 12h7.6" /><path d="m2.2 4 .8.8L4.4 3.2M2.4 8h1.4M2.4 12h1.4" /></>,
  insights: <><path d="M8 2.2a4 4 0 0 1 2.2 7.3v1.3H5.8V9.5A4 4 0 0 1 8 2.2Z" /><path d="M6.2 13.4h3.6" /></>,
  errors: <><rect x="2.4" y="6" width="8.4" height="7.4" rx="1.2" /><path d="M5 6V4a1 1 0 0 1 1-1h6.6a1 1 0 0 1 1 1v5.6a1 1 0 0 1-1 1h-1.8M6.6 8.2v2M6.6 11.6v.1" /></>,
  audit: <><path d="M3.6 2.4h6.2l2.6 2.6v8.6H3.6z" /><path d="M5.8 6.4h4.4M5.8 8.8h4.4M5.8 11.2h2.6" /></>,
  queues: <><rect x="2.4" y="2.8" width="11.2" height="3" rx="1" /><rect x="2.4" y="7" width="11.2" height="3" rx="1" /><path d="M3 12.8h10" /></>,
  past: <><path d="M2.6 8a5.4 5.4 0 1 0 1.7-3.9L2.6 5.6" /><path d="M2.4 2.6v3.2h3.2M8 5.2V8l2 1.4" /></>,
  retention: <><path d="M3 4.2h10M6.2 4V2.6h3.6V4M4.2 4.2l.6 9h6.4l.6-9" /><path d="M6.8 7v3.6M9.2 7v3.6" /></>,
  more: <path d="M3.4 8h.1M8 8h.1M12.6 8h.1" strokeWidth="2.4" />,
  edit: <><path d="m3 13 .7-3 7.2-7.2 2.3 2.3L6 12.3 3 13Z" /></>,
  columns: <><rect x="2.2" y="3" width="11.6" height="10" rx="1.2" /><path d="M6.2 3v10M10 3v10" /></>,
  views: <path d="M4.2 2.6h7.6v10.8L8 10.6l-3.8 2.8V2.6Z" />,
  chart: <path d="M2.6 13.2h10.8M4.4 11V8.2M7 11V4.4M9.6 11V6.6M12.2 11V3" />,
  group: <><path d="M2.6 4h10.8M5 7.4h8.4M5 10.8h8.4" /><path d="M2.6 7.4h.1M2.6 10.8h.1" /></>,
  download: <><path d="M8 2.6v7M5 6.8l3 3 3-3" /><path d="M3 13.2h10" /></>,
  print: <><path d="M4.6 6V2.6h6.8V6M4.6 11.4H3a.8.8 0 0 1-.8-.8V6.8A.8.8 0 0 1 3 6h10a.8.8 0 0 1 .8.8v3.8a.8.8 0 0 1-.8.8h-1.6" /><path d="M4.6 9.6h6.8v3.8H4.6z" /></>,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof PATHS;

/** A drawing beside words; it says nothing of its own to a screen reader. */
export function Icon({ name, className = "" }: { name: IconName; className?: string }) {
  return (
    <svg
      className={`icon ${className}`}
      viewBox="0 0 16 16"
      width="16"
      height="16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {PATHS[name]}
    </svg>
  );
}

/** The mark of Orakul: an open ring, the eye in it, and what it has just caught sight of. */
export function Mark({ size = 26 }: { size?: number }) {
  return (
    <svg className="mark" viewBox="0 0 32 32" width={size} height={size} fill="none" aria-hidden="true" focusable="false">
      <path d="M26.4 10.4A12 12 0 1 1 21.2 5.2" stroke="currentColor" strokeWidth="2.8" strokeLinecap="round" />
      <circle cx="16" cy="16" r="4.4" fill="currentColor" />
      <circle className="mark-star" cx="24.6" cy="7" r="2.3" fill="currentColor" />
    </svg>
  );
}
