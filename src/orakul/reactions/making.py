"""From settings to notifiers: `[notifiers.NAME]` with its `kind` and options; what is wrong is named."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from orakul import extensions
from orakul.errors import MissingExtraError, OrakulError, SettingsError
from orakul.reactions.notifier import Notifier, NotifierError
from orakul.reactions.secret import Secret
from orakul.settings import place_of

__all__ = ["GROUP", "Notifiers", "kind_of", "make_notifier"]

GROUP = "orakul.notifiers"


def kind_of(name: str, given: Mapping[str, Any]) -> str:
    """Return the kind of a notifier in the settings; where it says none, its name is its kind."""
    return str(given.get("kind", name))


def make_notifier(name: str, given: Mapping[str, Any]) -> Notifier:
    """Return the notifier of these settings, or raise SettingsError (MissingExtraError) that says what is wrong."""
    kind = kind_of(name, given)
    section = f"notifiers.{name}"
    known = extensions.names(GROUP)
    if kind not in known:
        raise SettingsError(
            f"{place_of(section)}{section}: there is no notifier of the kind {kind!r}"
            f"{_nearest(kind, known)}; there is: {', '.join(known)}"
        )
    found: type[Notifier] = extensions.load(GROUP, kind)
    options = {key: value for key, value in given.items() if key != "kind"}
    fields = found.Options.__struct_fields__
    for key in options:
        if key not in fields:
            raise SettingsError(
                f"{place_of(f'{section}.{key}')}{section}: {kind} has no option {key}{_nearest(key, fields)}; "
                f"it has: {', '.join(fields)}"
            )
    converted = _convert(section, found.Options, options)
    try:
        return found(converted)
    except NotifierError as error:
        raise SettingsError(f"{place_of(section)}{section}: {error}") from error


def _convert(section: str, form: type[Any], options: Mapping[str, Any]) -> Any:
    problem: list[SettingsError] = []

    def hook(kind: type, value: Any) -> Any:
        if kind is not Secret:
            raise NotImplementedError
        try:
            return Secret.named(value) if isinstance(value, str) else _refuse()
        except SettingsError as error:
            problem.append(error)
            raise ValueError("a secret") from error

    try:
        return msgspec.convert(options, form, dec_hook=hook)
    except msgspec.ValidationError as error:
        path = str(error).rpartition(" - at ")[2].strip("`$.") if " - at " in str(error) else ""
        said = str(error).rpartition(" - at ")[0] or str(error)
        reason = str(problem[0]) if problem else said.replace("`", "").lower()
        key = f"{section}.{path}" if path else section
        raise SettingsError(f"{place_of(key)}{key}: {reason}") from None


def _refuse() -> Secret:
    raise SettingsError("a secret is named rather than written here: env:NAME of a variable, or file:PATH")


def _nearest(word: str, among: Iterable[str]) -> str:
    near = get_close_matches(word, list(among), n=1)
    return f"; did you mean {near[0]}?" if near else ""


class Notifiers:
    """The notifiers of the settings, by name, made when first asked for; one that cannot be made harms no other."""

    def __init__(self, given: Mapping[str, Mapping[str, Any]]) -> None:
        self._given = given
        self._made: dict[str, Notifier] = {}

    def names(self) -> list[str]:
        """Return the names in the settings."""
        return sorted(self._given)

    def kinds(self) -> dict[str, str]:
        """Return each name's kind."""
        return {name: kind_of(name, given) for name, given in sorted(self._given.items())}

    def get(self, name: str) -> Notifier:
        """Return a notifier; raise SettingsError that says why there is none."""
        made = self._made.get(name)
        if made is None:
            if name not in self._given:
                raise SettingsError(
                    f"there is no notifier {name!r} in the settings{_nearest(name, self._given)}; write "
                    f"[notifiers.{name}]" + (f", or use: {', '.join(self.names())}" if self._given else "")
                )
            made = self._made[name] = make_notifier(name, self._given[name])
        return made

    def of_kind(self, kind: str) -> Notifier:
        """Return the first notifier of a kind; raise SettingsError that says how to set one up."""
        for name, its in self.kinds().items():
            if its == kind:
                return self.get(name)
        raise SettingsError(f"no notifier of the kind {kind!r} is set up: write [notifiers.{kind}] in orakul.toml")

    def troubles(self) -> dict[str, str]:
        """Return what keeps which notifier from being used."""
        found = {}
        for name in self.names():
            try:
                self.get(name)
            except (OrakulError, MissingExtraError) as error:
                found[name] = str(error)
        return found

    def close(self) -> None:
        """Let go of what the notifiers hold."""
        made, self._made = self._made, {}
        for notifier in made.values():
            notifier.close()
