"""Pause and resume: no worker takes from a paused queue, neither those that run nor those started later."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from control_fleet import ControlFleet
from servers import wait_for

from orakul.errors import WrongStateError
from orakul.tasks import Status
from orakul.tasks.orders import ALL_QUEUES


@pytest.fixture(params=["redis", "rabbitmq"])
def fleet(request: pytest.FixtureRequest, database_url: str, tmp_path: Path, spawn: Callable[..., Any]) -> ControlFleet:
    """A fleet on each broker."""
    return ControlFleet(database_url, request.getfixturevalue(f"{request.param}_url"), tmp_path, spawn)


@pytest.fixture
def redis_fleet(database_url: str, redis_url: str, tmp_path: Path, spawn: Callable[..., Any]) -> ControlFleet:
    """A fleet on Redis."""
    return ControlFleet(database_url, redis_url, tmp_path, spawn)


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_a_paused_queue_waits_and_others_go_on(fleet: ControlFleet, pool: str) -> None:
    worker = fleet.worker(pool, queues="celery,side")
    fleet.wait(fleet.send("quick", "first"), Status.COMPLETED)
    answer = fleet.control.pause("celery", author="ann", reason="the bank is away")
    assert (answer.queue, answer.paused, answer.changed, answer.paused_by) == ("celery", True, True, "ann")
    again = fleet.control.pause("celery", author="bob")
    assert (again.changed, again.paused_by) == (False, "ann")
    wait_for(lambda: "Queue celery is paused" in worker.text(), "the worker to stop", timeout=10)
    waiting = [fleet.send("quick", f"waiting{n}") for n in range(3)]
    fleet.wait(fleet.send("quick", "side", queue="side"), Status.COMPLETED)
    # A worker that is started now, and one that is started again, leave it alone as well.
    later = fleet.worker(pool, queues="celery,side")
    assert "Queue celery is paused" in later.text()
    fleet.wait(fleet.send("quick", "side2", queue="side"), Status.COMPLETED)
    time.sleep(2)
    assert [fleet.noted(f"waiting{n}") for n in range(3)] == [[], [], []]
    [paused] = fleet.reader.summary().paused_queues
    assert (paused.queue, paused.paused_by, paused.reason) == ("celery", "ann", "the bank is away")

    done = fleet.control.resume("celery", author="bob")
    assert (done.paused, done.changed) == (False, True)
    assert not fleet.control.resume("celery", author="bob").changed
    for task_id in waiting:
        fleet.wait(task_id, Status.COMPLETED, timeout=15)
    assert fleet.reader.summary().paused_queues == []
    authors = [e.event.user_id for e in fleet.reader.events(types=["queue.*"]).items]
    assert authors == ["ann", "bob"]


def test_what_a_worker_has_taken_and_not_begun_goes_back_when_its_queue_is_paused(fleet: ControlFleet) -> None:
    worker = fleet.worker(queues="celery,side")
    running = fleet.send("slow", "running", 4)
    fleet.wait(running, Status.IN_PROGRESS)
    taken = [fleet.send("quick", f"taken{n}") for n in range(3)]
    aside = fleet.send("quick", "aside", queue="side")
    for task_id in [*taken, aside][:3]:
        fleet.wait(task_id, Status.PENDING)
    fleet.control.pause("celery", author="ann")
    fleet.wait(running, Status.COMPLETED)
    fleet.wait(aside, Status.COMPLETED)
    time.sleep(1)
    assert [fleet.noted(f"taken{n}") for n in range(3)] == [[], [], []]
    # They are the broker's again: another worker, or the same later, runs each once.
    fleet.control.resume("celery", author="ann")
    for n, task_id in enumerate(taken):
        fleet.wait(task_id, Status.COMPLETED, timeout=20)
        assert fleet.noted(f"taken{n}") == ["ran"]
    fleet.wait(fleet.send("quick", "after"), Status.COMPLETED)
    assert worker.alive


def test_all_queues_are_paused_and_resumed_at_once(redis_fleet: ControlFleet) -> None:
    fleet = redis_fleet
    fleet.control.pause("side", author="ann")
    assert fleet.control.pause(None, author="ann").queue == ALL_QUEUES
    fleet.worker(queues="celery,side")  # one that consumes nothing at all starts and waits
    waiting = [fleet.send("quick", "one"), fleet.send("quick", "two", queue="side")]
    time.sleep(3)
    assert (fleet.noted("one"), fleet.noted("two")) == ([], [])
    with pytest.raises(WrongStateError, match="all queues are paused, by ann"):
        fleet.control.resume("celery", author="bob")
    assert fleet.control.resume(None, author="bob").changed
    for task_id in waiting:
        fleet.wait(task_id, Status.COMPLETED, timeout=15)
    assert fleet.orders.pauses() == []


def test_a_worker_without_the_database_obeys_what_the_server_repeats(redis_fleet: ControlFleet) -> None:
    fleet = redis_fleet
    del fleet.env["ORAKUL_DATABASE_URL"]
    worker = fleet.worker()
    fleet.control.pause("celery", author="ann")
    wait_for(lambda: "Queue celery is paused" in worker.text(), "the worker to stop", timeout=10)
    late = fleet.worker()
    assert "is paused" not in late.text()
    fleet.control.repeat_orders()
    wait_for(lambda: "Queue celery is paused" in late.text(), "the worker to hear of it", timeout=10)
    fleet.send("quick", "waiting")
    time.sleep(2)
    assert fleet.noted("waiting") == []
    fleet.control.resume("celery", author="ann")
    wait_for(lambda: fleet.noted("waiting") == ["ran"], "the task to run", timeout=10)
