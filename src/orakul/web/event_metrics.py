"""How domain events fare, for metrics."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from orakul.delivery.room import EventRoom, Tally

__all__ = ["EVENT_METRICS", "events_told"]

_BOTH = ("consumer", "type")
_OF_TYPES = (
    ("orakul_events_published_total", "published", "Domain events that the broker has confirmed."),
    ("orakul_events_unheard_total", "unheard", "Published events that no consumer listened to."),
)
_OF_CONSUMERS = (
    ("orakul_deliveries_total", "delivered", "Deliveries that a consumer has handled."),
    ("orakul_delivery_failures_total", "failed", "Attempts of deliveries that failed."),
    ("orakul_delivery_retries_total", "retried", "Failed attempts after which it is tried again."),
    ("orakul_dead_letters_total", "dead", "Deliveries that became dead letters."),
)
_GAUGES = (
    ("orakul_outbox_waiting", "Events in the outbox, counted up to 10,000."),
    ("orakul_outbox_oldest_seconds", "Age of the oldest event in the outbox."),
    ("orakul_outbox_laid_aside", "Events that could not be relayed, counted up to 10,000."),
    ("orakul_dead_letters", "Dead letters now, counted up to 10,000."),
)
EVENT_METRICS: tuple[tuple[str, str, tuple[str, ...], Literal["gauge", "counter"]], ...] = (
    *((name, said, ("type",), "counter") for name, _, said in _OF_TYPES),
    *((name, said, _BOTH, "counter") for name, _, said in _OF_CONSUMERS),
    ("orakul_deliveries_waiting", "Deliveries known and not ended, counted up to 10,000.", _BOTH, "gauge"),
    ("orakul_delivery_oldest_seconds", "Age of the oldest delivery that has not ended.", _BOTH, "gauge"),
    *((name, said, (), "gauge") for name, said in _GAUGES),
)
"""Name, meaning, labels and kind of each."""


def events_told(events: EventRoom) -> Iterator[tuple[str, tuple[str, ...], float | None]]:
    """Give the figures: name, values of the labels, figure."""
    for each in events.totals():
        yield from _of_tally(each)
    figures = events.figures(datetime.now(UTC))
    yield "orakul_outbox_waiting", (), figures.outbox_waiting
    yield "orakul_outbox_oldest_seconds", (), _age(figures.outbox_oldest)
    yield "orakul_outbox_laid_aside", (), figures.outbox_dead
    yield "orakul_dead_letters", (), figures.dead_letters


def _of_tally(tally: Tally) -> Iterator[tuple[str, tuple[str, ...], float | None]]:
    event_type = tally.event_type or ""
    if not tally.consumer:
        for name, field, _ in _OF_TYPES:
            yield name, (event_type,), getattr(tally, field)
        return
    key = (tally.consumer, event_type)
    for name, field, _ in _OF_CONSUMERS:
        yield name, key, getattr(tally, field)
    yield "orakul_deliveries_waiting", key, tally.waiting
    yield "orakul_delivery_oldest_seconds", key, _age(tally.oldest)


def _age(since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (datetime.now(UTC) - since).total_seconds())
