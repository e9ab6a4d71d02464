"""The types of events that Orakul itself publishes: tasks, the commands about them, queues, workers."""

from typing import Any, ClassVar

import msgspec

from orakul.events.catalogue import EventType, event_type

__all__ = [
    "QueuePaused",
    "QueueResumed",
    "TaskCancelRequested",
    "TaskCancelled",
    "TaskCompleted",
    "TaskFailed",
    "TaskFailure",
    "TaskInProgress",
    "TaskLogged",
    "TaskMessage",
    "TaskPending",
    "TaskProgress",
    "TaskReport",
    "TaskRetryRequested",
    "WorkerHeartbeat",
    "WorkerOffline",
    "WorkerOnline",
]


class TaskReport(EventType):
    """What every report about a task may say. The task's owner is the event's `user_id`."""

    explains: ClassVar[dict[str, str]] = {
        "attempt": "which attempt, from 1; a retry is the next",
        "run": "0 for the first delivery of the attempt; the moment in epoch milliseconds for a redelivery",
        "stage": "of an end: `before_start` when it never ran, `lost` when concluded from silence",
        "kind": "what ran it: `celery`, `operation`, …",
        "eta": "not to start before, ISO 8601",
        "arguments": "what it was called with, secrets masked",
        "outcome": "the source's own word for the end",
        "author": "who caused it, where it was a command",
        "pid": "the process that works on it",
    }

    attempt: int
    run: int = 0
    kind: str | None = None
    name: str | None = None
    stage: str | None = None
    queue: str | None = None
    worker: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    group_id: str | None = None
    priority: int | None = None
    eta: str | None = None
    arguments: Any = None
    outcome: str | None = None
    author: str | None = None
    reason: str | None = None
    pid: int | None = None


@event_type("task.pending")
class TaskPending(TaskReport):
    """A task was published, or is to run again, and waits."""


@event_type("task.in_progress")
class TaskInProgress(TaskReport):
    """A worker has begun with a task."""


@event_type("task.completed")
class TaskCompleted(TaskReport):
    """A task has ended well."""

    explains: ClassVar[dict[str, str]] = {"result": "what it returned, cut with a note where it is large"}

    result: Any = None


class TaskFailure(msgspec.Struct, kw_only=True):
    """Why a task failed; `place` is `file:line function` of the innermost frame."""

    type: str = ""
    message: str = ""
    traceback: str | None = None
    place: str | None = None


@event_type("task.failed")
class TaskFailed(TaskReport):
    """A task has failed, could not be sent, or was lost with its worker."""

    explains: ClassVar[dict[str, str]] = {"retrying": "whether the runner itself tries again"}

    error: TaskFailure | None = None
    retrying: bool = False


@event_type("task.cancelled")
class TaskCancelled(TaskReport):
    """A task was stopped, or taken back before it started."""


@event_type("task.progress")
class TaskProgress(EventType):
    """What a task says of itself while it runs."""

    attempt: int
    run: int = 0
    progress: dict[str, Any] = msgspec.field(default_factory=dict)


@event_type("task.log")
class TaskLogged(EventType):
    """A log record of a task."""

    attempt: int
    level: str = "INFO"
    logger: str = ""
    message: str = ""


@event_type("task.message")
class TaskMessage(EventType):
    """The sealed original message of a task, which a retry sends again."""

    explains: ClassVar[dict[str, str]] = {"sealed": "encrypted, base64"}

    sealed: str
    attempt: int = 1


@event_type("task.retry_requested")
class TaskRetryRequested(EventType):
    """Somebody (the event's `user_id`) asked for another attempt."""

    attempt: int | None = None
    reason: str | None = None


@event_type("task.cancel_requested")
class TaskCancelRequested(EventType):
    """Somebody (the event's `user_id`) asked for a task to be stopped."""

    explains: ClassVar[dict[str, str]] = {"grace_seconds": "how long it may take to stop before it is killed"}

    attempt: int | None = None
    reason: str | None = None
    grace_seconds: float | None = None


@event_type("queue.paused")
class QueuePaused(EventType):
    """Somebody (the event's `user_id`) stopped the consumption of a queue; of all, where it is left out."""

    queue: str | None = None
    reason: str | None = None


@event_type("queue.resumed")
class QueueResumed(EventType):
    """Somebody (the event's `user_id`) let a queue be consumed again; all, where it is left out."""

    queue: str | None = None
    reason: str | None = None


class _WorkerReport(EventType):
    """What a worker says of itself."""

    explains: ClassVar[dict[str, str]] = {
        "interval": "seconds between heartbeats",
        "active": "how many tasks it works on",
        "software": "what it runs, with its version",
    }

    worker: str
    kind: str | None = None
    pool: str | None = None
    concurrency: int | None = None
    queues: list[str] = msgspec.field(default_factory=list)
    pid: int | None = None
    active: int | None = None
    software: str | None = None
    interval: float | None = None


@event_type("worker.online")
class WorkerOnline(_WorkerReport):
    """A worker has started."""


@event_type("worker.heartbeat")
class WorkerHeartbeat(_WorkerReport):
    """A worker lives."""


@event_type("worker.offline")
class WorkerOffline(_WorkerReport):
    """A worker has ended in order."""
