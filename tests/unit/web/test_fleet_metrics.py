"""What is asked of the journal for metrics takes bounded time, and what fails hides nothing else."""

import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from orakul.errors import JournalUnavailableError
from orakul.instruments import LEFT_OUT
from orakul.tasks import Summary
from orakul.tasks.depths import QueueDepth
from orakul.tasks.fleet_figures import Cursors, RecentTasks, Waiting
from orakul.tasks.room import Spread
from orakul.web import fleet_metrics
from orakul.web.fleet_metrics import FleetMetrics


class Reader:
    """A journal with one queue; `trouble` is raised by what is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.trouble: Exception | None = None

    def summary(self) -> Summary:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        return Summary(queued=3, active=2, capped=False, failure_rate_24h=0.25, mean_duration_24h=None,
                       paused_queues=[], seq=100)  # fmt: skip

    def queues(self) -> list[dict[str, Any]]:
        return [{"queue": f"q{n}", "pending": n, "in_progress": 0, "paused": n == 1} for n in range(300)]


class Figures:
    """The journal's other figures."""

    def __init__(self) -> None:
        self.pause = 0.0

    def recent(self, most: int) -> list[RecentTasks]:
        assert most <= 100
        counts = {"completed": 5, "failed": 1}
        spread = Spread(p50=100.0, p95=200.0, p99=None)
        return [RecentTasks(name="a", queue="q", counts=counts, duration=spread, waiting=Spread())]

    def cursors(self) -> Cursors:
        time.sleep(self.pause)
        return Cursors(newest=100, readers={"reactions": 90}, lock_waiting=0)

    def reactions(self) -> Mapping[str, Waiting]:
        raise ZeroDivisionError


def parts(reader: Reader, figures: Figures) -> Any:
    return SimpleNamespace(
        reader=reader,
        figures=figures,
        fleet=SimpleNamespace(workers=list),
        settings=SimpleNamespace(lease_seconds=30.0),
        room=None,
        stream=None,
        events=None,
        rules=None,
        depths=lambda queues: {queue: QueueDepth(depth=None) for queue in queues},
    )


def left_out(group: str) -> float:
    figure = LEFT_OUT.snapshot().samples[group,]
    assert isinstance(figure, int)
    return figure


def test_a_group_that_fails_is_left_out_counted_and_hides_no_other() -> None:
    metrics = FleetMetrics(parts(Reader(), Figures()))
    before = left_out("reactions")
    assert metrics.told("orakul_tasks") == {("pending",): 3, ("in_progress",): 2}
    assert metrics.told("orakul_tasks_mean_duration_seconds") is None
    assert metrics.told("orakul_cursor_lag_events") == {("reactions",): 10}
    assert metrics.told("orakul_tasks_recent") == {("a", "q", "completed"): 5, ("a", "q", "failed"): 1}
    assert metrics.told("orakul_tasks_recent_duration_seconds") == {("a", "q", "50"): 0.1, ("a", "q", "95"): 0.2}
    assert metrics.told("orakul_reactions_waiting") is None
    assert left_out("reactions") == before + 1


def test_only_the_fullest_queues_are_told() -> None:
    told = FleetMetrics(parts(Reader(), Figures())).told("orakul_queue_tasks")
    assert told is not None
    assert len({queue for queue, _ in told}) == 100
    assert told["q299", "pending"] == 299


def test_the_journal_is_asked_once_in_a_while_however_often_it_is_scraped() -> None:
    reader = Reader()
    metrics = FleetMetrics(parts(reader, Figures()))
    for _ in range(50):
        metrics.told("orakul_tasks")
    assert reader.asked == 1


def test_when_the_time_is_up_the_rest_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_metrics, "_BUDGET", 0.01)
    figures = Figures()
    figures.pause = 0.05
    metrics = FleetMetrics(parts(Reader(), figures))
    before = left_out("queues")
    assert metrics.told("orakul_cursor_lag_events") == {("reactions",): 10}
    assert metrics.told("orakul_queue_tasks") is None
    assert left_out("queues") == before + 1


def test_a_journal_that_is_away_is_said_to_be_and_asked_no_more() -> None:
    reader, figures = Reader(), Figures()
    reader.trouble = JournalUnavailableError("PostgreSQL does not answer")
    metrics = FleetMetrics(parts(reader, figures))
    assert metrics.told("orakul_journal_up") == {(): 0}
    assert metrics.told("orakul_cursor_lag_events") is None
