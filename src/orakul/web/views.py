"""The forms in which the API shows things: what is encoded, and what the OpenAPI document says of it, are these."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from orakul.tasks import Change, LogLine, Status, StoredEvent, Task
from orakul.web.bounds import bounded

__all__ = [
    "Ability",
    "AbilitySet",
    "ChangePage",
    "CommandedTask",
    "ErrorHead",
    "ErrorWhole",
    "EventItem",
    "EventPage",
    "LogPage",
    "Me",
    "NameList",
    "QueueOrder",
    "Readiness",
    "Settings",
    "TaskDetail",
    "TaskItem",
    "TaskPage",
    "TaskTree",
    "TokenGrant",
    "Wellbeing",
    "commanded_task",
    "event_item",
    "task_detail",
    "task_item",
    "with_payload",
]


_LONGEST_MESSAGE = 2_000
_LONGEST_NAME = 1_000
_LARGEST_PART = 65_536


class ErrorHead(msgspec.Struct, frozen=True, kw_only=True):
    """Why a task failed, in short."""

    type: str
    message: str


class ErrorWhole(ErrorHead, frozen=True, kw_only=True):
    """Why a task failed. `place` is `file:line function` of the innermost frame, where known."""

    traceback: str | None
    place: str | None


class TaskItem(msgspec.Struct, frozen=True, kw_only=True):
    """A task as lists and the stream show it. `duration_ms` is from its start to its end, null until then."""

    task_id: str
    kind: str
    name: str
    status: Status
    outcome: str | None
    user_id: str | None
    parent_id: str | None
    root_id: str | None
    group_id: str | None
    queue: str | None
    worker: str | None
    attempt: int
    run: int
    priority: int | None
    eta: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime
    duration_ms: float | None
    progress: dict[str, Any] | None
    trace_id: str | None
    error: ErrorHead | None


class Ability(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the one who asks may give a command now; if not, why, with a code to word it by."""

    allowed: bool
    why: str | None = None
    code: Literal["viewer", "state", "elsewhere", "no_runner", "no_message"] | None = None


class AbilitySet(msgspec.Struct, frozen=True, kw_only=True):
    """The commands to a task."""

    retry: Ability
    cancel: Ability


class TaskDetail(TaskItem, frozen=True, kw_only=True):
    """A task, whole. `arguments` and `result` are JSON, cut with a note where they are too large to show."""

    error: ErrorWhole | None
    arguments: Any
    result: Any
    trace_url: str | None
    can: AbilitySet


class CommandedTask(TaskItem, frozen=True, kw_only=True):
    """A task after a command to it.

    `delivered` is false where the order is stored but the broker did not answer: it holds and is repeated; `note` says
    so in words.
    """

    delivered: bool
    note: str | None


class TaskPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of tasks; `next` is the cursor of the one after it.

    `partial`: time ran out, and only the latest of what was asked for was looked at.
    """

    items: list[TaskItem]
    next: str | None
    partial: bool = False


class TaskTree(msgspec.Struct, frozen=True, kw_only=True):
    """A task's subtree, parents before children, the task itself left out; at most 1,000."""

    items: list[TaskItem]
    next: str | None


class ChangePage(msgspec.Struct, frozen=True, kw_only=True):
    """A task's changes of status and the commands given to it, oldest first."""

    items: list[Change]
    next: str | None


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """Log lines, oldest first; `next` is the `after` of the following page."""

    items: list[LogLine]
    next: str | None


