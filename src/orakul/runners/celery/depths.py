"""How many messages wait in a queue, as the broker itself says: a passive declaration, which changes nothing."""

from collections.abc import Sequence
from typing import Any

from kombu import Connection

from orakul.runners.celery.broker import Broker

__all__ = ["broker_depths"]

_SECONDS = 2.0


def broker_depths(broker: Broker, queues: Sequence[str]) -> dict[str, int | None]:
    """Return the depth of each queue, None for one that the broker does not know; BrokerUnavailableError in time."""
    found: dict[str, int | None] = {}

    def talk(connection: Connection, given: Any) -> None:
        amqp = connection.transport.driver_type == "amqp"
        for queue in queues:
            given.check()
            channel: Any = connection.channel()  # a refusal closes an AMQP channel
            try:
                found[queue] = channel.queue_declare(queue, passive=True).message_count
            except connection.channel_errors:
                # In Redis an empty list does not exist.
                found[queue] = None if amqp else 0
            finally:
                _close(channel)

    broker.talk(talk, _SECONDS)
    return dict(found)


def _close(channel: Any) -> None:
    if getattr(channel, "is_open", True):
        channel.close()
