"""Contract: looking back, the room as it was at any moment and what happened between two.

A moment is the projection (`projection.project`) of the events whose timestamp is not after it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from orakul.tasks.reader import TaskQuery
from orakul.tasks.room import Count
from orakul.tasks.status import Status
from orakul.tasks.task import Task

__all__ = ["Moment", "MomentQueue", "MomentRange", "Moments", "Turn", "Turns"]


class MomentQueue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue at a moment: what waited and ran, and whether it was paused, by whom and since when."""

    queue: str
    pending: int
    in_progress: int
    paused: bool = False
    paused_by: str | None = None
    paused_at: datetime | None = None
    reason: str | None = None


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """The room at a moment: a page of its tasks as they were, and, on the first page, counts and queues.

    `partial`: more was going on than could be looked through, or events of then are past their retention.
    """

    at: datetime
    counts: list[Count] | None
    queues: list[MomentQueue] | None
    items: list[Task]
    next: str | None
    partial: bool


class MomentRange(msgspec.Struct, frozen=True, kw_only=True):
    """The moments that can be asked for; null where there is nothing yet."""

    oldest: datetime | None
    newest: datetime | None
    now: datetime


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A task's change of status (`previous` null: it is new), or, with `paused` said, a change of a queue's pause."""

    at: datetime
    seq: int
    task_id: str | None = None
    status: Status | None = None
    previous: Status | None = None
    attempt: int | None = None
    name: str | None = None
    kind: str | None = None
    queue: str | None = None
    user_id: str | None = None
    paused: bool | None = None
    author: str | None = None


class Turns(msgspec.Struct, frozen=True, kw_only=True):
    """Changes in the order of time. A page may be empty and still have a `next`: nothing happened so far."""

    items: list[Turn]
    next: str | None
    partial: bool


class Moments(Protocol):
    """Looks back, within some two seconds, partly where it must. With an owner, only that user's tasks existed."""

    def moment(self, at: datetime, query: TaskQuery) -> Moment:
        """Return the room at a moment; the query's `status` is the status then."""
        ...

    def range(self, *, owner: str | None = None) -> MomentRange:
        """Return the oldest and the newest moment."""
        ...

    def turns(self, since: datetime, until: datetime, query: TaskQuery) -> Turns:
        """Return what happened after `since`, until `until`."""
        ...


SORTS: Sequence[str] = ("created_at", "name", "kind", "task_id")
"""What the tasks of a moment can be sorted by, `-` in front for down."""
