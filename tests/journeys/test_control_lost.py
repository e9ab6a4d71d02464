"""Workers that die: nothing stays in progress for ever, and what the broker delivers again runs again."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from control_fleet import ControlFleet
from servers import Process, wait_for

from orakul.tasks import Status
from orakul.tasks.leases import Reaper

LEASE = 6.0


@pytest.fixture
def fleet(database_url: str, redis_url: str, tmp_path: Path, spawn: Callable[..., Any]) -> ControlFleet:
    """A fleet on Redis."""
    return ControlFleet(database_url, redis_url, tmp_path, spawn)


def sweep_until(reaper: Reaper, done: Callable[[], object], what: str) -> None:
    """Sweep as the server does, until something is so."""

    def swept() -> object:
        reaper.sweep()
        return done()

    wait_for(swept, what, timeout=60, every=1.0)


def kill(worker: Process) -> None:
    """End a worker as the kernel does when memory is short: all of it at once."""
    worker.kill9(group=True)


def test_the_tasks_of_a_killed_worker_fail_as_lost_and_can_be_retried(fleet: ControlFleet) -> None:
    doomed = fleet.worker(concurrency=2)
    spared = fleet.worker(queues="side")
    lost = [fleet.send("slow", f"lost{n}", 600) for n in range(2)]
    kept = fleet.send("slow", "kept", 30, queue="side")
    for task_id in [*lost, kept]:
        fleet.wait(task_id, Status.IN_PROGRESS)
    reapers = [Reaper(fleet.journal, fleet.orders, lease_seconds=LEASE) for _ in range(2)]
    kill(doomed)

    def ended() -> bool:
        reapers[1].sweep()
        return all(fleet.task(task_id).status is Status.FAILED for task_id in lost)  # type: ignore[union-attr]

    sweep_until(reapers[0], ended, "the lost tasks to be given up")
    for task_id in lost:
        task = fleet.wait(task_id, Status.FAILED)
        assert task.error is not None
        assert task.error.type == "WorkerLost"
        assert "worker lost" in task.error.message
        assert len([c for c in fleet.reader.history(task_id).items if c.status is Status.FAILED]) == 1
    assert fleet.wait(kept, Status.IN_PROGRESS, Status.COMPLETED).worker == spared.name

    fleet.worker()
    fleet.control.retry(lost[0], author="ann")
    fleet.wait(lost[0], Status.IN_PROGRESS, attempt=2)
    fleet.control.cancel(lost[0], author="ann")
    fleet.wait(lost[0], Status.CANCELLED, attempt=2)
    fleet.wait(kept, Status.COMPLETED, timeout=60)


def test_a_worker_started_again_under_its_name_does_not_hide_what_was_lost(fleet: ControlFleet) -> None:
    first = fleet.worker()
    lost = fleet.send("slow", "lost", 600)
    fleet.wait(lost, Status.IN_PROGRESS)
    kill(first)
    again = fleet.worker(name=first.name)
    assert again.name == first.name
    fresh = fleet.send("slow", "fresh", 40)
    fleet.wait(fresh, Status.IN_PROGRESS)
    reaper = Reaper(fleet.journal, fleet.orders, lease_seconds=LEASE)
    sweep_until(reaper, lambda: fleet.task(lost).status is Status.FAILED, "the lost task to be given up")  # type: ignore[union-attr]
    time.sleep(1)
    assert fleet.wait(fresh, Status.IN_PROGRESS, Status.COMPLETED).error is None
