"""The control room's own figures for metrics: asked of the journal at most every few seconds, and in bounded time.

A collection asks group after group until its time is up; what it did not come to, or what failed, is absent for a while
and counted in `orakul_scrape_errors_total`. While the journal is away nothing of it is told but `orakul_journal_up` 0.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from orakul.errors import UnavailableError
from orakul.instruments import LEFT_OUT, counter, gauge
from orakul.tasks.fleet_figures import Waiting
from orakul.tasks.orders import ALL_QUEUES
from orakul.tasks.room import Spread
from orakul.web.event_metrics import EVENT_METRICS, events_told
from orakul.web.parts import Parts
from orakul.web.stream.app import StreamApp

__all__ = ["FLEET_METRICS", "FleetMetrics", "Metric"]

_log = logging.getLogger("orakul.metrics")

_FRESH = 4.0
_BUDGET = 2.5
_GROUPS = ("header", "cursors", "fleet", "queues", "recent", "events", "reactions")
_MOST_NAMES = 60
_MOST_QUEUES = 100
_PERCENTILES = ("50", "95", "99")

Told = dict[str, dict[tuple[str, ...], float]]


class Metric(NamedTuple):
    """A figure that is read from the journal."""

    name: str
    said: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


_RECENTLY = "in this minute and the four before"
FLEET_METRICS = (
    Metric("orakul_journal_up", "1 where the journal answers."),
    Metric("orakul_journal_seq", "The last number that the journal gave."),
    Metric("orakul_journal_lock_waiting", "Sessions that wait for the journal's lock, or another of its kind."),
    Metric("orakul_cursor_lag_events", "How many numbers of the journal a reader is behind.", ("cursor",)),
    Metric("orakul_tasks", "Tasks now, by status; counted up to 10,000.", ("status",)),
    Metric("orakul_tasks_failed_ratio", "Failed of all tasks that ended in 24 hours, 0 to 1."),
    Metric("orakul_tasks_mean_duration_seconds", "Mean time from start to end of the tasks that ended in 24 hours."),
    Metric("orakul_tasks_recent", f"Tasks that came to a status {_RECENTLY}.", ("name", "queue", "status")),
    Metric(
        "orakul_tasks_recent_duration_seconds",
        f"Time from start to end of the tasks that ended {_RECENTLY}.",
        ("name", "queue", "percentile"),
    ),
    Metric(
        "orakul_tasks_recent_waiting_seconds",
        f"Time that the tasks had waited that began {_RECENTLY}.",
        ("name", "queue", "percentile"),
    ),
    Metric("orakul_queue_tasks", "Tasks of a queue now; counted up to 10,000.", ("queue", "status")),
    Metric("orakul_queue_oldest_seconds", "How long the oldest task of a queue has been waiting.", ("queue",)),
    Metric("orakul_queue_messages", "Messages that wait in a queue, as the broker says.", ("queue",)),
    Metric("orakul_queue_paused", "1 where a queue is paused.", ("queue",)),
    Metric("orakul_workers", "Workers seen in the last day.", ("kind", "status")),
    Metric("orakul_workers_concurrency", "How many tasks the workers that are online can run at once.", ("kind",)),
    Metric("orakul_reactions_waiting", "Messages of reactions that wait; counted up to 10,000.", ("notifier",)),
    Metric("orakul_reactions_oldest_seconds", "How long the oldest of those has been due.", ("notifier",)),
    *(Metric(*each) for each in EVENT_METRICS),
)


class FleetMetrics:
    """Lets the instruments tell of one control room as long as it lives."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._turn = threading.Lock()
        self._looked = float("-inf")
        self._told: Told = {}
        for group in _GROUPS:  # from zero on, so that the first one is seen to be one more
            LEFT_OUT.add(0, group)
        self._readers = [_Reader(self, each.name) for each in FLEET_METRICS]
        for metric, reader in zip(FLEET_METRICS, self._readers, strict=True):
            if metric.kind == "counter":
                counter(metric.name, metric.said, metric.labels, read=reader.read, most=500)
            else:
                gauge(metric.name, metric.said, reader.read, metric.labels, merge="max", most=500)

    def told(self, name: str) -> Mapping[tuple[str, ...], float] | None:
        """Return what is known of a figure, asked anew where it is a few seconds old."""
        with self._turn:
            if time.monotonic() - self._looked > _FRESH:
                self._told = self._look()
                self._looked = time.monotonic()
        return self._told.get(name)

    def _look(self) -> Told:
        end = time.monotonic() + _BUDGET
        told: Told = {"orakul_journal_up": {(): 1}}
        for group in _GROUPS:
            if time.monotonic() > end:
                LEFT_OUT.add(1, group)
                continue
            try:
                for name, values, figure in getattr(self, f"_{group}")():
                    if figure is not None:
                        told.setdefault(name, {})[values] = figure
            except UnavailableError as error:
                LEFT_OUT.add(1, group)
                _log.debug("the figures of %s are left out: %s", group, error)
                if group == "header":
                    return {"orakul_journal_up": {(): 0}}
            except Exception:  # noqa: BLE001 (one group that fails is no reason to hide the others)
                LEFT_OUT.add(1, group)
                _log.warning("the figures of %s cannot be read", group, exc_info=True)
        return told

    # -- the groups

    def _header(self) -> "Figures":
        summary = self._parts.reader.summary()
        yield "orakul_tasks", ("pending",), summary.queued
        yield "orakul_tasks", ("in_progress",), summary.active
        yield "orakul_tasks_failed_ratio", (), summary.failure_rate_24h
        yield "orakul_tasks_mean_duration_seconds", (), summary.mean_duration_24h
        yield "orakul_journal_seq", (), summary.seq

    def _cursors(self) -> "Figures":
        if self._parts.figures is None:
            return
        cursors = self._parts.figures.cursors()
        readers = dict(cursors.readers)
        stream = self._parts.stream
        if isinstance(stream, StreamApp) and (position := stream.hub.position) is not None:
            readers["stream"] = position
        for name, seq in readers.items():
            yield "orakul_cursor_lag_events", (name,), max(0, cursors.newest - seq)
        yield "orakul_journal_lock_waiting", (), cursors.lock_waiting

    def _fleet(self) -> "Figures":
        silent = datetime.now(UTC) - timedelta(seconds=self._parts.settings.lease_seconds)
        counts: dict[tuple[str, str], int] = {}
        concurrency: dict[str, int] = {}
        for worker in self._parts.fleet.workers():
            status = "silent" if worker.status == "online" and worker.last_seen < silent else worker.status
            counts[worker.kind, status] = counts.get((worker.kind, status), 0) + 1
            if status == "online":
                concurrency[worker.kind] = concurrency.get(worker.kind, 0) + (worker.concurrency or 0)
        for kind in sorted({kind for kind, _ in counts}):
            for status in ("online", "silent", "offline"):
                yield "orakul_workers", (kind, status), counts.get((kind, status), 0)
        for kind, slots in concurrency.items():
            yield "orakul_workers_concurrency", (kind,), slots

    def _queues(self) -> "Figures":
        queues = sorted(self._parts.reader.queues(), key=lambda each: -each["pending"])[:_MOST_QUEUES]
        for each in queues:
            yield "orakul_queue_tasks", (each["queue"], "pending"), each["pending"]
            yield "orakul_queue_tasks", (each["queue"], "in_progress"), each["in_progress"]
            yield "orakul_queue_paused", (each["queue"],), int(each["paused"])
        names = [each["queue"] for each in queues if each["queue"] != ALL_QUEUES]
        if self._parts.room is not None:
            for name, figures in self._parts.room.queue_figures(names).items():
                yield "orakul_queue_oldest_seconds", (name,), _age(figures.oldest_waiting_at)
        depths = self._parts.depths(names) if self._parts.depths else {}
        for name, depth in depths.items():
            yield "orakul_queue_messages", (name,), depth.depth

    def _recent(self) -> "Figures":
        if self._parts.figures is None:
            return
        for each in self._parts.figures.recent(_MOST_NAMES):
            key = (each.name, each.queue)
            for status, count in each.counts.items():
                yield "orakul_tasks_recent", (*key, status), count
            for percentile, duration, waiting in zip(_PERCENTILES, _of(each.duration), _of(each.waiting), strict=True):
                yield "orakul_tasks_recent_duration_seconds", (*key, percentile), duration
                yield "orakul_tasks_recent_waiting_seconds", (*key, percentile), waiting

    def _events(self) -> "Figures":
        if self._parts.events is not None:
            yield from events_told(self._parts.events)

    def _reactions(self) -> "Figures":
        if self._parts.figures is None:
            return
        known = self._parts.rules.notifier_names() if self._parts.rules is not None else ()
        nothing = Waiting(count=0, due_at=None)
        for notifier, waiting in (dict.fromkeys(known, nothing) | dict(self._parts.figures.reactions())).items():
            yield "orakul_reactions_waiting", (notifier,), waiting.count
            yield "orakul_reactions_oldest_seconds", (notifier,), _age(waiting.due_at)


Figures = Iterator[tuple[str, tuple[str, ...], float | None]]


class _Reader:
    """One figure's reader: the instruments hold it weakly, and the control room itself."""

    def __init__(self, metrics: FleetMetrics, name: str) -> None:
        self._metrics, self._name = metrics, name

    def read(self) -> Any:
        return self._metrics.told(self._name)


def _age(since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (datetime.now(UTC) - since).total_seconds())


def _of(spread: Spread) -> list[float | None]:
    return [None if each is None else each / 1000 for each in (spread.p50, spread.p95, spread.p99)]