class EventItem(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its place in the journal."""

    seq: int
    event_id: str
    event_type: str
    data: dict[str, Any]
    user_id: int | str | None
    timestamp: datetime
    task_id: str | None
    trace_id: str | None
    source: str | None


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events in the order of the journal; `next` is the `after` of the following page."""

    items: list[EventItem]
    next: str | None


class NameList(msgspec.Struct, frozen=True, kw_only=True):
    """Names of tasks, for suggestions."""

    items: list[str]
    next: str | None = None


class QueueOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which queue to pause or resume, left out: all of them; and why."""

    queue: str | None = None
    reason: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in."""

    user_id: str
    username: str
    role: str


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the interface needs to know. `trace_url` has `{trace_id}` in it; `locale` null: the browser's."""

    version: str
    trace_url: str | None
    locale: str | None
    locales: list[str]


class TokenGrant(msgspec.Struct, frozen=True, kw_only=True):
    """A token, and for how many seconds it is good."""

    access_token: str
    token_type: str
    expires_in: int


class Wellbeing(msgspec.Struct, frozen=True, kw_only=True):
    """The process is alive."""

    status: str
    version: str


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is asked answers; `checks` names what was."""

    status: str
    checks: dict[str, str]


def task_item(task: Task) -> TaskItem:
    """Return the list-form of a task."""
    return TaskItem(**_common(task), error=_error_head(task))


def commanded_task(task: Task, *, delivered: bool, note: str | None) -> CommandedTask:
    """Return the form of a task after a command."""
    return CommandedTask(**_common(task), error=_error_head(task), delivered=delivered, note=note)


def task_detail(task: Task, *, trace_url: str | None, can: AbilitySet) -> TaskDetail:
    """Return the whole form of a task; the caller has bounded what may be large."""
    error = task.error
    whole = None
    if error is not None:
        whole = ErrorWhole(type=error.type, message=error.message, traceback=error.traceback, place=error.place)
    return TaskDetail(
        **_common(task), error=whole, arguments=task.arguments, result=task.result, trace_url=trace_url, can=can
    )


def with_payload(detail: TaskDetail, *, arguments: Any, result: Any, traceback: str | None) -> TaskDetail:
    """Return the whole form with its large parts bounded."""
    error = detail.error
    if error is not None:
        error = msgspec.structs.replace(error, traceback=traceback)
    return msgspec.structs.replace(detail, arguments=arguments, result=result, error=error)


def event_item(stored: StoredEvent) -> EventItem:
    """Return an event of the journal as the API shows it."""
    event = stored.event
    return EventItem(
        seq=stored.seq,
        event_id=event.event_id,
        event_type=event.event_type,
        data=bounded(event.data, _LARGEST_PART),
        user_id=event.user_id,
        timestamp=event.timestamp.astimezone(UTC),
        task_id=event.task_id,
        trace_id=event.trace_id,
        source=event.source,
    )


def _error_head(task: Task) -> ErrorHead | None:
    error = task.error
    return None if error is None else ErrorHead(type=error.type, message=error.message[:_LONGEST_MESSAGE])


def _common(task: Task) -> dict[str, Any]:
    duration = None
    if task.started_at is not None and task.finished_at is not None:
        duration = round(max(0.0, (task.finished_at - task.started_at).total_seconds() * 1000), 3)
    return {
        "task_id": task.task_id,
        "kind": task.kind,
        "name": task.name[:_LONGEST_NAME],
        "status": task.status,
        "outcome": task.outcome,
        "user_id": task.user_id,
        "parent_id": task.parent_id,
        "root_id": task.root_id,
        "group_id": task.group_id,
        "queue": task.queue,
        "worker": task.worker,
        "attempt": task.attempt,
        "run": task.run,
        "priority": task.priority,
        "eta": _utc(task.eta),
        "created_at": task.created_at.astimezone(UTC),
        "started_at": _utc(task.started_at),
        "finished_at": _utc(task.finished_at),
        "updated_at": task.updated_at.astimezone(UTC),
        "duration_ms": duration,
        "progress": _progress(task.progress),
        "trace_id": task.trace_id,
    }


def _progress(progress: dict[str, Any] | None) -> Any:
    """Return what a task says of its progress; of more than anybody can look at, nothing."""
    shown = bounded(progress, _LARGEST_PART)
    return shown if isinstance(shown, msgspec.Raw) else None


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
