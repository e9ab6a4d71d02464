"""Showing values of users: as JSON, bounded in size and work, and with secrets masked.

Whatever a task was given, returned or raised goes through here before it is written down: dates, decimals,
bytes, NaN, cycles and fifty megabytes of text become something that a page can show, what was left out is said, and
what is named like a secret is `MASK`. No `__repr__` of a user's class is called: it may be slow, query a database, or
raise.
"""

import dataclasses
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import PurePath
from types import GeneratorType, MappingProxyType
from typing import Any
from uuid import UUID

import msgspec

__all__ = ["MASK", "Limits", "Masks", "clean_text", "hide_in"]

MASK = "•••"

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_SAFE_INTEGER = 2**53
_SHORTEST_SECRET = 5  # a shorter one, replaced in free text, would only garble it
_LONGEST_SECRET = 10_000
_MOST_SECRETS = 50
_KEY = 200  # characters of a key or a class's name
_DIGITS = 1000
_BITS = 4096
_HEX = 64  # bytes shown of what is not text


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a value is shown: depth, items of one container, nodes and characters in all, and of one text."""

    depth: int = 8
    items: int = 100
    nodes: int = 2000
    text: int = 4000
    characters: int = 32_000


def clean_text(text: str, limit: int | None = None) -> str:
    """Return text that UTF-8, JSON and PostgreSQL take: no NUL, no lone surrogates; cut, with a note, at `limit`."""
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}… [{len(text) - limit:,} more characters]"
    if "\0" in text:
        text = text.replace("\0", "\N{SYMBOL FOR NULL}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-8", "replace").decode()
    return text


class Masks:
    """Which names are secret, and how values are shown with those masked."""

    def __init__(self, names: Iterable[str], limits: Limits | None = None) -> None:
        joined = sorted({"".join(_split(name)) for name in names} - {""})
        self._names = frozenset(joined)
        self.limits = limits or Limits()
        self.hides = lru_cache(maxsize=4096)(self._hides)

    def _hides(self, name: str) -> bool:
        """Tell whether a name holds one of the secret names, on word borders: `X-Api-Key`, `userPassword`."""
        words = _split(name)[:32]
        names = self._names
        joined = (
            "".join(words[start:end])
            for start in range(len(words))
            for end in range(start + 1, min(start + 4, len(words)) + 1)
        )
        return any(part in names or (part[-1] == "s" and part[:-1] in names) for part in joined)

    def show(self, value: Any, limits: Limits | None = None, secrets: list[str] | None = None) -> Any:
        """Return the value as JSON can carry it. Masked values are put into `secrets`, for `hide_in`."""
        return _Presentation(self, limits or self.limits, secrets).show(value, 0)

    def show_arguments(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        masked_positions: frozenset[int] = frozenset(),
        secrets: list[str] | None = None,
    ) -> dict[str, Any]:
        """Return `{"args": […], "kwargs": {…}}`; `masked_positions` are those of arguments with secret names."""
        view = _Presentation(self, self.limits, secrets)
        if masked_positions:
            args = [view.mask(value) if at in masked_positions else value for at, value in enumerate(args)]
        return {"args": view.show(list(args), 0), "kwargs": view.show(kwargs, 0)}


def hide_in(shown: Any, secrets: Sequence[str]) -> Any:
    """Mask the secrets where they stand verbatim in a text, or in the texts of a shown value."""
    if isinstance(shown, str):
        for secret in secrets:
            if secret in shown:
                shown = shown.replace(secret, MASK)
        return shown
    if isinstance(shown, list):
        return [hide_in(item, secrets) for item in shown]
    if isinstance(shown, dict):
        return {hide_in(name, secrets): hide_in(value, secrets) for name, value in shown.items()}
    return MASK if isinstance(shown, int) and not isinstance(shown, bool) and str(shown) in secrets else shown


def _split(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name[:200])]


class _Presentation:
    """One value being shown: what is left of the limits, and which containers it is inside of."""

    __slots__ = ("characters", "inside", "limits", "masks", "nodes", "secrets")

    def __init__(self, masks: Masks, limits: Limits, secrets: list[str] | None) -> None:
        self.masks = masks
        self.limits = limits
        self.nodes = limits.nodes
        self.characters = limits.characters
        self.secrets = secrets
        self.inside: set[int] = set()

    def show(self, value: Any, depth: int) -> Any:  # noqa: PLR0911 (the hot path: one test, one return)
        kind = type(value)
        if kind is str:
            return self._text(value)
        if kind is bool or value is None:
            return value
        if kind is int:
            return value if -_SAFE_INTEGER < value < _SAFE_INTEGER else _big(value)
        if kind is float:
            return value if value - value == 0 else str(value)  # NaN and infinities: JSON has none
        self.nodes -= 1
        if self.nodes < 0 or self.characters < 0:
            return "… [more not shown]"
        if kind is list or kind is tuple:
            return self._items(value, len(value), depth, value)
        if kind is dict:
            return self._mapping(value, depth)
        try:
            return self._other(value, depth)
        except Exception:  # noqa: BLE001 (objects of users may do anything; showing them must not)
            return _unshown(value)

    def mask(self, value: Any) -> str | None:
        """Return what stands for a secret value, and remember the value; None stays, it tells no secret."""
        if value is None:
            return None
        if self.secrets is not None and len(self.secrets) < _MOST_SECRETS:
            self._remember(value)
        return MASK

    def _remember(self, value: Any) -> None:
        texts = [value] if isinstance(value, (str, int)) else []
        if isinstance(value, (list, tuple)):
            texts = [item for item in value[:20] if isinstance(item, str)]
        elif isinstance(value, dict):
            texts = [item for item in islice(value.values(), 20) if isinstance(item, str)]
        for item in texts:
            if isinstance(item, int) and not -(10**40) < item < 10**40:
                continue
            text = str(item)
            if _SHORTEST_SECRET <= len(text) <= _LONGEST_SECRET and self.secrets is not None:
                quoted = repr(text)[1:-1]
                self.secrets.extend((text,) if quoted == text else (text, quoted))

    def _text(self, text: str) -> str:
        room = min(self.limits.text, max(self.characters, 0))
        if len(text) <= room:
            self.characters -= len(text)
            return text if text.isascii() and "\0" not in text else clean_text(text)
        self.characters -= room
        return clean_text(text, room)

    def _items(self, items: Iterable[Any], length: int, depth: int, owner: Any) -> Any:
        if length == 0:
            return []
        if depth >= self.limits.depth:
            return f"… [{length:,} items, nested too deep to show]"
        if id(owner) in self.inside:
            return "… [contains itself]"
        self.inside.add(id(owner))
        shown = []
        for item in islice(items, self.limits.items):
            if self.nodes < 0 or self.characters < 0:
                break
            self.nodes -= 1
            shown.append(self.show(item, depth + 1))
        self.inside.discard(id(owner))
        if len(shown) < length:
            shown.append(f"… [{length - len(shown):,} more items]")
        return shown

    def _mapping(self, mapping: Mapping[Any, Any], depth: int) -> Any:
        if not mapping:
            return {}
        length = len(mapping)
        if depth >= self.limits.depth:
            return f"… [{length:,} keys, nested too deep to show]"
        if id(mapping) in self.inside:
            return "… [contains itself]"
        self.inside.add(id(mapping))
        shown: dict[str, Any] = {}
        hides = self.masks.hides
        for key, value in islice(mapping.items(), self.limits.items):
            if self.nodes < 0 or self.characters < 0:
                break
            self.nodes -= 1
            name = self._key(key)
            shown[name] = self.mask(value) if hides(name) else self.show(value, depth + 1)
        self.inside.discard(id(mapping))
        if len(shown) < length:
            shown["…"] = f"[{length - len(shown):,} more keys]"
        return shown

    def _key(self, key: Any) -> str:
        if type(key) is str:
            self.characters -= min(len(key), _KEY)
            return key if len(key) <= _KEY and key.isascii() and "\0" not in key else clean_text(key, _KEY)
        if key is None or isinstance(key, (bool, int, float)):
            return str(key) if not isinstance(key, int) else str(_big(key))
        shown = self.show(key, self.limits.depth)
        return shown if isinstance(shown, str) else clean_text(str(shown), _KEY)

    def _other(self, value: Any, depth: int) -> Any:  # noqa: PLR0911 (one test, one return a kind)
        for kinds, form in _FORMS:
            if isinstance(value, kinds):
                return form(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._bytes(value)
        if isinstance(value, (str, PurePath)):
            return self._text(str.__str__(value) if isinstance(value, str) else str(value))
        if isinstance(value, Enum):
            return self.show(value.value, depth + 1) if depth < self.limits.depth else _unshown(value)
        if isinstance(value, float):
            return self.show(float(value), depth)
        if isinstance(value, BaseException):
            return {"type": type(value).__qualname__, "args": self.show(list(value.args), depth + 1)}
        return self._structure(value, depth)

    def _structure(self, value: Any, depth: int) -> Any:
        if isinstance(value, type) or callable(value) or isinstance(value, GeneratorType):
            return _unshown(value)
        if (fields := _fields(value)) is not None:
            return self._mapping(fields, depth)
        if isinstance(value, (list, tuple, set, frozenset, deque, range)):
            return self._items(value, len(value), depth, value)
        if isinstance(value, (dict, MappingProxyType)):
            return self._mapping(value, depth)
        return _unshown(value)

    def _bytes(self, value: bytes | bytearray | memoryview) -> str:
        length = value.nbytes if isinstance(value, memoryview) else len(value)
        head = bytes(value[: self.limits.text])
        self.characters -= len(head)
        try:
            text = head.decode()
            if text.isprintable():
                return text + (f"… [{length - len(head):,} more bytes]" if length > len(head) else "")
        except UnicodeDecodeError:
            pass
        return f"0x{head[:_HEX].hex()}" + (f"… [{length:,} bytes]" if length > _HEX else "")


def _fields(value: Any) -> dict[str, Any] | None:
    """Return the fields of a named tuple, dataclass, msgspec or pydantic object, else None."""
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        return None if names is None else dict(zip(names, value, strict=False))
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name, None) for name in value.__struct_fields__}
    if isinstance(getattr(type(value), "model_fields", None), dict):  # pydantic, without importing it
        return dict(vars(value))
    return None


def _decimal(value: Decimal) -> str:
    return str(value) if len(value.as_tuple().digits) < _DIGITS else _unshown(value)


def _big(value: int) -> int | str:
    """Return a number past what JavaScript holds exactly as text; a monstrous one as its size."""
    if -_SAFE_INTEGER < value < _SAFE_INTEGER:
        return value
    bits = value.bit_length()
    return str(value) if bits <= _BITS else f"[an integer of {bits:,} bits]"


def _unshown(value: Any) -> str:
    kind = value if isinstance(value, type) else type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    named = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    return clean_text(f"<{name} {named}>" if isinstance(named, str) and kind is not value else f"<{name}>", _KEY)


# Kinds with one form, the likely ones first.
_FORMS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    ((datetime, date, time), lambda value: value.isoformat()),
    (Decimal, _decimal),
    ((timedelta, UUID, complex, Fraction), str),
    (int, lambda value: _big(int(value))),
)
