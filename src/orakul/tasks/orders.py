"""Contract: standing orders (what workers are to respect, also those that start later) and the fleet they go to."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from orakul.tasks.reader import PausedQueue

__all__ = ["ALL_QUEUES", "Cancellation", "Fleet", "StandingOrders", "Worker"]

ALL_QUEUES = "*"
"""The name under which all queues are paused at once (`PausedQueue.queue`, `queue.paused` with `queue` left out)."""


class Cancellation(msgspec.Struct, frozen=True, kw_only=True):
    """This attempt of this task is not to run, or to stop if it runs. Kept until the task has ended."""

    task_id: str
    attempt: int
    requested_at: datetime
    author: str | None = None
    grace_seconds: float = 10.0


class StandingOrders(Protocol):
    """Read by workers at their start and every few seconds; broadcasts only make them prompt."""

    def pauses(self) -> Sequence[PausedQueue]:
        """Return the queues paused now."""
        ...

    def cancellations(self, task_ids: Sequence[str] | None = None) -> Sequence[Cancellation]:
        """Return the open cancellations, all or those of the given tasks."""
        ...

    def message(self, task_id: str) -> bytes | None:
        """Return the sealed original message of a task, or None where none is kept."""
        ...


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as its last heartbeat described it. `last_seen` is older than the lease: it is taken for lost."""

    worker: str
    kind: str
    status: str
    started_at: datetime | None
    last_seen: datetime
    pool: str | None = None
    concurrency: int | None = None
    queues: Sequence[str] = ()
    facts: dict[str, Any] = msgspec.field(default_factory=dict)


class Fleet(Protocol):
    """The workers, and the tasks that silent ones left behind."""

    def workers(self) -> Sequence[Worker]:
        """Return all workers seen in the last day."""
        ...

    def abandoned(self, lease_seconds: float, limit: int = 500) -> Sequence[tuple[str, int, int, str]]:
        """Return `(task_id, attempt, run, worker)` of tasks in progress whose worker seems gone.

        It is offline, silent past the lease, or began anew under the same name while the task ran.
        """
        ...
