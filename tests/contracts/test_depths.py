"""How deep queues are by the brokers' own account: Redis and RabbitMQ say it, one that is away becomes a note."""

from typing import Any

import pytest
from kombu import Connection

from orakul.errors import BrokerUnavailableError
from orakul.runners.celery.control import CeleryRunner
from orakul.tasks.depths import QueueDepth, depths_of


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_the_broker_says_how_many_messages_wait(broker: str, request: pytest.FixtureRequest) -> None:
    url = str(request.getfixturevalue(f"{broker}_url"))
    with Connection(url) as connection:
        for name, count in (("mail", 3), ("slow", 1)):
            queue = connection.SimpleQueue(name)
            for number in range(count):
                queue.put({"n": number})
            queue.close()
    runner: Any = CeleryRunner(url)
    assert runner.depths(["mail", "slow", "none"]) == {
        "mail": 3,
        "slow": 1,
        "none": 0 if broker == "redis" else None,
    }
    found = depths_of({"celery": runner}, ["mail", "none"])
    assert found["mail"] == QueueDepth(depth=3)
    assert found["none"].depth == (0 if broker == "redis" else None)


def test_a_broker_that_is_away_is_a_note() -> None:
    runner: Any = CeleryRunner("redis://127.0.0.1:1/0")
    with pytest.raises(BrokerUnavailableError):
        runner.depths(["mail"])
    depth = depths_of({"celery": runner}, ["mail"])["mail"]
    assert depth.depth is None
    assert depth.note
    assert "127.0.0.1:1" in depth.note
    assert depths_of({}, ["mail"])["mail"].note
    assert depths_of({"celery": runner}, []) == {}
