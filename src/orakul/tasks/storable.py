"""Foreign values made fit to be stored, compared and shown.

Whatever a user's program puts into an event, the journal stores: what PostgreSQL or a browser would refuse is replaced
by something that can be seen (`␀`, `�`, "… 12,345 characters left out"), never dropped in silence.
"""

import math
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

__all__ = ["json_text", "key_text", "long_text", "short_text"]

_CONTROLS = {code: 0x2400 + code for code in range(32)} | {0x7F: 0x2421}
_KEPT_IN_PROSE = {code: picture for code, picture in _CONTROLS.items() if chr(code) not in "\t\n\r\x1b"}
_UNSAFE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_SURROGATES = re.compile("[\ud800-\udfff]")

_DEPTH = 100
_INT_BITS = 4_000  # beyond it Python itself refuses to write or read the digits
_SHRINKS = ((4_000, 200), (400, 40), (40, 10))
"""Longest string and longest list or object, in the rounds that bring a value under its limit."""


def _seen(text: str, controls: dict[int, int]) -> str:
    return _SURROGATES.sub("\ufffd", text).translate(controls)


def short_text(value: Any, limit: int = 300) -> str | None:
    """Return a name, a queue or the like: one line, at most `limit` characters; None for nothing said."""
    if value is None:
        return None
    text = value if isinstance(value, str) else _as_text(value)
    if not (text.isascii() and text.isprintable()) and _UNSAFE.search(text):  # the first two cost next to nothing
        text = _seen(text, _CONTROLS)
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return text or None


def key_text(value: Any, limit: int = 300) -> str | None:
    """Return an identity: as `short_text`, but two that differ stay different when they are cut.

    The same text always gives the same identity, so a reader that asks for the long one finds it.
    """
    if value is None:
        return None
    text = value if isinstance(value, str) else _as_text(value)
    if len(text) <= limit and ((text.isascii() and text.isprintable()) or not _UNSAFE.search(text)):
        return text or None
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{_seen(text[: limit - 40], _CONTROLS)}…{digest}"


def long_text(value: Any, limit: int) -> str | None:
    """Return a message or a traceback: lines kept, the middle left out where it is over the limit."""
    if value is None:
        return None
    text = value if isinstance(value, str) else _as_text(value)
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"
    if _UNSAFE.search(text):
        text = _seen(text, _KEPT_IN_PROSE)
    return text or None


def json_text(value: Any, limit: int, *, ordered: bool = True) -> str:
    """Return JSON that PostgreSQL takes, at most `limit` bytes; keys in order where it is to be compared."""
    try:
        raw = msgspec.json.encode(value, order="sorted" if ordered else None)
    except Exception:  # noqa: BLE001 (foreign objects raise whatever they like; the plain form is always possible)
        raw = msgspec.json.encode(_plain(value, _DEPTH), order="sorted")
    if b"\\u0000" in raw or b"null" in raw:  # an escaped zero, or a NaN that the encoder would show as nothing
        raw = msgspec.json.encode(_plain(value, _DEPTH), order="sorted")
    for longest, most in _SHRINKS:
        if len(raw) <= limit:
            break
        raw = msgspec.json.encode(_plain(value, 20, longest, most), order="sorted")
    if len(raw) > limit:
        raw = msgspec.json.encode({"left_out": "too large to be stored", "bytes": len(raw)})
    return raw.decode()


def _plain(  # noqa: PLR0911 (one return for each kind of value)
    value: Any, depth: int, longest: int = 1 << 30, most: int = 1 << 30
) -> Any:
    """Return the value made of plain JSON parts, cut where it is too deep, too long or too many."""
    match value:
        case None | bool() | int():
            return value if not isinstance(value, int) or value.bit_length() < _INT_BITS else f"{value:#x}"[:longest]
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return _plain_text(value, longest)
        case _ if depth <= 0:
            return "… deeper levels left out"
        case Mapping():
            pairs = list(value.items())
            plain = {_plain_text(_as_text(k), 200): _plain(v, depth - 1, longest, most) for k, v in pairs[:most]}
            if len(pairs) > most:
                plain["…"] = f"{len(pairs) - most:,} keys left out"
            return plain
        case list() | tuple() | set() | frozenset():
            items = list(value)
            shown = [_plain(item, depth - 1, longest, most) for item in items[:most]]
            return shown if len(items) <= most else [*shown, f"… {len(items) - most:,} items left out"]
        case _:
            return _plain_text(_described(value), longest)


def _plain_text(text: str, longest: int) -> str:
    if len(text) > longest:
        text = f"{text[:longest]}… {len(text) - longest:,} characters left out"
    return _SURROGATES.sub("\ufffd", text).replace("\x00", "␀")


def _as_text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 (see json_text; and a very long int is a ValueError)
        return f"<{type(value).__name__}>"


def _described(value: Any) -> str:
    try:
        built = msgspec.to_builtins(value)
        return built if isinstance(built, str) else str(built)
    except Exception:  # noqa: BLE001 (see json_text)
        return f"<{type(value).__name__}>"
