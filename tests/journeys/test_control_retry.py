"""Retry: the same task, its next attempt, its original message; once."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from control_fleet import ControlFleet

from orakul.errors import NotPossibleError, TaskNotFoundError, WrongStateError
from orakul.events import utc_now
from orakul.tasks import Status

FAILED, COMPLETED, PENDING = Status.FAILED, Status.COMPLETED, Status.PENDING


@pytest.fixture(params=["redis", "rabbitmq"])
def fleet(request: pytest.FixtureRequest, database_url: str, tmp_path: Path, spawn: Callable[..., Any]) -> ControlFleet:
    """A fleet on each broker."""
    return ControlFleet(database_url, request.getfixturevalue(f"{request.param}_url"), tmp_path, spawn)


@pytest.fixture
def redis_fleet(database_url: str, redis_url: str, tmp_path: Path, spawn: Callable[..., Any]) -> ControlFleet:
    """A fleet on Redis."""
    return ControlFleet(database_url, redis_url, tmp_path, spawn)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_retry_runs_the_original_message_again_as_the_next_attempt(fleet: ControlFleet, pool: str) -> None:
    fleet.worker(pool, queues="celery,side")
    task_id = fleet.client.send_task(
        "control_app.flaky",
        ("a",),
        {"secret": "hunter2hunter2", "depth": {"deep": [1, 2.5, None, "ü"]}},
        queue="side",
        priority=3,
        headers={"x_house": "blue", "orakul_user": "7"},
        ignore_result=True,
    ).id
    first = fleet.wait(task_id, FAILED)
    assert (first.attempt, first.user_id) == (1, "7")
    fleet.make_good("a")

    answer = fleet.control.retry(task_id, author="ann", reason="the bank is back")
    assert (answer.task.status, answer.task.attempt) == (PENDING, 2)

    done = fleet.wait(task_id, COMPLETED, attempt=2)
    assert done.result == {
        "word": "a",
        "length": 14,
        "options": {"depth": {"deep": [1, 2.5, None, "ü"]}},
        "queue": "side",
        "priority": 3,
        "retries": 0,
        "house": "blue",
    }
    assert done.user_id == "7"
    assert len(fleet.noted("a")) == 2
    history = fleet.reader.history(task_id).items
    [asked] = [change for change in history if change.event_type == "task.retry_requested"]
    assert (asked.author, asked.reason) == ("ann", "the bank is back")
    assert [c.status for c in history if c.status] == [
        PENDING, Status.IN_PROGRESS, FAILED, PENDING, Status.IN_PROGRESS, COMPLETED,
    ]  # fmt: skip


def test_a_task_is_retried_as_often_as_it_fails_also_after_it_was_revoked(redis_fleet: ControlFleet) -> None:
    fleet = redis_fleet
    fleet.worker()
    task_id = fleet.send("flaky", "b")
    fleet.wait(task_id, FAILED, attempt=1)
    # The worker keeps revoked ids in its memory; a later retry is not what was revoked.
    fleet.client.control.revoke(task_id)
    time.sleep(0.5)
    fleet.control.retry(task_id, author="ann")
    fleet.wait(task_id, FAILED, attempt=2)
    fleet.make_good("b")
    fleet.control.retry(task_id, author="bob")
    fleet.wait(task_id, COMPLETED, attempt=3)
    with pytest.raises(WrongStateError, match="completed"):
        fleet.control.retry(task_id, author="ann")


def test_of_two_who_press_retry_at_once_one_is_told_that_it_is_pending(redis_fleet: ControlFleet) -> None:
    fleet = redis_fleet
    fleet.worker()
    task_id = fleet.send("flaky", "c")
    fleet.wait(task_id, FAILED)
    fleet.make_good("c")
    answers: list[object] = []
    start = threading.Barrier(4)

    def press(author: str) -> None:
        start.wait()
        try:
            answers.append(fleet.control.retry(task_id, author=author))
        except WrongStateError as error:
            answers.append(error)

    people = [threading.Thread(target=press, args=(f"admin{n}",)) for n in range(4)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert sum(not isinstance(answer, WrongStateError) for answer in answers) == 1
    fleet.wait(task_id, COMPLETED, attempt=2)
    time.sleep(0.5)
    assert len(fleet.noted("c")) == 2


def test_a_retry_is_for_the_owner_and_for_failed_tasks_with_a_kept_message(redis_fleet: ControlFleet) -> None:
    fleet = redis_fleet
    fleet.worker()
    task_id = fleet.send("flaky", "d", headers={"orakul_user": "7"})
    fleet.wait(task_id, FAILED)
    with pytest.raises(TaskNotFoundError):
        fleet.control.retry(task_id, author="8", owner="8")
    with pytest.raises(TaskNotFoundError):
        fleet.control.retry("nothing", author="8")
    fleet.env["ORAKUL_CELERY_KEEP_MESSAGES"] = "false"
    fleet.worker(queues="unkept")
    unkept = fleet.send("flaky", "e", queue="unkept")
    task = fleet.wait(unkept, FAILED)
    with pytest.raises(NotPossibleError, match="not kept"):
        fleet.control.retry(unkept, author="ann")
    assert "not kept" in (fleet.control.why_not_retry(task) or "")
    assert fleet.wait(unkept, FAILED).attempt == 1


_DIES = """
import os, signal, sys
from pathlib import Path
from orakul.journals.postgres import Connections, PostgresJournal, PostgresOrders, PostgresReader
from orakul.runners.celery.control import CeleryRunner
from orakul.tasks.control import Control
from orakul.tasks.sealing import Sealer, secret_in
database, broker, folder, task_id, when = sys.argv[1:]
class Dying(CeleryRunner):
    def retry(self, task, sealed):
        if when == "after":
            super().retry(task, sealed)
        os.kill(os.getpid(), signal.SIGKILL)
c = Connections(database)
o = PostgresOrders(c)
Control(PostgresJournal(c), PostgresReader(c), o, {"celery": Dying(broker, Sealer(secret_in(Path(folder))))}).retry(
    task_id, author="ann")
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_web_process_killed_in_a_retry_leaves_nothing_pending_for_ever(
    redis_fleet: ControlFleet, database_url: str, when: str
) -> None:
    fleet = redis_fleet
    worker = fleet.worker()
    task_id = fleet.send("flaky", "f")
    fleet.wait(task_id, FAILED)
    fleet.make_good("f")
    worker.stop()
    command = [sys.executable, "-c", _DIES, database_url, fleet.broker, str(fleet.data), task_id, when]
    done = subprocess.run(command, check=False)
    assert done.returncode == -signal.SIGKILL
    assert fleet.wait(task_id, PENDING).attempt == 2

    assert fleet.control.recover() == []  # it may still be on its way
    assert fleet.control.recover(utc_now() + timedelta(minutes=2)) == [(task_id, 2)]
    lost = fleet.wait(task_id, FAILED, attempt=2)
    assert lost.error is not None
    assert "retry again" in lost.error.message
    # Who retries again runs it once, whether or not the first message had gone out.
    fleet.control.retry(task_id, author="bob")
    fleet.worker()
    fleet.wait(task_id, COMPLETED, attempt=3)
    time.sleep(1)
    assert len(fleet.noted("f")) == 2
    assert fleet.wait(task_id, COMPLETED).attempt == 3
    assert fleet.control.recover(utc_now() + timedelta(minutes=2)) == []
