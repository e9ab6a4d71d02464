"""What is usual for a pipeline: how far apart its runs are, and how many rows it loads; from its last runs."""

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from statistics import median

import msgspec

__all__ = ["History", "Usual", "usual_of"]

_REMEMBERED = 20
_ENOUGH = 3


class Usual(msgspec.Struct, frozen=True):
    """The median distance between runs in seconds, and of rows loaded; None until there were enough runs."""

    seconds: float | None = None
    rows: float | None = None


class History:
    """The last runs of one result."""

    __slots__ = ("_ends", "_rows")

    def __init__(self, runs: Iterable[tuple[datetime, int | None]] = ()) -> None:
        self._ends: deque[datetime] = deque(maxlen=_REMEMBERED)
        self._rows: deque[int] = deque(maxlen=_REMEMBERED)
        for ended, rows in sorted(runs, key=lambda run: run[0]):
            self.add(ended, rows)

    def add(self, ended: datetime, rows: int | None) -> None:
        """Take note of a run."""
        self._ends.append(ended)
        if rows is not None:
            self._rows.append(rows)

    @property
    def last(self) -> datetime | None:
        """When the last run ended."""
        return max(self._ends) if self._ends else None

    def usual(self) -> Usual:
        """Return what is usual by these runs."""
        return usual_of(self._ends, self._rows)


def usual_of(ends: Iterable[datetime], rows: Iterable[int]) -> Usual:
    """Return what is usual where runs ended at these times and loaded so many rows."""
    moments = sorted(ends)
    gaps = [(after - before).total_seconds() for before, after in pairwise(moments)]
    loaded = list(rows)
    return Usual(
        seconds=median(gaps) if len(gaps) >= _ENOUGH else None,
        rows=median(loaded) if len(loaded) >= _ENOUGH else None,
    )
