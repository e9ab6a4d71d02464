"""A line of the spool for an event that has no form in JSON as it is, or too large a one. Never raises."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from orakul.events import Event

__all__ = ["plain", "plain_line"]

_DEEPEST = 32
_LONGEST_TEXT = 1 << 20
_SMALL = 16 << 10  # a part of this size is kept even of a too large event
_LARGEST_INTEGER = (1 << 63) - 1

_encode = msgspec.json.encode


def plain_line(event: Event, limit: int) -> bytes:
    """Return the event as a line: odd parts as text, and where it is longer than `limit`, without its large parts."""
    data = plain(event.data)
    if not isinstance(data, dict):
        data = {"data": data}
    line = _line(event, data, plain(event.extra))
    if len(line) > limit:
        line = _line(event, {name: _short(value) for name, value in data.items()}, {})
    if len(line) > limit:
        line = _line(event, {"truncated": f"{len(line)} bytes"}, {})
    return line


def plain(value: Any, depth: int = 0) -> Any:
    """Return what JSON and PostgreSQL can hold of a value: foreign things as their `repr`, deep ones cut, noted."""
    if isinstance(value, str | int | float | None):
        return _scalar(value)
    if depth >= _DEEPEST:
        return "(nested too deeply)"
    if isinstance(value, Mapping):
        return {_key(name): plain(part, depth + 1) for name, part in _items(value)}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(part, depth + 1) for part in list(value)]
    return _foreign(value)


def _scalar(value: str | float | None) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return int(value) if -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER else _repr(value)
    return float(value) if math.isfinite(value) else None


def _foreign(value: Any) -> Any:
    try:
        return msgspec.json.decode(_encode(value))
    except Exception:  # noqa: BLE001 (a foreign object may raise anything while it is looked at)
        return _repr(value)


def _line(event: Event, data: dict[str, Any], extra: Any) -> bytes:
    owner = event.user_id
    form = {
        "event_type": _text(str(event.event_type)),
        "data": data,
        "user_id": owner if owner is None or isinstance(owner, int) else _text(str(owner)),
        "timestamp": event.timestamp,
        "event_id": _text(str(event.event_id)),
        "task_id": None if event.task_id is None else _text(str(event.task_id)),
        "trace_id": None if event.trace_id is None else _text(str(event.trace_id)),
        "source": None if event.source is None else _text(str(event.source)),
        "extra": extra if isinstance(extra, dict) else {},
    }
    return _encode(form) + b"\n"


def _short(value: Any) -> Any:
    size = len(_encode(value))
    return value if size <= _SMALL else f"(left out: {size} bytes)"


def _text(text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]}… ({len(text)} characters)"
    return str(text).encode("utf-8", "backslashreplace").decode()


def _key(name: Any) -> str:
    return _text(name) if isinstance(name, str) else _repr(name)


def _items(value: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    try:
        return list(value.items())
    except Exception:  # noqa: BLE001 (as in `plain`)
        return []


def _repr(value: Any) -> str:
    try:
        return _text(repr(value))[:1000]
    except Exception:  # noqa: BLE001 (as in `plain`)
        return f"<{type(value).__name__}>"
