"""The newest frames, kept in memory for those who come back soon."""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import islice

from orakul.web.stream.frames import Framed

__all__ = ["Ring"]


class Ring:
    """Frames in the order of `seq`, bounded by count and by bytes.

    Everything above `floor` that the hub has seen is here.
    """

    def __init__(self, floor: int = 0, *, entries: int = 20_000, size: int = 32 * 1024 * 1024) -> None:
        self.floor = floor
        self._entries = entries
        self._size = size
        self._frames: list[Framed] = []
        self._head = 0
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames) - self._head

    @property
    def size(self) -> int:
        """The bytes held."""
        return self._bytes

    def append(self, framed: Framed) -> None:
        """Add the newest frame, and let the oldest go where a bound is passed."""
        self._frames.append(framed)
        self._bytes += len(framed.frame)
        while len(self) > self._entries or self._bytes > self._size:
            gone = self._frames[self._head]
            self.floor = gone.seq
            self._bytes -= len(gone.frame)
            self._head += 1
        if self._head > self._entries:
            # The part in front of the head is freed now and then, not at every step.
            del self._frames[: self._head]
            self._head = 0

    def covers(self, seq: int) -> bool:
        """Say whether everything after `seq` is here."""
        return seq >= self.floor

    def after(self, seq: int) -> Iterable[Framed]:
        """Return the frames after `seq`, oldest first."""
        begin = bisect_right(self._frames, seq, lo=self._head, key=lambda framed: framed.seq)
        return islice(self._frames, begin, None)

    def clear(self, floor: int) -> None:
        """Forget everything; from now on what comes after `floor` is kept."""
        self._frames.clear()
        self._head = self._bytes = 0
        self.floor = floor
