"""Contract: how domain events fare, as the control room asks it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

__all__ = [
    "DeadQuery",
    "DeadTask",
    "EventFigures",
    "EventRoom",
    "Journey",
    "JourneyStep",
    "PublishedEvent",
    "PublishedPage",
    "Replayer",
    "Tally",
]


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the events of one type at one consumer, of one type, or at one consumer.

    `published` counts what the broker has confirmed, `unheard` those of it that no consumer listened to; `failed`
    counts attempts, `retried` those of them after which it was tried again, `dead` those after which it was not.
    `waiting` are deliveries that the control room knows and that have not ended, counted up to 10,000; `oldest` is when
    the oldest of them came.
    """

    event_type: str | None
    consumer: str | None
    published: int = 0
    unheard: int = 0
    delivered: int = 0
    failed: int = 0
    retried: int = 0
    dead: int = 0
    waiting: int = 0
    oldest: datetime | None = None


class EventFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures since a time: by type, by consumer, and by both; and what waits in the outbox."""

    since: datetime
    types: list[Tally]
    consumers: list[Tally]
    deliveries: list[Tally]
    outbox_waiting: int
    outbox_capped: bool
    outbox_oldest: datetime | None
    outbox_dead: int
    dead_letters: int


class PublishedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A domain event as the journal has it, and how many of its deliveries stand where."""

    seq: int
    event_id: str
    event_type: str
    user_id: str | None
    timestamp: datetime
    data: Any
    relayed_at: str | None = None
    heard: bool | None = None
    subject: str | None = None
    deliveries: dict[str, int] = msgspec.field(default_factory=dict)


class PublishedPage(msgspec.Struct, frozen=True, kw_only=True):
    """Domain events, the newest first; `next` is the `before` of the page after it."""

    items: list[PublishedEvent]
    next: int | None = None


class JourneyStep(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to an event on its way."""

    at: datetime
    step: str
    """`published`, `relayed`, or what a consumer reported: `pending`, `in_progress`, `completed`, `failed`, …"""
    consumer: str | None = None
    task_id: str | None = None
    attempt: int | None = None
    outcome: str | None = None
    retrying: bool = False
    author: str | None = None
    error: str | None = None
    note: str | None = None


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """The way of one event, from its publishing to each consumer."""

    event: PublishedEvent
    steps: list[JourneyStep]


class DeadTask(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is a dead letter."""

    task_id: str
    consumer: str
    event_id: str | None
    event_type: str | None
    user_id: str | None
    attempt: int
    died_at: datetime
    error_type: str | None
    error_message: str | None


class DeadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters. Empty fields do not filter; `types` takes patterns (`defect.*`); `error`: an error's type."""

    consumer: Collection[str] = ()
    types: Sequence[str] = ()
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    task_ids: Collection[str] | None = None
    cursor: str | None = None
    limit: int = 50


class EventRoom(Protocol):
    """Reads how domain events fare. Raises JournalUnavailableError where PostgreSQL does not answer."""

    def figures(self, since: datetime) -> EventFigures:
        """Return the figures since a time (whole hours)."""
        ...

    def totals(self) -> list[Tally]:
        """Return the counts by type and consumer since the beginning, for Prometheus."""
        ...

    def published(self, *, types: Sequence[str] = (), before: int | None = None, limit: int = 50) -> PublishedPage:
        """Return domain events, the newest first; `types` takes patterns."""
        ...

    def journey(self, event_id: str) -> Journey | None:
        """Return the way of an event; None where the journal has none with this id."""
        ...

    def dead(self, query: DeadQuery) -> "tuple[list[DeadTask], str | None]":
        """Return dead letters, the latest first, and the cursor of the page after it."""
        ...


class Replayer(Protocol):
    """Puts dead letters back."""

    def replay(self, letters: Sequence[DeadTask], author: str, reason: str | None = None) -> list[str]:
        """Replay them; return the task ids of those that were. Raises BrokerUnavailableError."""
        ...
