"""Contract: what metrics ask of the journal, beside the page's questions; each answer is bounded."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from orakul.tasks.room import Spread

__all__ = ["Cursors", "FleetFigures", "RecentTasks", "Waiting"]


class RecentTasks(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the tasks of a name and a queue in this minute and the four before it."""

    name: str
    queue: str
    counts: dict[str, int]
    """By what they came to: `pending`, `in_progress`, `completed`, `failed`, `cancelled`."""
    duration: Spread
    waiting: Spread


class Cursors(msgspec.Struct, frozen=True, kw_only=True):
    """Where the journal ends, how far its readers are, and how many wait for its lock."""

    newest: int
    readers: dict[str, int]
    lock_waiting: int


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries of reactions that wait for a notifier, counted up to 10,000, and since when the first is due."""

    count: int
    due_at: datetime | None


class FleetFigures(Protocol):
    """Answers from indexes and roll-ups."""

    def recent(self, most: int) -> Sequence[RecentTasks]:
        """Return the busiest names and queues, `most` of them, and the others as one, called `(other)`."""
        ...

    def cursors(self) -> Cursors:
        """Return where the journal ends, and where its readers are."""
        ...

    def reactions(self) -> Mapping[str, Waiting]:
        """Return what waits, by notifier."""
        ...
