"""Prometheus's text form of how domain events fare."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from orakul.delivery.room import EventFigures, EventRoom, Tally
from orakul.web.metrics import label

__all__ = ["event_exposition"]

_COUNTERS = (
    ("orakul_events_published_total", "published", "Domain events that the broker has confirmed."),
    ("orakul_events_unheard_total", "unheard", "Published events that no consumer listened to."),
)
_OF_CONSUMERS = (
    ("orakul_deliveries_total", "delivered", "Deliveries that a consumer has handled."),
    ("orakul_delivery_failures_total", "failed", "Attempts of deliveries that failed."),
    ("orakul_delivery_retries_total", "retried", "Failed attempts after which it is tried again."),
    ("orakul_dead_letters_total", "dead", "Deliveries that became dead letters."),
)


def event_exposition(events: EventRoom) -> str:
    """Return the metrics of domain events."""
    return "".join(f"{line}\n" for line in _lines(events.totals(), events.figures(datetime.now(UTC))))


def _lines(tallies: Sequence[Tally], figures: EventFigures) -> Iterator[str]:
    yield from _of_types(tallies)
    yield from _of_consumers([each for each in tallies if each.consumer])
    gauges = (
        ("orakul_outbox_waiting", "Events in the outbox, counted up to 10,000.", figures.outbox_waiting),
        ("orakul_outbox_oldest_seconds", "Age of the oldest event in the outbox.", _age(figures.outbox_oldest)),
        ("orakul_outbox_laid_aside", "Events that could not be relayed.", figures.outbox_dead),
        ("orakul_dead_letters", "Dead letters now, counted up to 10,000.", figures.dead_letters),
    )
    for name, said, value in gauges:
        yield from _head(name, "gauge", said)
        yield f"{name} {value}"


def _of_types(tallies: Sequence[Tally]) -> Iterator[str]:
    for name, field, said in _COUNTERS:
        yield from _head(name, "counter", said)
        for each in tallies:
            if not each.consumer:
                yield f'{name}{{type="{label(each.event_type or "")}"}} {getattr(each, field)}'


def _of_consumers(tallies: Sequence[Tally]) -> Iterator[str]:
    for name, field, said in _OF_CONSUMERS:
        yield from _head(name, "counter", said)
        for each in tallies:
            yield f"{name}{_labels(each)} {getattr(each, field)}"
    yield from _head("orakul_deliveries_waiting", "gauge", "Deliveries known and not ended, counted up to 10,000.")
    for each in tallies:
        yield f"orakul_deliveries_waiting{_labels(each)} {each.waiting}"
    yield from _head("orakul_delivery_oldest_seconds", "gauge", "Age of the oldest delivery that has not ended.")
    for each in tallies:
        if each.oldest is not None:
            yield f"orakul_delivery_oldest_seconds{_labels(each)} {_age(each.oldest):.3f}"


def _head(name: str, kind: str, said: str) -> Iterator[str]:
    yield f"# HELP {name} {said}"
    yield f"# TYPE {name} {kind}"


def _labels(tally: Tally) -> str:
    return f'{{consumer="{label(tally.consumer or "")}",type="{label(tally.event_type or "")}"}}'


def _age(since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (datetime.now(UTC) - since).total_seconds())
