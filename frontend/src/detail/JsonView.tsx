import { plural } from "@lingui/core/macro";
import { useLingui } from "@lingui/react/macro";
import { useState } from "react";
import type { ReactNode } from "react";

import { Copy } from "#/pieces/Copy";
import { Icon } from "#/pieces/Icon";
import { usePrinting } from "#/pieces/usePrinting";
import type { Json } from "#/services/types";
import { visible } from "#/texts/format";

import { isFolded, linkIn, sizeOf } from "./json";

const CHUNK = 100; // members of one array or object that are drawn at once
const STRING = 2_000; // characters of one text that are drawn at once
const INDENT_MOST = 16;
const PRINTED_MOST = 20_000; // characters that go on paper

/**
 * JSON as a tree that opens step by step. Only what is open is drawn, so neither a megabyte nor a thousand levels
 * hold up the page, and all text goes in as text.
 */
export function JsonView({ value, label }: { value: Json; label: string }) {
  const { t } = useLingui();
  if (usePrinting()) return <Printed value={value} />;
  return (
    <div className="json" role="group" aria-label={label}>
      <div className="json-tools">
        <Copy text={stringify(value)} label={t`Copy as JSON`} />
      </div>
      <div className="json-body mono" tabIndex={0} role="group" aria-label={label}>
        <Node value={value} depth={0} name={null} />
      </div>
    </div>
  );
}

/** On paper nothing can be unfolded: all of it as it would be copied, up to some pages. */
function Printed({ value }: { value: Json }) {
  const { t, i18n } = useLingui();
  const text = stringify(value);
  const [shown, all] = [i18n.number(PRINTED_MOST), i18n.number(text.length)];
  return (
    <>
      <pre className="json json-printed mono">{visible(text.slice(0, PRINTED_MOST))}</pre>
      {text.length > PRINTED_MOST && <p className="note">{t`The first ${shown} of ${all} characters`}</p>}
    </>
  );
}

function stringify(value: Json): string {
  try {
    return typeof value === "string" ? value : JSON.stringify(value, null, 2);
  } catch {
    return "…"; // deeper than the browser can write
  }
}

interface NodeProps {
  value: Json;
  depth: number;
  name: string | null;
}

function Node({ value, depth, name }: NodeProps) {
  if (value !== null && typeof value === "object") return <Branch value={value} depth={depth} name={name} />;
  return (
    <Line depth={depth} name={name}>
      <Leaf value={value} />
    </Line>
  );
}

interface LineProps {
  depth: number;
  name: string | null;
  children: ReactNode;
  fold?: ReactNode;
}

function Line({ depth, name, children, fold }: LineProps) {
  return (
    <div className="json-line" style={{ paddingInlineStart: `${Math.min(depth, INDENT_MOST) * 16 + 18}px` }}>
      {fold}
      {name !== null && (
        <>
          <span className="json-name">{visible(name.slice(0, 300))}</span>
          <span className="json-mark">: </span>
        </>
      )}
      {children}
    </div>
  );
}

type Container = readonly Json[] | Readonly<Record<string, Json>>;

function Branch({ value, depth, name }: NodeProps & { value: Container }) {
  const { t } = useLingui();
  const [open, setOpen] = useState(() => !isFolded(value, depth));
  const [shown, setShown] = useState(CHUNK);
  const size = sizeOf(value);
  const list = Array.isArray(value);
  const brackets = list ? "[]" : "{}";
  if (size === 0) {
    return (
      <Line depth={depth} name={name}>
        <span className="json-mark">{brackets}</span>
      </Line>
    );
  }
  const members: [string | null, Json][] = list
    ? (value as readonly Json[]).slice(0, shown).map((one) => [null, one])
    : Object.entries(value as Record<string, Json>).slice(0, shown);
  const rest = size - shown;
  return (
    <>
      <Line
        depth={depth}
        name={name}
        fold={
          <button
            type="button"
            className="json-fold"
            aria-expanded={open}
            aria-label={open ? t`Fold` : t`Unfold`}
            onClick={() => setOpen(!open)}
          >
            <Icon name={open ? "down" : "right"} />
          </button>
        }
      >
        <span className="json-mark">{brackets[0]}</span>
        {!open && (
          <>
            <button type="button" className="json-more" onClick={() => setOpen(true)}>
              {list
                ? t`${plural(size, { one: "# element", other: "# elements" })}`
                : t`${plural(size, { one: "# key", other: "# keys" })}`}
            </button>
            <span className="json-mark">{brackets[1]}</span>
          </>
        )}
      </Line>
      {open && (
        <>
          {members.map(([key, member], at) => (
            <Node key={key ?? at} name={key} value={member} depth={depth + 1} />
          ))}
          {rest > 0 && (
            <Line depth={depth + 1} name={null}>
              <button type="button" className="json-more" onClick={() => setShown(shown + CHUNK * 5)}>
                {t`${rest} more`}
              </button>
            </Line>
          )}
          <Line depth={depth} name={null}>
            <span className="json-mark">{brackets[1]}</span>
          </Line>
        </>
      )}
    </>
  );
}

function Leaf({ value }: { value: string | number | boolean | null }) {
  if (typeof value === "string") return <Text value={value} />;
  return <span className={`json-${value === null ? "null" : typeof value}`}>{String(value)}</span>;
}

function Text({ value }: { value: string }) {
  const { t } = useLingui();
  const [whole, setWhole] = useState(false);
  const link = linkIn(value);
  if (link?.href) {
    return (
      <a href={link.href} target="_blank" rel="noopener noreferrer" className="json-string">
        {visible(value.slice(0, STRING))}
      </a>
    );
  }
  const text = whole ? value : value.slice(0, STRING);
  const rest = value.length - text.length;
  return (
    <>
      <span className="json-string">{`"${visible(text)}${rest > 0 ? "…" : '"'}`}</span>
      {rest > 0 && (
        <button type="button" className="json-more" onClick={() => setWhole(true)}>
          {t`${plural(rest, { one: "# more character", other: "# more characters" })}`}
        </button>
      )}
    </>
  );
}
