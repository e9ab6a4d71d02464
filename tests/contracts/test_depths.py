"""How deep queues are by the brokers' own account: Redis and RabbitMQ say it, one that is away becomes a note."""

import socket
import threading
from typing import Any

import pytest
from kombu import Connection
from servers import wait_for

from orakul.errors import BrokerUnavailableError
from orakul.runners.celery.control import CeleryRunner
from orakul.runners.celery.management import management_of
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


def test_the_management_api_says_more(rabbitmq: Any, rabbitmq_url: str) -> None:
    if not hasattr(rabbitmq, "management_url"):
        pytest.skip("the RabbitMQ given from outside may have no management API")
    address = rabbitmq.management_url
    with Connection(rabbitmq_url) as connection:
        queue = connection.SimpleQueue("mail")
        for number in range(5):
            queue.put({"n": number})
        queue.get(timeout=10)  # in hand, not acknowledged
        runner: Any = CeleryRunner(rabbitmq_url, management=address)

        def told() -> QueueDepth | None:
            found = depths_of({"celery": runner}, ["mail", "none"])
            assert found["none"] == QueueDepth(depth=None, note="the broker has no such queue")
            mail = found["mail"]
            whole = mail.depth is not None and mail.unacknowledged and mail.depth + mail.unacknowledged == 5
            return mail if whole and mail.rate_in is not None else None

        mail = wait_for(told, "the figures of the management API", 30)
        assert mail.consumers == 1
        queue.close()

    refused: Any = CeleryRunner(rabbitmq_url, management=address.replace("//", "//stranger:wrong@"))
    wait_for(lambda: refused.depths(["mail"]) == {"mail": 5}, "AMQP telling where the management API refuses")
    off: Any = CeleryRunner(rabbitmq_url, management="off")
    assert off.depths(["mail"]) == {"mail": 5}


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n{}", b"HTTP/1.1 200 OK\r\n\r\n[1]", b"nonsense\r\n"])
def test_whatever_else_answers_at_that_port_is_no_answer(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(10_000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        management = management_of("amqp://127.0.0.1//", address)
        assert management is not None
        assert management.depths(["mail"]) is None
        thread.join()
    assert management.depths(["mail"]) is None, "and it is left alone for a while"


def test_the_management_api_is_looked_for_beside_rabbitmq_alone() -> None:
    assert management_of("redis://localhost/0", None) is None
    assert management_of("amqp://localhost//", "off") is None
    assert management_of("amqp://localhost//", None) is not None


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
