import { useLingui } from "@lingui/react/macro";
import * as Alert from "@radix-ui/react-alert-dialog";

import type { Question } from "./confirm";

/** Shows the question that `confirm` asks. */
export default function Confirm({ question }: { question: Question }) {
  const { t } = useLingui();
  return (
    <Alert.Root open onOpenChange={(open) => !open && question.answer(false)}>
      <Alert.Portal>
        <Alert.Overlay className="overlay" />
        <Alert.Content className="dialog">
          <Alert.Title className="dialog-title">{question.title}</Alert.Title>
          <Alert.Description className="dialog-text">{question.text}</Alert.Description>
          <div className="dialog-actions">
            <Alert.Cancel className="button">{t`Not now`}</Alert.Cancel>
            <Alert.Action
              className={question.danger ? "button button-danger" : "button button-main"}
              onClick={() => question.answer(true)}
            >
              {question.action}
            </Alert.Action>
          </div>
        </Alert.Content>
      </Alert.Portal>
    </Alert.Root>
  );
}
