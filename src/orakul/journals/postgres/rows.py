"""Rows of the journal's tables as the structs of `orakul.tasks`."""

from collections.abc import Sequence
from typing import Any

from orakul.events import Event
from orakul.tasks.reader import LogLine
from orakul.tasks.status import Status
from orakul.tasks.task import Task, TaskError

__all__ = [
    "EVENT_COLUMNS",
    "EVENT_WIDTH",
    "JOINED_LIST_COLUMNS",
    "LIST_COLUMNS",
    "LIST_WIDTH",
    "LOG_COLUMNS",
    "TASK_COLUMNS",
    "event_from",
    "log_from",
    "task_from",
]

_LIST = (
    *("task_id", "kind", "name", "status", "outcome", "user_id", "parent_id", "root_id", "group_id", "queue", "worker"),
    *("attempt", "run", "priority", "eta", "created_at", "started_at", "finished_at", "updated_at", "progress"),
    *("trace_id", "error_type", "error_message", "error_place"),
)
_WHOLE = (*_LIST, "error_traceback", "arguments", "result")


def _columns(names: Sequence[str], alias: str = "") -> str:
    """Return the names as they stand after SELECT."""
    return ", ".join(f"{alias}{name}" for name in names)


LIST_COLUMNS = _columns(_LIST)
JOINED_LIST_COLUMNS = _columns(_LIST, "t.")
LIST_WIDTH = len(_LIST)
TASK_COLUMNS = _columns(_WHOLE)
EVENT_COLUMNS = "seq, timestamp, event_id, event_type, task_id, user_id, user_is_number, trace_id, source, data, extra"
EVENT_WIDTH = 11
LOG_COLUMNS = "seq, task_id, attempt, timestamp, level, logger, message"

_ERROR = _LIST.index("error_type")


def task_from(row: Sequence[Any], *, whole: bool = False) -> Task:
    """Return the task of a row of LIST_COLUMNS, or of TASK_COLUMNS where it is `whole`."""
    kind, message, place = row[_ERROR : _ERROR + 3]
    traceback, arguments, result = row[_ERROR + 3 : _ERROR + 6] if whole else (None, None, None)
    error = None
    if kind or message or place or traceback:
        error = TaskError(type=kind or "", message=message or "", place=place, traceback=traceback)
    return Task(
        task_id=row[0],
        kind=row[1],
        name=row[2],
        status=Status(row[3]),
        outcome=row[4],
        user_id=row[5],
        parent_id=row[6],
        root_id=row[7],
        group_id=row[8],
        queue=row[9],
        worker=row[10],
        attempt=row[11],
        run=row[12],
        priority=row[13],
        eta=row[14],
        created_at=row[15],
        started_at=row[16],
        finished_at=row[17],
        updated_at=row[18],
        progress=row[19],
        trace_id=row[20],
        error=error,
        arguments=arguments,
        result=result,
    )


def event_from(row: Sequence[Any]) -> Event:
    """Return the event of a row of EVENT_COLUMNS."""
    _, timestamp, event_id, event_type, task_id, user_id, user_is_number, trace_id, source, data, extra = row
    return Event(
        event_id=event_id,
        event_type=event_type,
        data=data if isinstance(data, dict) else {"data": data},
        user_id=int(user_id) if user_is_number else user_id,
        timestamp=timestamp,
        task_id=task_id,
        trace_id=trace_id,
        source=source,
        extra=extra or {},
    )


def log_from(row: Sequence[Any]) -> LogLine:
    """Return the log line of a row of LOG_COLUMNS."""
    seq, task_id, attempt, timestamp, level, logger, message = row
    return LogLine(
        seq=seq,
        task_id=task_id,
        attempt=attempt,
        timestamp=timestamp,
        level=level,
        logger=logger,
        message=message,
    )
