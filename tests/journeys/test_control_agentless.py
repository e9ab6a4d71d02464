"""`orakul watch celery`: a fleet that does not know Orakul, seen through its events."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from control_fleet import HERE, ControlFleet
from servers import Process, wait_for

from orakul.tasks import Status


class PlainFleet(ControlFleet):
    """A fleet of `plain_app`, with a watcher."""

    def watcher(self) -> Process:
        """Start `orakul watch celery`, and wait until it listens."""
        command = [str(Path(sys.executable).parent / "orakul"), "watch", "celery", "--broker", self.broker]
        process = self._spawn(command, env=self.env, log=self._log / f"watch-{time.time_ns()}.log")
        wait_for(lambda: "Watching" in process.text() or not process.alive, "the watcher", timeout=30)
        assert process.alive, process.text()
        return process

    def plain_worker(self, *more: str) -> Process:
        """Start a worker of the application that does not know Orakul; it sends no events by itself."""
        name = f"p{time.time_ns()}@test"
        command = [sys.executable, "-m", "celery", "-A", "plain_app", "worker", "-c", "2", "-n", name, "-l", "INFO"]
        process = self._spawn([*command, *more], env=self.env, log=self._log / f"{name}.log", cwd=HERE)
        wait_for(lambda: f"{name} ready" in process.text() or not process.alive, "the worker", timeout=60)
        assert process.alive, process.text()
        process.name = name
        return process

    def send_plain(self, name: str, *args: Any, **options: Any) -> str:
        return str(self.client.send_task(f"plain_app.{name}", args, ignore_result=True, **options).id)

    def send_until_seen(self) -> None:
        """Wait until the watcher sees tasks: events are on then."""

        def seen() -> bool:
            probe = self.send_plain("add", 0, 0)
            time.sleep(0.5)
            return self.task(probe) is not None

        wait_for(seen, "the events to be switched on", timeout=30)

    def gaps(self) -> list[Any]:
        return [stored.event for stored in self.reader.events(types=["watch.gap"]).items]


@pytest.fixture(params=["redis", "rabbitmq"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which broker."""
    return str(request.param)


@pytest.fixture
def fleet(
    kind: str, request: pytest.FixtureRequest, database_url: str, tmp_path: Path, spawn: Callable[..., Any]
) -> PlainFleet:
    """A fleet that does not know Orakul, on each broker."""
    return PlainFleet(database_url, request.getfixturevalue(f"{kind}_url"), tmp_path, spawn)


def test_tasks_of_workers_without_events_are_seen_with_their_right_ends(fleet: PlainFleet) -> None:
    worker = fleet.plain_worker()
    fleet.watcher()
    fleet.send_until_seen()
    done = fleet.send_plain("add", 2, 3, kwargs={"password": "hunter2", "note": "ü"})
    failed = fleet.send_plain("fail", "luck")
    retried = fleet.send_plain("again", "word")
    ignored = fleet.send_plain("ignored")
    napping = fleet.send_plain("nap", 3)

    task = fleet.wait(done, Status.COMPLETED)
    assert (task.name, task.kind, task.result, task.attempt) == ("plain_app.add", "celery", "5", 1)
    assert task.arguments == {"args": [2, 3], "kwargs": {"password": "•••", "note": "ü"}}
    task = fleet.wait(failed, Status.FAILED)
    assert task.error is not None
    assert (task.error.type, task.error.message) == ("ValueError", "no luck")
    assert "Traceback" in (task.error.traceback or "")
    assert fleet.wait(retried, Status.COMPLETED).attempt == 2
    assert fleet.wait(napping, Status.IN_PROGRESS).worker == worker.name
    fleet.wait(napping, Status.COMPLETED)
    [known] = fleet.orders.workers()
    assert (known.worker, known.status, known.facts["agentless"]) == (worker.name, "online", True)
    assert fleet.gaps() == []
    # `raise Ignore` ends in silence; the worker, when asked, does not have it any more.
    task = fleet.wait(ignored, Status.FAILED, timeout=60)
    assert task.error is not None
    assert task.error.type == "EndNotSeen"


def test_what_happens_while_the_watcher_is_away_is_kept_by_rabbitmq_and_missed_over_redis(
    fleet: PlainFleet, kind: str
) -> None:
    fleet.plain_worker("-E")
    watcher = fleet.watcher()
    fleet.send_until_seen()
    running = fleet.send_plain("nap", 30)
    fleet.wait(running, Status.IN_PROGRESS)
    assert watcher.stop() == 0, watcher.text()
    missed = [fleet.send_plain("add", 1, n) for n in range(20)]
    time.sleep(7)  # longer than Celery's own event queues keep anything
    fleet.watcher()
    fleet.wait(running, Status.COMPLETED, timeout=60)
    if kind == "rabbitmq":
        for task_id in missed:
            assert fleet.wait(task_id, Status.COMPLETED).result is not None
        assert fleet.gaps() == []
    else:
        [gap] = fleet.gaps()
        assert gap.data["from"] < gap.data["to"]
        assert [fleet.task(task_id) for task_id in missed] == [None] * 20


@pytest.mark.parametrize("kind", ["redis"], indirect=True)
def test_a_task_that_ended_while_nobody_watched_does_not_stay_in_progress(fleet: PlainFleet) -> None:
    fleet.plain_worker("-E")
    watcher = fleet.watcher()
    fleet.send_until_seen()
    running = fleet.send_plain("nap", 4)
    fleet.wait(running, Status.IN_PROGRESS)
    watcher.kill9()
    time.sleep(6)
    fleet.watcher()
    task = fleet.wait(running, Status.FAILED, timeout=60)
    assert task.error is not None
    assert task.error.type == "EndNotSeen"


@pytest.mark.parametrize("make", ["own_redis", "own_rabbitmq"])
def test_the_watcher_outlives_its_broker_and_says_what_it_could_not_see(
    make: str, request: pytest.FixtureRequest, database_url: str, tmp_path: Path, spawn: Callable[..., Any]
) -> None:
    server = request.getfixturevalue(make)()
    fleet = PlainFleet(database_url, server.url, tmp_path, spawn)
    fleet.plain_worker("-E")
    watcher = fleet.watcher()
    fleet.send_until_seen()
    server.stop()
    time.sleep(2)
    server.start()
    wait_for(lambda: watcher.text().count("Watching") >= 2, "the watcher to come back", timeout=40)
    fleet.client.close()
    fleet.send_until_seen()
    assert "could not be seen" in watcher.text()
    assert len(fleet.gaps()) == 1
    assert watcher.alive


def test_a_broker_that_is_not_there_is_tried_until_it_is(tmp_path: Path, spawn: Callable[..., Any]) -> None:
    env = {**os.environ, "ORAKUL_DATABASE_URL": "postgresql://127.0.0.1:1/none", "ORAKUL_DATA": str(tmp_path / "data")}
    command = [str(Path(sys.executable).parent / "orakul"), "watch", "celery", "--broker", "redis://127.0.0.1:1/0"]
    process = spawn(command, env=env, log=tmp_path / "watch.log")
    wait_for(lambda: "trying again" in process.text(), "it to say so", timeout=30)
    time.sleep(2)
    assert process.alive
    assert process.text().count("trying again") <= 2, "it says so once, not each time"
    assert process.stop() == 0
