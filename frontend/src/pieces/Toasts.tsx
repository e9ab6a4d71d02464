import { useLingui } from "@lingui/react/macro";
import { useSyncExternalStore } from "react";

import { Icon } from "./Icon";
import { toastStore } from "./toasts";

export function Toasts() {
  const { t } = useLingui();
  const toasts = useSyncExternalStore(toastStore.subscribe, toastStore.snapshot);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {toasts.map((toast) => (
        <div key={toast.id} className="toast" data-kind={toast.kind}>
          <Icon name={toast.kind === "good" ? "completed" : "failed"} />
          <div className="toast-words">
            <strong>{toast.title}</strong>
            {toast.text && <p>{toast.text}</p>}
          </div>
          <button type="button" className="button-icon" aria-label={t`Dismiss`} onClick={() => toastStore.dismiss(toast.id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
