import { useLingui } from "@lingui/react/macro";

import { useRoom } from "#/app/room";
import { Icon, Mark } from "#/pieces/Icon";

import { LinkIndicator } from "./LinkIndicator";
import { Metrics } from "./Metrics";
import { PauseControl } from "./PauseControl";
import { Pulse } from "./Pulse";
import { LanguageSwitch, ThemeSwitch } from "./Switches";

interface Props {
  onLeave: () => Promise<void>;
  onKeys: () => void;
}

export function Header({ onLeave, onKeys }: Props) {
  const { t } = useLingui();
  const { me } = useRoom();
  const name = me.username || me.user_id;
  const role = { admin: t`administrator`, viewer: t`viewer`, user: t`user` }[me.role];
  return (
    <header className="header">
      <h1 className="brand">
        <Mark />
        <span>Orakul</span>
      </h1>
      <Metrics />
      <Pulse />
      <div className="header-tools">
        {me.role === "admin" && <PauseControl />}
        <LinkIndicator />
        <span className="who" title={`${name} · ${role}`}>
          <Icon name="user" />
          <span className="who-name">{name}</span>
          <span className="who-role">{role}</span>
        </span>
        <div className="header-switches">
          <button type="button" className="button-icon only-wide" aria-label={t`Keys`} title={`${t`Keys`} (?)`} onClick={onKeys}>
            <Icon name="keys" />
          </button>
          <LanguageSwitch />
          <ThemeSwitch />
          <button type="button" className="button-icon" aria-label={t`Sign out`} title={t`Sign out`} onClick={() => void onLeave()}>
            <Icon name="out" />
          </button>
        </div>
      </div>
    </header>
  );
}
