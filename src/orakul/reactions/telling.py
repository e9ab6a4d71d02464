"""Deliveries as tasks: the events that say what becomes of one."""

from datetime import datetime
from typing import Any

from orakul.events import Event
from orakul.reactions.notifier import NotifierError, Receipt
from orakul.reactions.occurrence import KIND
from orakul.reactions.store import Delivery

__all__ = ["ended", "made", "started"]


def _event(delivery: Delivery, event_type: str, attempt: int, *, trace: str | None = None, **data: Any) -> Event:
    given = {"kind": KIND, "name": delivery.rule, "queue": delivery.notifier, "attempt": attempt, "run": 0, **data}
    return Event(
        event_id=f"{delivery.delivery_id}-{attempt}-{event_type}",
        event_type=event_type,
        task_id=delivery.delivery_id,
        data={name: value for name, value in given.items() if value is not None},
        trace_id=trace,
        source="reactions",
    )


def made(delivery: Delivery, *, attempt: int = 1, eta: datetime | None = None) -> list[Event]:
    """Say that it waits."""
    message = delivery.message
    arguments = {
        "notifier": delivery.notifier,
        "title": message.title,
        "text": message.text,
        "severity": message.severity,
        "count": message.count,
        "fields": dict(message.fields),
        "link": message.link,
        "about": delivery.parent,
    }
    pending = _event(
        delivery, "task.pending", attempt, arguments=arguments, eta=eta.isoformat() if eta is not None else None
    )
    return [pending]


def started(delivery: Delivery) -> Event:
    """Say that it is being tried."""
    return _event(delivery, "task.in_progress", delivery.attempt, worker=f"notifier {delivery.notifier}")


def ended(
    delivery: Delivery, outcome: Receipt | NotifierError, *, again: bool = False, trace: str | None = None
) -> Event:
    """Say what came of the try, and which trace it was made in."""
    if isinstance(outcome, Receipt):
        result = {"said": outcome.said, "reference": outcome.reference}
        return _event(delivery, "task.completed", delivery.attempt, trace=trace, result=result)
    kind = type(outcome).__name__.removesuffix("Error")
    error = {"type": f"{kind}Failure", "message": str(outcome)}
    return _event(delivery, "task.failed", delivery.attempt, trace=trace, error=error, retrying=True if again else None)
