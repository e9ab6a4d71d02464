"""What a line of a log is part of: task, trace, user, request; read where they are, none of them required.

| fact | from |
| --- | --- |
| task | what runs here (`events.work`), else Celery's current task |
| trace, span | OpenTelemetry's current span, else the operation that runs here, else the trace the task came with |
| user | the task's owner, else `orakul.events.current_user` |
| request | `orakul.telemetry.correlation`, which comes to tasks with their message |

Nothing is imported that the program has not imported: who has no Celery, or no OpenTelemetry, pays nothing for it.
"""

import sys
from typing import Any

import msgspec

from orakul.events import current_user
from orakul.events.trace import current_span
from orakul.events.work import Work, current_work
from orakul.operations.context import current_ids
from orakul.telemetry.correlation import correlation_id

__all__ = ["Here", "here"]


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """What the line is part of."""

    work: Work | None = None
    trace_id: str | None = None
    span_id: str | None = None
    user_id: str | None = None
    correlation_id: str | None = None


def here() -> Here:
    """Return what the caller is part of; never raises."""
    work = current_work() or _celery_task()
    trace_id, span_id = _ids(work)
    user = current_user()
    return Here(
        work=work,
        trace_id=trace_id,
        span_id=span_id,
        user_id=(work.user_id if work is not None else None) or (None if user is None else str(user)),
        correlation_id=correlation_id(),
    )


def _ids(work: Work | None) -> tuple[str | None, str | None]:
    return current_span() or current_ids() or (work.trace_id if work is not None else None, None)


def _celery_task() -> Work | None:
    """Return Celery's current task, where `orakul.runners.celery` is not installed on its application."""
    state = sys.modules.get("celery._state")
    if state is None:
        return None
    try:
        task: Any = state.get_current_task()
        request = task.request if task is not None else None
        if request is None or not isinstance(request.id, str):
            return None
        delivery = request.delivery_info or {}
        return Work(
            task_id=request.id,
            kind="celery",
            name=task.name,
            attempt=int(request.retries or 0) + 1,
            queue=delivery.get("routing_key") or None,
            worker=request.hostname,
        )
    except Exception:  # noqa: BLE001 (the line is written without)
        return None
