"""Running an ended task again with other arguments: a new task, its origin named, its secrets kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from control_fleet import ControlFleet

from orakul.errors import BrokerUnavailableError, NotPossibleError, TaskNotFoundError, WrongStateError
from orakul.runners.celery.control import CeleryRunner
from orakul.tasks import Status, TaskQuery
from orakul.tasks.edited import EditedRuns
from orakul.tasks.masking import MASK, Masks
from orakul.tasks.sealing import Sealer, secret_in

FAILED, COMPLETED = Status.FAILED, Status.COMPLETED


@pytest.fixture
def fleet(database_url: str, redis_url: str, tmp_path: Path, spawn: Callable[..., Any]) -> ControlFleet:
    return ControlFleet(database_url, redis_url, tmp_path, spawn)


def runs_of(fleet: ControlFleet, broker: str | None = None) -> EditedRuns:
    sealer = Sealer(secret_in(fleet.data))
    runner = CeleryRunner(broker or fleet.broker, sealer, fleet=fleet.orders, masks=Masks(["secret"]))
    return EditedRuns(fleet.journal, fleet.reader, fleet.orders, {"celery": runner})


def test_an_edited_run_is_a_new_task_of_the_same_owner_and_both_histories_say_so(fleet: ControlFleet) -> None:
    fleet.worker(queues="celery,side")
    task_id = fleet.client.send_task(
        "control_app.flaky",
        ("bad",),
        {"secret": "hunter2hunter2", "depth": {"deep": [1, "ü"]}},
        priority=3,
        headers={"x_house": "blue", "orakul_user": "7"},
        ignore_result=True,
    ).id
    fleet.wait(task_id, FAILED)
    fleet.make_good("good")
    runs = runs_of(fleet)
    shown = runs.arguments(task_id)
    assert shown == {"args": ["bad"], "kwargs": {"secret": MASK, "depth": {"deep": [1, "ü"]}}}

    kwargs = {**shown["kwargs"], "depth": {"deep": [2]}}
    made = runs.run(
        task_id, {"args": ["good"], "kwargs": kwargs}, author="ann", owner="7", queue="side", reason="a typo"
    )
    assert made.task_id != task_id
    done = fleet.wait(made.task_id, COMPLETED)
    assert done.result == {
        "word": "good",
        "length": 14,  # the secret that was left alone is what it was
        "options": {"depth": {"deep": [2]}},
        "queue": "side",
        "priority": 3,
        "retries": 0,
        "house": "blue",
    }
    assert (done.user_id, done.attempt, done.name) == ("7", 1, "control_app.flaky")
    assert "hunter2" not in str(done.arguments)
    [asked] = [each for each in fleet.reader.history(task_id).items if each.status is None]
    assert (asked.event_type, asked.author, asked.reason, asked.made) == (
        "task.run_requested", "ann", "a typo", made.task_id,
    )  # fmt: skip
    first = fleet.reader.history(made.task_id).items[0]
    assert (first.status, first.origin, first.author) == (Status.PENDING, task_id, "ann")
    assert fleet.wait(task_id, FAILED).attempt == 1


def test_an_edited_run_that_fails_is_retried_with_its_own_arguments(fleet: ControlFleet) -> None:
    fleet.worker()
    task_id = fleet.send("flaky", "one")
    fleet.wait(task_id, FAILED)
    made = runs_of(fleet).run(task_id, {"args": ["two"], "kwargs": {}}, author="ann")
    fleet.wait(made.task_id, FAILED)
    fleet.make_good("two")
    fleet.control.retry(made.task_id, author="ann")
    fleet.wait(made.task_id, COMPLETED, attempt=2)
    assert len(fleet.noted("two")) == 2
    assert len(fleet.noted("one")) == 1


def test_what_cannot_be_edited_says_why(fleet: ControlFleet) -> None:
    fleet.worker()
    runs = runs_of(fleet)
    task_id = fleet.client.send_task(
        "control_app.flaky", ("three",), {"secret": "hunter2hunter2"}, headers={"orakul_user": "7"}, ignore_result=True
    ).id
    fleet.wait(task_id, FAILED)
    with pytest.raises(TaskNotFoundError):
        runs.run(task_id, {"args": [], "kwargs": {}}, author="8", owner="8")
    with pytest.raises(NotPossibleError, match="whole value"):
        runs.run(task_id, {"args": [MASK], "kwargs": {}}, author="7")
    fleet.make_good("four")
    done = fleet.send("flaky", "four")
    fleet.wait(done, COMPLETED)
    with pytest.raises(NotPossibleError, match="not kept"):
        runs.arguments(done)
    [waiting] = fleet.publish("quick", "five", queue="nobody")
    with pytest.raises(WrongStateError, match="pending"):
        runs.run(waiting, {"args": [], "kwargs": {}}, author="7")


def test_a_broker_that_is_away_leaves_a_failed_task_that_may_be_retried(fleet: ControlFleet) -> None:
    fleet.worker()
    task_id = fleet.send("flaky", "six")
    fleet.wait(task_id, FAILED)
    with pytest.raises(BrokerUnavailableError):
        runs_of(fleet, "redis://127.0.0.1:1/0").run(task_id, {"args": ["seven"], "kwargs": {}}, author="ann")
    [made] = [task for task in fleet.reader.tasks(TaskQuery()).items if task.task_id != task_id]
    assert made.status is FAILED
    assert made.error is not None
    assert "could not be sent" in made.error.message
    fleet.make_good("seven")
    fleet.control.retry(made.task_id, author="ann")
    fleet.wait(made.task_id, COMPLETED, attempt=2)
