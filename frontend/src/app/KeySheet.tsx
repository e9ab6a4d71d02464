import { useLingui } from "@lingui/react/macro";
import * as Dialog from "@radix-ui/react-dialog";

import { Icon } from "#/pieces/Icon";

import { maySee, PAGES } from "./pages";
import { useRoom } from "./room";

export default function KeySheet({ onClose }: { onClose: () => void }) {
  const { t, i18n } = useLingui();
  const { me } = useRoom();
  const keys: [string[], string][] = [
    [["j", "↓"], t`Next task`],
    [["k", "↑"], t`Previous task`],
    [["Enter"], t`Open the task`],
    [["Esc"], t`Close the task`],
    [["/"], t`Search by ID`],
    [["r"], t`Retry the task`],
    [["c"], t`Cancel the task`],
    [["?"], t`This sheet`],
    ...PAGES.filter((entry) => maySee(entry, me)).map((entry): [string[], string] => [["g", entry.key], i18n._(entry.title)]),
  ];
  return (
    <Dialog.Root open onOpenChange={(next) => !next && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="overlay" />
        <Dialog.Content className="dialog" aria-describedby={undefined}>
          <div className="dialog-top">
            <Dialog.Title className="dialog-title">{t`Keys`}</Dialog.Title>
            <Dialog.Close className="button-icon" aria-label={t`Close`}>
              <Icon name="close" />
            </Dialog.Close>
          </div>
          <dl className="keys">
            {keys.map(([names, what]) => (
              <div key={what}>
                <dt>
                  {names.map((name) => (
                    <kbd key={name}>{name}</kbd>
                  ))}
                </dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
