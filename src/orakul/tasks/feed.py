"""Contract: the feed, the journal read forward from a cursor, live (design §6)."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

import msgspec

from orakul.events import Event
from orakul.tasks.reader import LogLine
from orakul.tasks.task import Task

__all__ = ["Entry", "Feed"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the feed.

    `kind` says which of the three is set: `task` (an event that touched a task's row, with that row as it is now,
    without
    arguments, result and traceback), `log` (a log line), `event` (any other event). `owner` is who, besides
    administrators, may see it.
    """

    seq: int
    kind: Literal["task", "log", "event"]
    owner: str | None = None
    event: Event | None = None
    task: Task | None = None
    log: LogLine | None = None


class Feed(Protocol):
    """Reads entries in the order of `seq`; nothing below a cursor is ever missed, nothing comes twice."""

    async def bounds(self) -> tuple[int, int]:
        """Return the oldest `seq` still kept and the newest given out; `(0, 0)` for an empty journal."""
        ...

    async def read(self, after: int, limit: int = 1000) -> list[Entry]:
        """Return the entries with `seq > after`, oldest first, at most `limit`."""
        ...

    def follow(self, after: int) -> AsyncIterator[list[Entry]]:
        """Yield batches of entries for ever, as they are stored: woken by LISTEN, sure by a look each second.

        Outlives a lost connection: it connects again with back-off and goes on where it was.
        """
        ...
