"""Histograms of times, as the roll-ups keep them: 48 slots, each half as wide again as the one before."""

from collections.abc import Sequence
from itertools import accumulate

from orakul.tasks.room import Spread

__all__ = ["BOUNDS", "EMPTY", "SLOTS", "Tally"]

SLOTS = 48
BOUNDS = tuple(float(f"{1.5**power:.3f}") for power in range(SLOTS - 1))
"""The upper bounds of all slots but the last, in milliseconds: from 1 ms to about a day and a half."""

EMPTY = (0,) * SLOTS


class Tally:
    """How many, how many of them with a time, the sum of the times, and their histogram; can be added to."""

    __slots__ = ("histogram", "micros", "n", "timed")

    def __init__(self) -> None:
        self.n = 0
        self.timed = 0
        self.micros = 0.0
        self.histogram: list[int] = list(EMPTY)

    def add(self, n: int, timed: int, micros: float, histogram: Sequence[int]) -> None:
        """Add what a row of roll-ups says."""
        self.n += n
        self.timed += timed
        self.micros += micros
        self.histogram = [one + other for one, other in zip(self.histogram, histogram, strict=True)]

    def count(self, slot: int | None, n: int, micros: float) -> None:
        """Add so many of one slot, or of no time."""
        self.n += n
        if slot is not None:
            self.timed += n
            self.micros += micros
            self.histogram[slot] += n

    def join(self, other: "Tally") -> None:
        """Add another one."""
        self.add(other.n, other.timed, other.micros, other.histogram)

    @property
    def milliseconds(self) -> float:
        """The sum of the times."""
        return self.micros / 1000

    def spread(self) -> Spread:
        """Return the mean and the percentiles."""
        if self.timed <= 0:
            return Spread()
        heights = list(accumulate(max(height, 0) for height in self.histogram))
        return Spread(
            mean=round(self.milliseconds / self.timed, 3),
            p50=_percentile(heights, 0.50),
            p95=_percentile(heights, 0.95),
            p99=_percentile(heights, 0.99),
        )


def _percentile(heights: Sequence[int], share: float) -> float:
    """Return where so large a share lies below, supposing that times are spread evenly inside a slot."""
    wanted = heights[-1] * share
    slot = next(number for number, height in enumerate(heights) if height >= wanted and height > 0)
    below = heights[slot - 1] if slot else 0
    low = BOUNDS[slot - 1] if slot else 0.0
    high = BOUNDS[slot] if slot < len(BOUNDS) else BOUNDS[-1] * 1.5
    return round(low + (high - low) * (wanted - below) / (heights[slot] - below), 3)
