"""What travels: an event as a message, and a message as an event.

The body is the event's JSON as it is everywhere (`Event.to_json`). Beside it go, in whatever form the broker has for
headers, the CloudEvents attributes (`attributes`) and the trace context of W3C (`traceparent`, `tracestate`), so that
routers, consoles and consumers of other makes need not read the body. `message_id` is the `event_id`: who has seen it
has seen the event.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from orakul.events import Event
from orakul.events.trace import is_trace

__all__ = ["ATTEMPTS_BEFORE", "Message", "event_of", "message_of", "replayed", "subject_of", "trace_of"]

_TRACE_PARTS = 4

ATTEMPTS_BEFORE = "orakul-attempts-before"
"""Header of a replayed message: how many attempts were made before its count began anew."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """An event ready to be sent, or as it was received.

    `subject` is the ordering key: messages of one subject are published one after the other. `headers` are further
    ones, texts by lower-case names: the trace context, and what the publisher added.
    """

    message_id: str
    type: str
    subject: str
    body: bytes
    timestamp: datetime
    source: str = "orakul"
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)

    def attributes(self) -> dict[str, str]:
        """Return the CloudEvents attributes, without the prefix that the broker's binding gives them."""
        return {
            "specversion": "1.0",
            "id": self.message_id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.timestamp.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z",
            "datacontenttype": "application/json",
        }

    @property
    def trace_id(self) -> str | None:
        """The trace that the publisher was in."""
        return trace_of(self.headers)


def message_of(event: Event, subject: str | None = None, headers: Mapping[str, str] | None = None) -> Message:
    """Return the event as a message; raise TypeError or ValueError where its data have no form in JSON.

    A `traceparent` is made of the event's `trace_id` where the headers bring none.
    """
    carried = {name.lower(): str(value) for name, value in (headers or {}).items()}
    if "traceparent" not in carried and event.trace_id is not None and is_trace(event.trace_id):
        carried["traceparent"] = f"00-{event.trace_id}-{secrets.token_hex(8)}-01"
    return Message(
        message_id=event.event_id,
        type=event.event_type,
        subject=subject or subject_of(event),
        body=event.to_json(),
        timestamp=event.timestamp,
        source=event.source or "orakul",
        headers=carried,
    )


def event_of(message: Message) -> Event:
    """Read the event of a message; raise InvalidEventError where its body is none.

    An event without a trace of its own gets that of the message's headers.
    """
    event = Event.from_json(message.body)
    if event.trace_id is None and (trace := message.trace_id) is not None:
        event = msgspec.structs.replace(event, trace_id=trace)
    return event


def replayed(message: Message, attempt: int) -> Message:
    """Return a dead letter's message as it is replayed: it says how many attempts there have been so far.

    The broker counts from 1 again; the control room, and who reads it, count on.
    """
    before = message.headers.get(ATTEMPTS_BEFORE, "0")
    total = attempt + (int(before) if before.isdecimal() else 0)
    return msgspec.structs.replace(message, headers={**message.headers, ATTEMPTS_BEFORE: str(total)})


def subject_of(event: Event) -> str:
    """Return what the event is about, as `defect:42`: the ordering key where the publisher names none.

    It is the `<first part of the type>_id` of its data, else their `id`; an event that has neither is a subject of
    its own, in no order with others.
    """
    kind = event.event_type.partition(".")[0]
    found: Any = None
    if isinstance(event.data, dict):  # events made by hand may hold anything
        found = event.data.get(f"{kind}_id")
        found = event.data.get("id") if found is None else found
    if found is None or isinstance(found, dict | list):
        return event.event_id
    return f"{kind}:{found}"


def trace_of(headers: Mapping[str, str]) -> str | None:
    """Return the trace id of a W3C `traceparent` header."""
    parts = str(headers.get("traceparent", "")).split("-")
    return parts[1] if len(parts) >= _TRACE_PARTS and is_trace(parts[1]) else None
