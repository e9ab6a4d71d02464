import { useLingui } from "@lingui/react/macro";
import * as Dialog from "@radix-ui/react-dialog";

import { Icon } from "#/pieces/Icon";

import { maySee, PAGES } from "./pages";
import { useRoom } from "./room";

type Line = [string[], string];

/** Every key, in groups. */
export default function KeySheet({ onClose }: { onClose: () => void }) {
  const { t, i18n } = useLingui();
  const { me } = useRoom();
  const commander = me.role !== "viewer";
  const anywhere: Line[] = [
    [["Ctrl K", "⌘ K"], t`Go to or do anything`],
    [["?"], t`This sheet`],
    ...PAGES.filter((entry) => maySee(entry, me)).map((entry): Line => [[`g ${entry.key}`], i18n._(entry.title)]),
  ];
  const list: Line[] = [
    [["j", "↓"], t`Next task`],
    [["k", "↑"], t`Previous task`],
    [["Enter"], t`Open the task`],
    [["Esc"], t`Unselect, or close the task`],
    [["/"], t`Search by ID`],
    [["l"], t`Back to the list`],
    [["h"], t`Hold the list, or let it go`],
    [["n"], t`Show the new tasks`],
  ];
  const commands: Line[] = [
    [["x"], t`Select the task, or not`],
    [["Shift ↓", "Shift ↑", "J", "K"], t`Select further`],
    [["Ctrl A"], t`Select all on the page`],
    [["r"], t`Retry the task, or what is selected`],
    [["c"], t`Cancel the task, or what is selected`],
    [["e"], t`Edit the arguments and run`],
  ];
  return (
    <Dialog.Root open onOpenChange={(next) => !next && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="overlay" />
        <Dialog.Content className="dialog dialog-wide" aria-describedby={undefined}>
          <div className="dialog-top">
            <Dialog.Title className="dialog-title">{t`Keys`}</Dialog.Title>
            <Dialog.Close className="button-icon" aria-label={t`Close`}>
              <Icon name="close" />
            </Dialog.Close>
          </div>
          <div className="key-groups">
            <Group title={t`Everywhere`} lines={anywhere} />
            <div>
              <Group title={t`The list`} lines={list} />
              {commander && <Group title={t`Commands`} lines={commands} />}
            </div>
          </div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function Group({ title, lines }: { title: string; lines: readonly Line[] }) {
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      <dl className="keys">
        {lines.map(([names, what]) => (
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
    </section>
  );
}
