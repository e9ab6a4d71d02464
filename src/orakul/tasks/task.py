"""A task: a piece of observed work, as the events about it tell."""

from datetime import datetime
from typing import Any

import msgspec

from orakul.tasks.status import Status

__all__ = ["Task", "TaskError"]


class TaskError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a task failed. `place` is `file:line function` of the innermost frame, where known."""

    type: str = ""
    message: str = ""
    traceback: str | None = None
    place: str | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the `tasks` table: the projection of a task's events (see `projection`).

    Times are aware, UTC. `arguments`, `result` and `error.traceback` are filled on the page of one task and left
    out of lists. `outcome` is a source's own word for the end (an export's `NoData`). `progress` is what the work
    says of itself while it runs (`{"done": 3, "total": 10, …}`).
    """

    task_id: str
    kind: str = "task"
    name: str = ""
    status: Status = Status.PENDING
    outcome: str | None = None
    user_id: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    group_id: str | None = None
    queue: str | None = None
    worker: str | None = None
    attempt: int = 1
    run: int = 0
    priority: int | None = None
    eta: datetime | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    updated_at: datetime
    progress: dict[str, Any] | None = None
    trace_id: str | None = None
    error: TaskError | None = None
    arguments: Any = None
    result: Any = None
