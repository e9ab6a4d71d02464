"""A line of the spool for an event that has no form in JSON as it is, or too large a one. Never raises."""

from typing import Any

import msgspec

from orakul.events import Event
from orakul.tasks.storable import json_text, key_text

__all__ = ["plain_line"]

_INT_BITS = 64


def plain_line(event: Event, limit: int) -> bytes:
    """Return the event as a line of about `limit` bytes at most: odd parts as text, large ones cut, with a note."""
    given: Any = event.data  # nothing checks what an event is made with
    data = given if isinstance(given, dict) else {"data": given}
    owner: Any = event.user_id
    share = limit // (len(data) + 2)
    form = {
        "event_type": key_text(event.event_type) or "unknown",
        "data": {key_text(name) or "": _raw(part, share) for name, part in data.items()},
        "user_id": owner if isinstance(owner, int) and owner.bit_length() < _INT_BITS else key_text(owner),
        "timestamp": event.timestamp,
        "event_id": key_text(event.event_id) or "",
        "task_id": key_text(event.task_id),
        "trace_id": key_text(event.trace_id),
        "source": key_text(event.source),
        "extra": _raw(event.extra, share) if type(event.extra) is dict else {},
    }
    return msgspec.json.encode(form) + b"\n"


def _raw(value: Any, limit: int) -> msgspec.Raw:
    try:
        return msgspec.Raw(json_text(value, limit, ordered=False).encode())
    except Exception:  # noqa: BLE001 (a foreign object may raise anything while it is looked at)
        return msgspec.Raw(b'"(cannot be shown)"')
