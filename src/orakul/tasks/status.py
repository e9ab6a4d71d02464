"""The status machine, and how two reports about one task are compared.

A report stands at `(attempt, run, rank)`. A retry is the next attempt; a redelivery of the same attempt by
the broker is a new run of it. Within one run the later stage outranks the earlier one, and what
was observed outranks what was concluded: a task that was given up as lost and then reports its end has ended.
"""

from enum import IntEnum, StrEnum

__all__ = ["EVENT_RANKS", "FINAL", "OPEN", "Rank", "Status", "era", "rank_of"]


class Status(StrEnum):
    """What a task is doing. `pending → in_progress → completed | failed | cancelled`."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = frozenset({Status.PENDING, Status.IN_PROGRESS})
FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


class Rank(IntEnum):
    """How far a report says that its run has come. Stored: never renumber."""

    PENDING = 0
    ENDED_BEFORE_START = (
        1  # cancelled, expired or unsendable while it waited; a start that happened all the same outranks it
    )
    IN_PROGRESS = 2
    LOST = 3  # concluded from silence; any report of the run itself outranks it
    FAILED = 4
    COMPLETED = 5
    CANCELLED = 6  # said only where the work was really stopped


EVENT_RANKS = {
    "task.pending": (Status.PENDING, Rank.PENDING),
    "task.in_progress": (Status.IN_PROGRESS, Rank.IN_PROGRESS),
    "task.completed": (Status.COMPLETED, Rank.COMPLETED),
    "task.failed": (Status.FAILED, Rank.FAILED),
    "task.cancelled": (Status.CANCELLED, Rank.CANCELLED),
}

_STAGES = {"before_start": Rank.ENDED_BEFORE_START, "lost": Rank.LOST}


def rank_of(event_type: str, stage: str | None = None) -> tuple[Status, Rank] | None:
    """Return the status and rank that an event reports, or None where it reports no status.

    `stage` is the event's `data["stage"]`: `before_start` for an end without a start, `lost` for one concluded
    from silence.
    """
    known = EVENT_RANKS.get(event_type)
    if known is None:
        return None
    status, rank = known
    return status, _STAGES.get(stage or "", rank) if status in FINAL else rank


_RUN_BITS = 44


def era(attempt: int, run: int) -> int:
    """Return `(attempt, run)` as one number that orders like the pair.

    `run` is 0 for the first delivery of an attempt and the moment of the delivery in epoch milliseconds for a
    redelivery, so later ones are greater without anybody counting; it stays below 2^44 until the year 2527.
    """
    return (max(attempt, 0) << _RUN_BITS) | max(0, min(run, (1 << _RUN_BITS) - 1))
