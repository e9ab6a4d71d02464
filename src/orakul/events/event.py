"""An event: what happened, once. Its form on the wire is design §5."""

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from orakul.errors import InvalidEventError

__all__ = ["Event", "new_event_id", "utc_now"]

_FIELDS = frozenset(("event_id", "event_type", "data", "user_id", "timestamp", "task_id", "trace_id", "source"))


def utc_now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


_random = int.from_bytes(os.urandom(8), "big")


def _reseed() -> None:
    global _random  # noqa: PLW0603 (one generator a process, seeded again in each child)
    _random = int.from_bytes(os.urandom(8), "big")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reseed)


def new_event_id() -> str:
    """Return a UUIDv7 as text: unique, and in the order of time, so that indexes stay compact."""
    global _random  # noqa: PLW0603 (see _reseed)
    # A Weyl sequence over a random start: no system call for each id, no repeat within 2^62.
    _random = (_random + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    now = time.time_ns()
    millis, sub = divmod(now, 1_000_000)
    h = f"{millis & 0xFFFFFFFFFFFF:012x}7{(sub * 4096 // 1_000_000):03x}{0x8000000000000000 | (_random >> 2):016x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, once; immutable.

    `timestamp` is aware (naive ones read as UTC). `extra` holds the fields that a newer or foreign
    producer sent and that this version does not know: they are kept and sent on, not dropped.
    """

    event_type: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    user_id: int | str | None = None
    timestamp: datetime = msgspec.field(default_factory=utc_now)
    event_id: str = msgspec.field(default_factory=new_event_id)
    task_id: str | None = None
    trace_id: str | None = None
    source: str | None = None
    extra: dict[str, Any] = msgspec.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the form of the wire: the known fields, then the unknown ones; empty optional ones left out."""
        form: dict[str, Any] = {
            "event_id": self.event_id,
            "event_type": self.event_type,
            "data": self.data,
            "user_id": self.user_id,
            "timestamp": self.timestamp.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        for name in ("task_id", "trace_id", "source"):
            value = getattr(self, name)
            if value is not None:
                form[name] = value
        for name, value in self.extra.items():
            form.setdefault(name, value)
        return form

    def to_json(self) -> bytes:
        """Return the form of the wire as UTF-8 JSON."""
        return msgspec.json.encode(self.to_dict())

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> "Event":
        """Read the form of the wire; raise InvalidEventError, naming the field, where it does not fit."""
        known = {name: value for name, value in form.items() if name in _FIELDS}
        stamp = known.get("timestamp")
        try:
            event = msgspec.convert(known, cls)
        except msgspec.ValidationError as error:
            raise InvalidEventError(f"not an event: {error}") from error
        if stamp is not None and event.timestamp.tzinfo is None:
            event = msgspec.structs.replace(event, timestamp=event.timestamp.replace(tzinfo=UTC))
        extra = {name: value for name, value in form.items() if name not in _FIELDS}
        return msgspec.structs.replace(event, extra=extra) if extra else event

    @classmethod
    def from_json(cls, text: bytes | str) -> "Event":
        """Read an event from JSON; raise InvalidEventError where it is not one."""
        try:
            form = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidEventError(f"not JSON: {error}") from error
        if not isinstance(form, dict):
            raise InvalidEventError(f"an event is an object, not {type(form).__name__}")
        return cls.from_dict(form)
