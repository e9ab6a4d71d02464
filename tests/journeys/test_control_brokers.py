"""Commands while something is away: a clear answer within seconds, and a true state."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from control_fleet import ControlFleet
from servers import free_port

from orakul.errors import BrokerUnavailableError, JournalUnavailableError
from orakul.events import Event
from orakul.runners.celery.control import CeleryRunner
from orakul.tasks import Status
from orakul.tasks.control import Control
from orakul.tasks.sealing import Sealer, secret_in

PATIENCE = 6.0


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        taken: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield listener.getsockname()[1]
    for connection in taken:
        connection.close()


@pytest.fixture
def fleet(database_url: str, redis_url: str, tmp_path: Path, spawn: Callable[..., Any]) -> ControlFleet:
    """A fleet on Redis."""
    return ControlFleet(database_url, redis_url, tmp_path, spawn)


def failed_task(fleet: ControlFleet) -> str:
    """Run a task that fails; return its id."""
    fleet.worker()
    task_id = fleet.send("flaky", "a")
    fleet.wait(task_id, Status.FAILED)
    return task_id


def quickly(do: Callable[[], Any]) -> Any:
    """Do it, and hold it to answering within a few seconds."""
    began = time.monotonic()
    try:
        return do()
    finally:
        assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("scheme", ["redis://127.0.0.1:{}/0", "amqp://guest:guest@127.0.0.1:{}//"])
def test_every_command_answers_within_seconds_when_the_broker_does_not(
    fleet: ControlFleet, black_hole: int, scheme: str
) -> None:
    task_id = failed_task(fleet)
    attempt = 1
    for port in (free_port(), black_hole):
        control = fleet.control_of(scheme.format(port))
        with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1"):
            quickly(lambda: control.retry(task_id, author="ann"))  # noqa: B023 (called at once)
        attempt += 1
        task = fleet.wait(task_id, Status.FAILED, attempt=attempt)
        assert task.error is not None
        assert "could not be sent" in task.error.message

        answer = quickly(lambda: control.pause("side", author="ann"))  # noqa: B023 (called at once)
        assert (answer.paused, answer.delivered) == (True, False)
        assert "will be repeated" in answer.note
        assert [pause.queue for pause in fleet.orders.pauses()] == ["side"]
        quickly(lambda: control.resume("side", author="ann"))  # noqa: B023 (called at once)

        running = fleet.send("slow", f"slow{port}", 60)
        fleet.wait(running, Status.IN_PROGRESS)
        answer = quickly(lambda: control.cancel(running, author="ann"))  # noqa: B023 (called at once)
        assert not answer.delivered
        # The order holds all the same: the worker reads it by itself.
        fleet.wait(running, Status.CANCELLED, timeout=15)
    fleet.make_good("a")
    fleet.control.retry(task_id, author="ann")
    fleet.wait(task_id, Status.COMPLETED, attempt=attempt + 1)
    assert len(fleet.noted("a")) == 2, "of the retries that could not be sent none ran"


def test_a_frozen_rabbitmq_is_not_waited_for(
    database_url: str, own_rabbitmq: Callable[[], Any], tmp_path: Path, spawn: Callable[..., Any]
) -> None:
    server = own_rabbitmq()
    fleet = ControlFleet(database_url, server.url, tmp_path, spawn)
    task_id = failed_task(fleet)
    fleet.make_good("a")
    server.freeze()
    with pytest.raises(BrokerUnavailableError):
        quickly(lambda: fleet.control.retry(task_id, author="ann"))
    fleet.wait(task_id, Status.FAILED, attempt=2)
    server.thaw()
    time.sleep(2)
    server.stop()
    with pytest.raises(BrokerUnavailableError):
        quickly(lambda: fleet.control.retry(task_id, author="ann"))
    fleet.wait(task_id, Status.FAILED, attempt=3)
    server.start()
    fleet.control.retry(task_id, author="ann")
    fleet.wait(task_id, Status.COMPLETED, attempt=4, timeout=60)
    time.sleep(1)
    assert len(fleet.noted("a")) == 2, "what the frozen broker did not confirm did not run beside it"


def test_a_queue_that_is_gone_is_told_and_the_attempt_has_failed(
    database_url: str, rabbitmq_url: str, tmp_path: Path, spawn: Callable[..., Any]
) -> None:
    fleet = ControlFleet(database_url, rabbitmq_url, tmp_path, spawn)
    worker = fleet.worker(queues="passing")
    task_id = fleet.send("flaky", "a", queue="passing")
    fleet.wait(task_id, Status.FAILED)
    worker.stop()
    with fleet.client.connection_for_write() as connection:
        connection.default_channel.queue_delete("passing")
    with pytest.raises(Exception, match=r"no way|not sent|could not"):
        fleet.control.retry(task_id, author="ann")
    assert fleet.wait(task_id, Status.FAILED).attempt == 2


def test_without_the_journal_nothing_is_commanded(
    own_postgres: Callable[[], Any], redis_url: str, tmp_path: Path
) -> None:
    from orakul.journals.postgres import Connections, PostgresJournal, PostgresOrders, PostgresReader, migrations

    server = own_postgres()
    migrations.upgrade(server.url)
    connections = Connections(server.url)
    journal, orders = PostgresJournal(connections), PostgresOrders(connections)
    runner = CeleryRunner(redis_url, Sealer(secret_in(tmp_path)), fleet=orders)
    control = Control(journal, PostgresReader(connections), orders, {"celery": runner})
    journal.append([Event(event_type="task.in_progress", task_id="t", data={"kind": "celery", "attempt": 1})])
    server.kill9()
    for command in (
        lambda: control.retry("t", author="ann"),
        lambda: control.cancel("t", author="ann"),
        lambda: control.pause("celery", author="ann"),
        lambda: control.resume("celery", author="ann"),
    ):
        with pytest.raises(JournalUnavailableError):
            quickly(command)
    server.start()
    assert orders.pauses() == []
    assert orders.cancellations() == []
