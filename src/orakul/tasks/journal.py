"""Contract: the journal, the append-only events and what is projected from them (design §6).

One door in: whatever is to be stored is an event given to `Journal.append`. By type it is projected:

| event type | goes to |
| --- | --- |
| `task.pending`, `.in_progress`, `.completed`, `.failed`, `.cancelled`, `.progress` | events, and the task's row |
| `task.log` | the logs only: data `level`, `logger`, `message`, `attempt` |
| `task.message` | the sealed original message only (`data["sealed"]`, base64): what a retry sends again |
| `task.retry_requested`, `task.cancel_requested` | events, with their author; the latter also a standing order |
| `queue.paused`, `queue.resumed` | events, with their author, and the paused queues |
| `worker.online`, `worker.offline` | events and the fleet |
| `worker.heartbeat` | the fleet only |
| any other | events |
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from orakul.events import Event
from orakul.tasks.task import Task

__all__ = ["Journal", "StoredEvent"]


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its place in the journal."""

    seq: int
    event: Event


class Journal(Protocol):
    """Stores events, once each, in one order. Safe to call from several threads and processes at once.

    Both methods raise JournalUnavailableError where PostgreSQL does not answer; then nothing, or all, was stored, and
    doing it again is right.
    """

    def append(self, events: Sequence[Event]) -> int:
        """Store the events and project them in one transaction; return the last `seq` given, 0 if none was new.

        An event whose `event_id` (and timestamp) is already there is passed over. The order of `seq` is the order of
        commits: a reader at `seq = n` has missed nothing below `n`.
        """
        ...

    def transition(self, task_id: str, decide: Callable[[Task], Sequence[Event]], *, owner: str | None = None) -> Task:
        """Let `decide` see the task as it now is, append what it returns, and return the task after that.

        Nothing else is stored between the look and the append, so of two commands at once one sees the other's
        effect. What
        `decide` raises comes through, with nothing stored. Raises TaskNotFoundError where there is no such task, or,
        with `owner` set, it is not that user's.
        """
        ...
