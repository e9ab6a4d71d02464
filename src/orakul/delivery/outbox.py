"""Publishing in the transaction that makes the event true: it exists exactly if the change does.

    with connection.transaction():
        connection.execute("UPDATE defects SET status = %s WHERE id = 42", ("closed",))
        outbox.publish(connection, Event(event_type="defect.status_changed", data={"defect_id": 42, …}))

`connection` is what the change was made on: psycopg's connection (sync or async), SQLAlchemy's Session or Connection
(sync or async), Django's connection. For an async one the call is awaited: `await outbox.publish(session, event)`.

The event is a row of the table `orakul.outbox` of that database (`orakul db upgrade` makes it); the relay
takes it on from there.

Order: events of one subject are relayed in the order in which their rows were numbered. That is the order of the
changes where the change of the thing itself comes first (its row is then locked until the commit: UPDATE, or SELECT …
FOR UPDATE). Where nothing is locked, `lock=True` makes transactions that publish about one subject wait for each other.
"""

import json
import logging
import sys
from collections.abc import Awaitable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import msgspec

from orakul import extensions
from orakul.delivery.message import message_of, trace_of
from orakul.errors import InvalidEventError, OrakulError
from orakul.events import CATALOGUE, Event, EventType, current_user

__all__ = ["OutboxRow", "log_line", "publish", "row_of"]

_log = logging.getLogger("orakul.events")

_SUBJECT_CHARS = 500


class OutboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is inserted for an event: texts, and two switches."""

    event_id: str
    event_type: str
    ordering_key: str
    envelope: str
    headers: str
    notify: bool = False
    """Wake the relay when the transaction commits."""
    lock: bool = False
    """Wait for other transactions that publish about the same subject."""


def publish(
    connection: Any,
    event: Event | EventType,
    *,
    subject: str | None = None,
    headers: Mapping[str, str] | None = None,
    lock: bool = False,
    notify: bool | None = None,
) -> Any:
    """Publish the event in the connection's transaction; awaited where the connection is async.

    `subject` is what it is about, the key of its order; by default the thing that its data name (`defect:42`).
    `headers` go with the message. `notify` overrides the setting `events.notify`.
    Raises InvalidEventError where the data do not fit their type: nothing is stored, and the transaction is as it was.
    """
    told = event_from(event)
    row = row_of(told, subject=subject, headers=headers, lock=lock, notify=notify)
    kind: Any = type(connection)
    answer = _inserter(kind)(connection, row)
    if answer is None:
        _log.info("%s", log_line(told))
        return None
    return _awaited(answer, told)


async def _awaited(answer: Awaitable[None], event: Event) -> None:
    await answer
    _log.info("%s", log_line(event))


def event_from(event: Event | EventType) -> Event:
    """Return the event of a typed one, with the user on whose behalf the program acts and the trace that it is in."""
    told = event.event(user_id=current_user()) if isinstance(event, EventType) else event
    if told.trace_id is None and (trace := trace_of(_trace_context())) is not None:
        told = msgspec.structs.replace(told, trace_id=trace)
    return told


def row_of(
    event: Event,
    *,
    subject: str | None = None,
    headers: Mapping[str, str] | None = None,
    lock: bool = False,
    notify: bool | None = None,
) -> OutboxRow:
    """Return the event as a row; raise InvalidEventError where it does not fit its type, or has no form in JSON."""
    event = CATALOGUE.stamped(event)
    try:
        message = message_of(event, subject, _trace_context() | dict(headers or {}))
        envelope = message.body.decode()
        carried = msgspec.json.encode(message.headers).decode()
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise InvalidEventError(f"{event.event_type}: its data cannot be written as JSON: {error}") from error
    if len(message.subject) > _SUBJECT_CHARS or "\0" in message.subject + event.event_type + event.event_id:
        raise InvalidEventError(f"{event.event_type}: the subject is at most {_SUBJECT_CHARS} characters, without NUL")
    return OutboxRow(
        event_id=event.event_id,
        event_type=event.event_type,
        ordering_key=message.subject,
        envelope=envelope,
        headers=carried,
        notify=_notifies() if notify is None else notify,
        lock=lock,
    )


def log_line(event: Event) -> str:
    """Return the line that is logged for a published event; its form is a contract."""
    data = json.dumps(event.data, ensure_ascii=False, default=str)
    return f"[EVENT] {event.event_type} | ID: {event.event_id} | User: {event.user_id} | Data: {data}"


@cache  # the installed packages are looked through once for each kind of connection: that takes milliseconds
def _inserter(connection: type) -> Any:
    known = extensions.names("orakul.outboxes")
    for kind in connection.__mro__:
        library = kind.__module__.partition(".")[0]
        if library in known:
            return extensions.load("orakul.outboxes", library)
    raise OrakulError(
        f"cannot publish on {connection.__module__}.{connection.__qualname__}: give the connection or "
        f"session that the change is made on, of one of: {', '.join(known)}"
    )


def _trace_context() -> dict[str, str]:
    """Return the W3C trace context that the program is in, where it uses OpenTelemetry."""
    propagate = sys.modules.get("opentelemetry.propagate") or _propagate()
    if propagate is None:
        return {}
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


def _propagate() -> Any:
    """Return the propagator where OpenTelemetry is in use: whoever has not imported its API has no trace."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    return import_module("opentelemetry.propagate")


_notify: bool | None = None


def _notifies() -> bool:
    global _notify  # noqa: PLW0603 (the settings are read once)
    if _notify is None:
        from orakul.settings import load_settings  # noqa: PLC0415 (read when first needed)

        _notify = load_settings().events.notify
    return _notify
