"""What a recorder keeps in memory while the disk takes nothing."""

import contextlib
from collections import deque
from itertools import islice

from orakul.events import Event
from orakul.tasks.spool import NOT_AN_EVENT, read_line

__all__ = ["Memory"]


class Memory:
    """Lines for the spool, oldest first; beyond `limit` bytes the oldest are let go. The caller sees to locking."""

    def __init__(self, limit: int) -> None:
        self.lost = 0
        self._limit = limit
        self._lines: deque[bytes] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._lines)

    def put(self, line: bytes) -> None:
        """Keep a line (or several, written at once), letting go of the oldest where there is no room."""
        self._lines.append(line)
        self._size += len(line)
        while self._size > self._limit and len(self._lines) > 1:
            self._size -= len(self._lines.popleft())
            self.lost += 1

    def first(self, count: int = 1) -> list[bytes]:
        """Return the oldest lines, without taking them out."""
        return list(islice(self._lines, count))

    def done(self, lines: list[bytes]) -> None:
        """Take out lines that have arrived; those that were let go in the meantime are not there any more."""
        for line in lines:
            if self._lines and self._lines[0] is line:
                self._size -= len(self._lines.popleft())

    def replace_first(self, line: bytes) -> None:
        """Put another line in the place of the oldest."""
        self._size += len(line) - len(self._lines[0])
        self._lines[0] = line

    def clear(self) -> None:
        """Forget everything."""
        self._lines.clear()
        self._size = self.lost = 0

    @staticmethod
    def events(lines: list[bytes]) -> list[Event]:
        """Return the events of the lines; what is none is left out, as the spool's reader would."""
        found = []
        for line in b"".join(lines).split(b"\n"):
            with contextlib.suppress(*NOT_AN_EVENT):
                found.append(read_line(line))
        return found
