"""A secret: named where it is set, read where it is used, shown nowhere."""

import os
import re
from pathlib import Path

from orakul.errors import SettingsError

__all__ = ["Secret"]

HIDDEN = "…"
_TELLING = 8  # characters: shorter parts of an address are words of its path


class Secret:
    """A password or token. Printed, logged or encoded it is `…`.

    In settings it is named, not written: `env:TELEGRAM_TOKEN` or `file:/run/secrets/telegram`. The file is read at each
    use, so a secret that is renewed there needs no restart. In code `Secret("…")` holds the text itself.
    """

    __slots__ = ("_path", "_text")

    def __init__(self, text: str = "", *, path: Path | None = None) -> None:
        self._text = text
        self._path = path

    @classmethod
    def named(cls, name: str) -> "Secret":
        """Return the secret that `env:NAME` or `file:PATH` names; raise SettingsError where there is none."""
        kind, colon, place = name.partition(":")
        if not colon or kind not in {"env", "file"} or not place.strip():
            raise SettingsError("a secret is named rather than written here: env:NAME of a variable, or file:PATH")
        if kind == "env":
            text = os.environ.get(place.strip())
            if not text:
                raise SettingsError(f"the environment variable {place.strip()} is not set")
            return cls(text)
        secret = cls(path=Path(place.strip()).expanduser())
        secret.reveal()
        return secret

    def reveal(self) -> str:
        """Return the text."""
        if self._path is None:
            return self._text
        try:
            text = self._path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"the secret in {self._path} cannot be read: {error}") from error
        if not text:
            raise SettingsError(f"the file {self._path}, which is to hold a secret, is empty")
        return text

    def hide(self, text: str) -> str:
        """Return the text without this secret in it."""
        try:
            shown = self.reveal()
        except SettingsError:
            return text
        for part in sorted(_telling(shown), key=len, reverse=True):
            text = text.replace(part, HIDDEN)
        return text

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a secret is not sent elsewhere")


def _telling(shown: str) -> set[str]:
    """Return what of a secret is to be hidden: of an address also its parts, since others repeat them alone."""
    if not shown:
        return set()
    parts = re.split(r"[/?&=@:]+", shown.partition("://")[2]) if "://" in shown else []
    return {shown, *(part for part in parts[1:] if len(part) >= _TELLING)}
