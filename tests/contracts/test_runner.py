"""The contract of runners, over every runner that the entry points name, against servers that are and are not there."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers import free_port

from orakul import extensions
from orakul.errors import BrokerUnavailableError, NotPossibleError
from orakul.events import utc_now
from orakul.settings import known, load_settings
from orakul.tasks import Cancellation, PausedQueue, Runner, Status, Task
from orakul.tasks.sealing import Sealer

NAMES = sorted(name for name in extensions.load_all("orakul.runners") if f"{name}.broker" in known())
INSIDE = sorted(set(extensions.names("orakul.runners")) - set(NAMES))
PATIENCE = 6.0


class NoFleet:
    """A fleet of which nothing is known."""

    def workers(self) -> list[Any]:
        return []

    def abandoned(self, lease_seconds: float, limit: int = 500) -> list[Any]:  # noqa: ARG002 (the contract's names)
        return []


def runner(name: str, broker: str, data: Path) -> Runner:
    settings = load_settings({"data": str(data), f"{name}.broker": broker})
    made = extensions.load_all("orakul.runners")[name](settings, Sealer("s" * 32), NoFleet())
    assert made is not None
    return made  # type: ignore[no-any-return]


def task() -> Task:
    return Task(
        task_id="t", kind="celery", status=Status.PENDING, attempt=2, created_at=utc_now(), updated_at=utc_now()
    )


ORDER = Cancellation(task_id="t", attempt=2, requested_at=utc_now())
PAUSE = PausedQueue(queue="q", paused_by="ann", paused_at=utc_now())
COMMANDS: dict[str, Callable[[Runner], None]] = {
    "cancel": lambda runner: runner.cancel(task(), ORDER),
    "pause": lambda runner: runner.pause("q"),
    "pause all": lambda runner: runner.pause("*"),
    "resume": lambda runner: runner.resume("q"),
    "repeat": lambda runner: runner.repeat([PAUSE], [ORDER]),
}


@pytest.mark.parametrize("name", NAMES)
def test_it_says_which_kind_of_task_it_runs(name: str, data_dir: Path, redis_url: str) -> None:
    assert runner(name, redis_url, data_dir).kind == name


@pytest.mark.parametrize("name", INSIDE)
def test_one_that_needs_no_broker_takes_every_order_and_no_foreign_message(name: str, data_dir: Path) -> None:
    settings = load_settings({"data": str(data_dir), "events.broker": "memory://here"})
    made = extensions.load("orakul.runners", name)(settings, Sealer("s" * 32), NoFleet())
    assert made.kind == name
    for command in COMMANDS.values():
        command(made)
    if getattr(made, "keeps_messages", False):
        return  # it has no need of what is sealed
    with pytest.raises(NotPossibleError):
        made.retry(task(), b"\x01 something that somebody else has sealed with care")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("broker", ["redis_url", "rabbitmq_url"])
@pytest.mark.parametrize("name", NAMES)
def test_an_order_to_a_fleet_where_nobody_listens_is_no_error(
    name: str, broker: str, command: str, data_dir: Path, request: pytest.FixtureRequest
) -> None:
    COMMANDS[command](runner(name, request.getfixturevalue(broker), data_dir))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("scheme", ["redis", "amqp"])
@pytest.mark.parametrize("name", NAMES)
def test_each_order_answers_within_seconds_where_there_is_no_broker(
    name: str, scheme: str, command: str, data_dir: Path
) -> None:
    away = runner(name, f"{scheme}://127.0.0.1:{free_port()}//", data_dir)
    began = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1"):
        COMMANDS[command](away)
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("name", NAMES)
def test_a_message_that_was_not_sealed_here_is_not_sent(name: str, data_dir: Path, redis_url: str) -> None:
    from redis import Redis

    with pytest.raises(NotPossibleError):
        runner(name, redis_url, data_dir).retry(task(), b"\x01 something that somebody else has sealed with care")
    with Redis.from_url(redis_url) as connection:
        assert connection.llen("celery") == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_password_of_the_broker_is_in_no_message(name: str, data_dir: Path) -> None:
    away = runner(name, f"redis://user:hunter2@127.0.0.1:{free_port()}/0", data_dir)
    with pytest.raises(BrokerUnavailableError) as caught:
        away.pause("q")
    assert "hunter2" not in str(caught.value)
