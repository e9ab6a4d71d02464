import { useLingui } from "@lingui/react/macro";
import { useEffect, useState } from "react";

import { Icon } from "./Icon";

/** Copy by the clipboard where the browser grants it, else by a selection, as on plain HTTP. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "off-screen";
    document.body.append(area);
    area.select();
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only way where there is no secure context
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

export function Copy({ text, label }: { text: string; label: string }) {
  const { t } = useLingui();
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1_500);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <button
      type="button"
      className="button-icon copy"
      aria-label={done ? t`Copied` : label}
      title={label}
      onClick={() => void copyText(text).then(setDone)}
    >
      <Icon name={done ? "check" : "copy"} />
    </button>
  );
}
