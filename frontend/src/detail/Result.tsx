import { useLingui } from "@lingui/react/macro";

import { Copy } from "#/pieces/Copy";
import { Icon } from "#/pieces/Icon";
import type { Json } from "#/services/types";
import { visible } from "#/texts/format";

import { resultLink } from "./json";
import { JsonView } from "./JsonView";

/** What a task returned: a link where it is an address, a path to copy where it is a file, and the JSON. */
export function Result({ result }: { result: Json }) {
  const { t } = useLingui();
  const link = resultLink(result);
  const plain = typeof result === "string" && link !== null;
  return (
    <>
      {link && (
        <p className="result-link">
          <Icon name={link.href ? "link" : "file"} />
          {link.href ? (
            <a href={link.href} target="_blank" rel="noopener noreferrer">{visible(link.text)}</a>
          ) : (
            <span className="mono">{visible(link.text)}</span>
          )}
          <Copy text={link.text} label={link.href ? t`Copy the address` : t`Copy the path`} />
        </p>
      )}
      {!plain && <JsonView value={result} label={t`Result`} />}
    </>
  );
}
