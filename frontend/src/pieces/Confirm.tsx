import { useLingui } from "@lingui/react/macro";
import * as Alert from "@radix-ui/react-alert-dialog";
import { useState } from "react";

import type { Question } from "./confirm";

export const REASON_MOST = 1_000;

/** Shows the question that `confirm` asks. */
export default function Confirm({ question }: { question: Question }) {
  const { t } = useLingui();
  const [reason, setReason] = useState("");
  return (
    <Alert.Root open onOpenChange={(open) => !open && question.answer(null)}>
      <Alert.Portal>
        <Alert.Overlay className="overlay" />
        <Alert.Content className="dialog">
          <Alert.Title className="dialog-title">{question.title}</Alert.Title>
          <Alert.Description className="dialog-text">{question.text}</Alert.Description>
          {question.reason && (
            <label className="dialog-field">
              <span>{t`Reason (optional, kept with the command)`}</span>
              <input
                type="text"
                value={reason}
                maxLength={REASON_MOST}
                autoComplete="off"
                onChange={(event) => setReason(event.target.value)}
                onKeyDown={(event) => event.key === "Enter" && !event.nativeEvent.isComposing && question.answer({ reason: reason.trim() })}
              />
            </label>
          )}
          <div className="dialog-actions">
            <Alert.Cancel className="button">{t`Not now`}</Alert.Cancel>
            <Alert.Action
              className={question.danger ? "button button-danger" : "button button-main"}
              onClick={() => question.answer({ reason: reason.trim() })}
            >
              {question.action}
            </Alert.Action>
          </div>
        </Alert.Content>
      </Alert.Portal>
    </Alert.Root>
  );
}
