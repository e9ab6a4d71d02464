"""Orakul's own headers of a task message, and what they and Celery's say: attempt, run, owner, trace, queue.

They travel with the message, also when Celery itself sends it again (a retry keeps a task's own headers).
"""

import time
from collections.abc import Mapping
from typing import Any

__all__ = [
    "ATTEMPT",
    "QUEUE",
    "RUN",
    "SENT",
    "USER",
    "attempt_of",
    "eta_of",
    "new_run",
    "parent_of",
    "put",
    "queue_of",
    "run_of",
    "trace_of",
]

USER = "orakul_user"
"""Who the task belongs to."""

ATTEMPT = "orakul_attempt"
"""Base of the attempt: with Celery's retries and one more it is the attempt."""

SENT = "orakul_sent"
"""Epoch milliseconds of the publishing, set by a publisher that has recorded it, arguments included."""

QUEUE = "orakul_queue"
"""The queue it was published to, where that is not plain from the routing key."""

RUN = "orakul_run"
"""Stamp of a redelivery, put into the request by the process that received it; never on the wire."""

_TRACEPARENT_PARTS = 4


def attempt_of(headers: Mapping[str, Any]) -> int:
    """Return the attempt that the message stands for, 1 for the first."""
    try:
        return max(1, int(headers.get(ATTEMPT) or 0) + int(headers.get("retries") or 0) + 1)
    except (TypeError, ValueError):
        return 1


def run_of(request: Mapping[str, Any]) -> int:
    """Return the run that the request stands for: 0 unless the broker delivered the message again."""
    run = request.get(RUN)
    return run if isinstance(run, int) else 0


def new_run() -> int:
    """Return the stamp of a redelivery that was received now."""
    return time.time_ns() // 1_000_000


def trace_of(headers: Mapping[str, Any]) -> str | None:
    """Return the trace id of a W3C `traceparent` header."""
    parent = headers.get("traceparent")
    if not isinstance(parent, str):
        return None
    parts = parent.split("-")
    return parts[1] if len(parts) >= _TRACEPARENT_PARTS else None


def eta_of(headers: Mapping[str, Any], name: str = "eta") -> str | None:
    """Return `eta` (or `expires`) as ISO text."""
    value = headers.get(name)
    if value is None or isinstance(value, str):
        return value
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat else None


def parent_of(facts: Mapping[str, Any], task_id: str | None) -> str | None:
    """Return the parent; Celery gives a retry and a replacement their own id as parent where they have no other."""
    parent = facts.get("parent_id")
    return parent if isinstance(parent, str) and parent != task_id else None


def put(data: dict[str, Any], **facts: Any) -> None:
    """Put those facts into the data that are there."""
    data.update({name: value for name, value in facts.items() if value is not None and value != ""})


def queue_of(headers: Mapping[str, Any], exchange: str | None, routing_key: str | None) -> str | None:
    """Return the queue: the one that the publisher named, else the routing key, which it mostly is."""
    named = headers.get(QUEUE)
    return named if isinstance(named, str) else routing_key or exchange or None
