"""RabbitMQ: `amqp://user:password@host:5672/vhost?exchange=events`.

| in RabbitMQ | is |
| --- | --- |
| exchange `events` | topic, durable: whatever is published, routing key = type, persistent, mandatory, confirmed |
| queue `<consumer>` | durable, bound by the consumer's patterns; with `ordered` a single active consumer |
| queue `<consumer>.retry.<ms>` | put off: a message expires from it, after its own delay, into the consumer's queue |
| queue `<consumer>.dead` | dead letters, with the reason in their headers |

A queue for delays serves those from its time up to twice that, as a message expires only at a queue's head: a delay may
thus come out up to twice as long as it was asked for, never shorter. The CloudEvents attributes are headers
`cloudEvents:…`; `message_id` is the event's id and `type` its type, as consumers of other makes expect. Patterns are
only ever added to a queue's bindings: AMQP does not list them, and one process does not know what another, of a newer
version, asks for.
"""

from orakul.errors import MissingExtraError

try:
    import aio_pika  # noqa: F401 (looked for here, used below)
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "aio-pika", "rabbitmq") from error

from orakul.brokers.rabbitmq.broker import RabbitBroker

__all__ = ["RabbitBroker"]
