"""The forms of what the control room shows beside tasks: queues, workers, saved views."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from orakul.tasks import Worker
from orakul.tasks.depths import QueueDepth
from orakul.tasks.room import QueueFigures, RunningTask, SavedView

__all__ = ["QueueItem", "QueueList", "ViewForm", "ViewList", "WorkerItem", "WorkerList", "queue_item", "worker_item"]


class QueueItem(msgspec.Struct, frozen=True, kw_only=True):
    """A queue: what waits and runs in it (counted up to 10,000), since when its oldest waits, and whether it is paused.

    `rate_in` and `rate_out` are tasks a minute that came and that were begun in the last five minutes. `broker_depth`
    is how many messages wait by its own account; null where it was not asked or does not say, `broker_note` says why.
    RabbitMQ's management API also says how many are in hand, how many consumers there are, and messages a minute.
    """

    queue: str
    pending: int
    in_progress: int
    oldest_waiting_at: datetime | None = None
    rate_in: float = 0.0
    rate_out: float = 0.0
    broker_depth: int | None = None
    broker_note: str | None = None
    broker_unacknowledged: int | None = None
    broker_consumers: int | None = None
    broker_rate_in: float | None = None
    broker_rate_out: float | None = None
    paused: bool
    paused_by: str | None = None
    paused_at: datetime | None = None


class QueueList(msgspec.Struct, frozen=True, kw_only=True):
    """The queues seen."""

    items: list[QueueItem]
    next: str | None = None


class WorkerItem(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as its last heartbeat described it, and what it has in hand: how many, and the first 20.

    `lost`: it has not said that it goes, and has given no sign of life for longer than its lease.
    """

    worker: str
    kind: str
    status: str
    lost: bool
    started_at: datetime | None
    last_seen: datetime
    pool: str | None
    concurrency: int | None
    queues: list[str]
    software: str | None
    facts: dict[str, Any]
    running: int
    tasks: list[RunningTask]


class WorkerList(msgspec.Struct, frozen=True, kw_only=True):
    """The workers seen in the last day."""

    items: list[WorkerItem]
    next: str | None = None


class ViewList(msgspec.Struct, frozen=True, kw_only=True):
    """One's own views, then those that others share."""

    items: list[SavedView]
    next: str | None = None


Words = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class ViewForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A view to keep: its name, the address's query, the columns shown (none: the usual ones), and whether for all."""

    name: Words
    query: Annotated[str, msgspec.Meta(max_length=4000)] = ""
    columns: Annotated[list[Words], msgspec.Meta(max_length=50)] = []
    shared: bool = False


def queue_item(
    found: dict[str, Any], figures: Mapping[str, QueueFigures], depths: Mapping[str, QueueDepth]
) -> QueueItem:
    """Return a queue with all that is known of it."""
    item = msgspec.convert(found, QueueItem)
    figure, depth = figures.get(item.queue), depths.get(item.queue)
    if figure is not None:
        item = msgspec.structs.replace(
            item, oldest_waiting_at=figure.oldest_waiting_at, rate_in=figure.rate_in, rate_out=figure.rate_out
        )
    if depth is not None:
        told = {f"broker_{name}": value for name, value in msgspec.structs.asdict(depth).items()}
        item = msgspec.structs.replace(item, **told)
    return item


def worker_item(worker: Worker, running: tuple[int, list[RunningTask]], *, lease_seconds: float) -> WorkerItem:
    """Return a worker with what it has in hand."""
    software = worker.facts.get("software")
    silent = (datetime.now(UTC) - worker.last_seen).total_seconds()
    return WorkerItem(
        worker=worker.worker,
        kind=worker.kind,
        status=worker.status,
        lost=worker.status != "offline" and silent > lease_seconds,
        started_at=worker.started_at,
        last_seen=worker.last_seen,
        pool=worker.pool,
        concurrency=worker.concurrency,
        queues=list(worker.queues),
        software=software if isinstance(software, str) else None,
        facts=worker.facts,
        running=running[0],
        tasks=running[1],
    )
