"""Contract: reading tasks, their history and logs, and the events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from orakul.tasks.journal import StoredEvent
from orakul.tasks.status import Status
from orakul.tasks.task import Task, TaskError

__all__ = ["Change", "LogLine", "Page", "PausedQueue", "Summary", "TaskQuery", "TaskReader"]

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list; `next` is the cursor of the page after it, or None at the end.

    `partial`: the time ran out, and only the latest of what was asked for was looked at.
    """

    items: list[T]
    next: str | None = None
    partial: bool = False


class TaskQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of tasks is asked for. Empty fields do not filter.

    `search` finds by task id (a prefix will do). `name` and `user` match exactly, or by prefix where they end in
    `*`. `since` and `until` bound the creation: from `since` on, before `until`. `text` finds words, or their
    beginnings, in arguments and errors. `error` is the key of a group of errors. `owner` is a
    bound, not a wish: with it set, only that user's tasks exist. `sort` is one of `task_id`, `name`, `status`,
    `user_id`,
    `kind`, `queue`, `created_at`, `started_at`, `finished_at`, with `-` in front for descending. `limit` is 1 to 500.
    """

    status: Sequence[Status] = ()
    name: str | None = None
    user: str | None = None
    kind: Sequence[str] = ()
    queue: Sequence[str] = ()
    worker: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    error: str | None = None
    search: str | None = None
    text: str | None = None
    sort: str = "-created_at"
    cursor: str | None = None
    limit: int = 50
    owner: str | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a task's history: a change of status, or a command with its author (`status` None then).

    `duration_ms` is how long the status before it (`previous`) had lasted. `made` is the new task that a run with
    edited arguments made of this one, `origin` the one that this task was made of.
    """

    seq: int
    event_type: str
    status: Status | None
    previous: Status | None
    attempt: int
    run: int
    timestamp: datetime
    duration_ms: float | None
    worker: str | None = None
    author: str | None = None
    reason: str | None = None
    made: str | None = None
    origin: str | None = None
    error: TaskError | None = None


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One log record of a task."""

    seq: int
    task_id: str
    attempt: int
    timestamp: datetime
    level: str
    logger: str
    message: str


class PausedQueue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue that is not consumed, by whom and since when."""

    queue: str
    paused_by: str | None
    paused_at: datetime
    reason: str | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The header's figures, for one owner or for all.

    Counts are bounded: with `capped` set, `queued` or `active` reached 10,000 and there may be more.
    `failure_rate_24h` is failed ÷
    (completed + failed) of the tasks that ended in the last 24 hours, 0 to 1, None where none ended;
    `mean_duration_24h` is the mean time from
    start to end of the same, in seconds.
    """

    queued: int
    active: int
    capped: bool
    failure_rate_24h: float | None
    mean_duration_24h: float | None
    paused_queues: list[PausedQueue]
    seq: int


class TaskReader(Protocol):
    """Reads the journal's tables. With `owner` set, another user's task does not exist.

    Raises InvalidQueryError for a query it does not know, TaskNotFoundError for a task that is not there,
    JournalUnavailableError where PostgreSQL does not answer.
    """

    def tasks(self, query: TaskQuery) -> Page[Task]:
        """Return one page of tasks."""
        ...

    def task(self, task_id: str, *, owner: str | None = None) -> Task:
        """Return one task, whole."""
        ...

    def history(self, task_id: str, *, owner: str | None = None) -> Page[Change]:
        """Return the task's changes of status and commands, oldest first."""
        ...

    def logs(self, task_id: str, *, owner: str | None = None, after: int = 0, limit: int = 1000) -> Page[LogLine]:
        """Return log lines with `seq > after`, oldest first."""
        ...

    def children(self, task_id: str, *, owner: str | None = None) -> Page[Task]:
        """Return the task's subtree, parents before children, the task itself left out; at most 1,000."""
        ...

    def summary(self, *, owner: str | None = None) -> Summary:
        """Return the header's figures."""
        ...

    def events(self, *, types: Sequence[str] = (), after: int = 0, limit: int = 100) -> Page[StoredEvent]:
        """Return events in the order of `seq`; `types` takes patterns (`task.*`)."""
        ...

    def names(self, prefix: str = "", *, owner: str | None = None, limit: int = 20) -> list[str]:
        """Return task names that begin with `prefix`, for suggestions."""
        ...

    def queues(self) -> list[dict[str, Any]]:
        """Return the queues seen, with what waits and runs in each."""
        ...
