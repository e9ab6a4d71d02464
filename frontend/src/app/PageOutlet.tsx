import { useLingui } from "@lingui/react/macro";
import { Component, Suspense, useEffect, useState } from "react";
import type { ReactNode } from "react";

import { Link } from "./Link";
import type { PageEntry } from "./pages";
import { maySee } from "./pages";
import { hrefTo } from "./place";
import { useRoom } from "./room";
import { useTitle } from "./useTitle";

interface Props {
  entry: PageEntry | null;
  rest: string;
}

/** The page that was asked for, once it is here; else what is the matter. */
export function PageOutlet({ entry, rest }: Props) {
  const { t, i18n } = useLingui();
  const { me } = useRoom();
  const title = entry ? i18n._(entry.title) : t`No such page`;
  useTitle(title);
  if (!entry) return <Note words={t`There is no such page`} />;
  if (!maySee(entry, me)) return <Note words={t`This page is not for your role`} />;
  const Page = entry.component;
  if (!Page) return null;
  return (
    <Caught key={entry.path} words={t`The page could not be loaded`} again={t`Reload`}>
      <Suspense fallback={<Loading title={title} />}>
        <Page rest={rest} />
      </Suspense>
    </Caught>
  );
}

function Note({ words }: { words: string }) {
  const { t } = useLingui();
  return (
    <section className="page" aria-label={words}>
      <div className="grid-note">
        <strong>{words}</strong>
        <Link href={hrefTo("")}>{t`To the tasks`}</Link>
      </div>
    </section>
  );
}

/** Nothing for a moment, so that what comes at once does not flicker. */
function Loading({ title }: { title: string }) {
  const { t } = useLingui();
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 300);
    return () => clearTimeout(timer);
  }, []);
  return (
    <section className="page" aria-label={title} aria-busy="true">
      {late && <div className="grid-note">{t`Loading…`}</div>}
    </section>
  );
}

interface CaughtProps {
  words: string;
  again: string;
  children: ReactNode;
}

/** Says that a page failed, for example as a new release has taken its file away, and leaves the rest of the room be. */
class Caught extends Component<CaughtProps, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <section className="page" role="alert">
        <div className="grid-note">
          <strong>{this.props.words}</strong>
          <button type="button" className="button" onClick={() => location.reload()}>
            {this.props.again}
          </button>
        </div>
      </section>
    );
  }
}
