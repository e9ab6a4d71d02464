"""The forms in which moments are shown."""

from datetime import datetime

import msgspec

from orakul.tasks.moments import Moment, MomentQueue
from orakul.tasks.room import Count
from orakul.web.views import TaskItem, task_item

__all__ = ["MomentPage", "moment_page"]


class MomentPage(msgspec.Struct, frozen=True, kw_only=True):
    """The room at a moment: tasks as they were then. `counts` and `queues` are null but on the first page.

    `partial`: more was going on than could be looked through, or events of then are past their retention.
    """

    at: datetime
    counts: list[Count] | None
    queues: list[MomentQueue] | None
    items: list[TaskItem]
    next: str | None
    partial: bool


def moment_page(found: Moment) -> MomentPage:
    """Return a moment as it is shown."""
    return MomentPage(
        at=found.at,
        counts=found.counts,
        queues=found.queues,
        items=[task_item(task) for task in found.items],
        next=found.next,
        partial=found.partial,
    )
