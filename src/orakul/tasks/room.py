"""Contract: what the control room asks beside lists: counts, groups of errors, charts, insights, saved views."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from orakul.tasks.reader import TaskQuery
from orakul.tasks.status import Status

__all__ = [
    "Bottleneck",
    "Chart",
    "ChartPoint",
    "ControlRoom",
    "Count",
    "Counts",
    "ErrorGroup",
    "ErrorGroups",
    "Insights",
    "NameFigures",
    "QueueFigures",
    "RunningTask",
    "SavedView",
    "Spread",
]


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks have a status. `capped`: there are more than that; `partial`: of the latest only, time ran out."""

    status: Status
    count: int
    capped: bool
    partial: bool


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """One count a status, of all tasks that a filter leaves; `partial` where one of them is."""

    items: list[Count]
    partial: bool


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Failures with the same exception at the same place. `message` and `task_id` are those of the latest.

    `first_seen` and `last_seen` are creations of tasks. `names` are some of the tasks' names, at most 20. `trend` tells
    how many of the latest 2,000 were created in each of 24 steps of the time of `ErrorGroups`; empty: time ran out.
    """

    key: str
    type: str | None
    place: str | None
    message: str | None
    count: int
    capped: bool
    first_seen: datetime
    last_seen: datetime
    names: list[str]
    task_id: str
    trend: list[int] = []


class ErrorGroups(msgspec.Struct, frozen=True, kw_only=True):
    """The groups, the latest first. `partial`: made of the latest failures only.

    `since` and `until` are the ends of the time that trends are drawn over: what was asked for, else from the first
    failure shown until now.
    """

    items: list[ErrorGroup]
    partial: bool
    since: datetime | None = None
    until: datetime | None = None


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How times are spread, in milliseconds; null where there are none. From histograms: within some 10 %."""

    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class ChartPoint(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in one step of a chart, from `at` on: how many came, were begun, ended, and how long it took.

    A task is counted by what it is now: one that failed, was retried and completed has completed. `failure_rate` is
    failed ÷ (completed + failed), null where none ended. `duration` is of the completed and failed, `waiting` of those
    begun, their first delivery only.
    """

    at: datetime
    created: int
    started: int
    completed: int
    failed: int
    cancelled: int
    failure_rate: float | None
    duration: Spread
    waiting: Spread


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Points from `since` to `until`, one each `step` seconds, empty ones too; `total` is all of them as one."""

    since: datetime
    until: datetime
    step: int
    points: list[ChartPoint]
    total: ChartPoint
    partial: bool


class NameFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How a task's name fared. `busy_ms` is the sum of its durations, `changed` its p95 ÷ the p95 before."""

    name: str
    ended: int
    failed: int
    failure_rate: float | None
    duration: Spread
    waiting: Spread
    busy_ms: float
    ended_before: int
    failed_before: int
    failure_rate_before: float | None
    duration_before: Spread
    changed: float | None


class Bottleneck(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a queue's time was waiting: `share` = waiting ÷ (waiting + work)."""

    queue: str | None
    started: int
    waiting_ms: float
    busy_ms: float
    share: float
    waiting: Spread


class Insights(msgspec.Struct, frozen=True, kw_only=True):
    """The names that stand out since `since`, against as many days before that; whole days, UTC."""

    since: datetime
    until: datetime
    before: datetime
    slowest: list[NameFigures]
    most_failing: list[NameFigures]
    most_changed: list[NameFigures]
    bottlenecks: list[Bottleneck]
    partial: bool


class SavedView(msgspec.Struct, frozen=True, kw_only=True):
    """A question that somebody keeps: the address's query, and which columns are shown. `mine`: may be deleted."""

    view_id: str
    name: str
    query: str
    columns: list[str]
    shared: bool
    user_id: str
    mine: bool
    created_at: datetime


class QueueFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What goes through a queue: tasks a minute in and out (of the last five), and since when its oldest waits."""

    oldest_waiting_at: datetime | None
    rate_in: float
    rate_out: float


class RunningTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that a worker has in hand."""

    task_id: str
    name: str
    started_at: datetime | None


class ControlRoom(Protocol):
    """Answers within about two seconds, partly where it must. With `owner` set, only that user's tasks exist."""

    def counts(self, query: TaskQuery) -> Counts:
        """Return how many tasks of each status the query's other filters leave, up to 10,000."""
        ...

    def errors(self, query: TaskQuery) -> ErrorGroups:
        """Return the failures that the query's filters leave, grouped, the latest groups first, `limit` at most."""
        ...

    def chart(
        self,
        since: datetime,
        until: datetime,
        *,
        name: str | None = None,
        queue: Sequence[str] = (),
        kind: Sequence[str] = (),
        owner: str | None = None,
    ) -> Chart:
        """Return what happened between two times; `name` may be a beginning and `*`."""
        ...

    def insights(self, *, days: int = 7, owner: str | None = None) -> Insights:
        """Return the names that stand out in the last days."""
        ...

    def views(self, user_id: str) -> list[SavedView]:
        """Return the views of a user and those that are shared."""
        ...

    def save_view(self, user_id: str, *, name: str, query: str, columns: Sequence[str], shared: bool) -> SavedView:
        """Keep a view."""
        ...

    def delete_view(self, user_id: str, view_id: str, *, any_shared: bool = False) -> bool:
        """Drop a view of the user's, or with `any_shared` one that is shared; say whether there was one."""
        ...

    def queue_figures(self, queues: Sequence[str]) -> dict[str, QueueFigures]:
        """Return what goes through each queue."""
        ...

    def running(self, workers: Sequence[str]) -> dict[str, tuple[int, list[RunningTask]]]:
        """Return how many tasks each worker has in hand (up to 1,000), and the first 20."""
        ...
