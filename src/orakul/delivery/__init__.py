"""At least once: events published in the transaction that makes them true, carried on, handled with retries.

    from orakul.delivery import outbox

    with connection.transaction():
        connection.execute("UPDATE defects SET status = 'closed' WHERE id = 42")
        outbox.publish(connection, event)        # is there exactly if the change is

`publish_event(event) -> bool` is for code without a transaction.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import orakul.delivery.outbox as outbox  # noqa: PLR0402 (a module that is not loaded yet)
    from orakul.delivery.broker import Broker, Received, Stream, Subscription, open_broker
    from orakul.delivery.consumers import Consumer, Consumers, consumer
    from orakul.delivery.handler import Delivery
    from orakul.delivery.inbox import Inbox
    from orakul.delivery.message import Message, event_of, message_of
    from orakul.delivery.publishing import publish_event
    from orakul.delivery.retries import PermanentError, Retries, RetryLaterError

__all__ = [
    "Broker",
    "Consumer",
    "Consumers",
    "Delivery",
    "Inbox",
    "Message",
    "PermanentError",
    "Received",
    "Retries",
    "RetryLaterError",
    "Stream",
    "Subscription",
    "consumer",
    "event_of",
    "message_of",
    "open_broker",
    "outbox",
    "publish_event",
]

_ELSEWHERE = {
    **dict.fromkeys(("Broker", "Received", "Stream", "Subscription", "open_broker"), "broker"),
    **dict.fromkeys(("Message", "event_of", "message_of"), "message"),
    "publish_event": "publishing",
    **dict.fromkeys(("Consumer", "Consumers", "consumer"), "consumers"),
    "Delivery": "handler",
    "Inbox": "inbox",
    **dict.fromkeys(("PermanentError", "Retries", "RetryLaterError"), "retries"),
}


def __getattr__(name: str) -> Any:
    """Load what is asked for."""
    if name == "outbox":
        return import_module(f"{__name__}.outbox")
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
