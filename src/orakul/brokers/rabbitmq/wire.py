"""What messages are in RabbitMQ, and what its answers mean."""

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiormq
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from orakul.delivery.broker import DeadLetter, Outcome, Receipt
from orakul.delivery.message import Message

__all__ = [
    "ANSWER_SECONDS",
    "ATTEMPT",
    "DIED",
    "REASON",
    "TROUBLE",
    "letter_of",
    "message_from",
    "properties_of",
    "receipt_of",
    "said",
    "tier_of",
    "tiers",
    "unless_cancelled",
]

ANSWER_SECONDS = 30.0
_SHORTEST, _TIERS = 250, 15  # milliseconds, each tier twice the one before: up to an hour and more
_CLOUD = "cloudEvents:"
_BROKERS = ("x-death", "x-first-death", "x-last-death", "x-delivery-count")
ATTEMPT, REASON, DIED = "orakul-attempt", "orakul-reason", "orakul-died-at"
TROUBLE = (aiormq.exceptions.AMQPError, OSError, RuntimeError, TimeoutError, asyncio.CancelledError)


def tier_of(millis: int) -> int:
    """Return the longest tier that is not longer than the delay."""
    tier = _SHORTEST
    while tier * 2 <= millis and tier < _SHORTEST << (_TIERS - 1):
        tier *= 2
    return tier


def tiers(queue: str) -> list[str]:
    """Return the names of a queue's queues for delays."""
    return [f"{queue}.retry.{_SHORTEST << step}" for step in range(_TIERS)]


def properties_of(message: Message, headers: Mapping[str, str], expiration: int | None) -> Any:
    """Return a message as RabbitMQ's properties."""
    cloud = {f"{_CLOUD}{name}": value for name, value in message.attributes().items()}
    return Basic.Properties(
        content_type="application/json",
        delivery_mode=2,
        message_id=message.message_id,
        message_type=message.type,
        timestamp=message.timestamp,
        expiration=None if expiration is None else str(expiration),
        headers={**cloud, **message.headers, **headers},
    )


def message_from(delivered: Any) -> Message:
    """Read a message, also one that somebody else has published."""
    properties = delivered.header.properties
    headers = {name: str(value) for name, value in (properties.headers or {}).items() if not name.startswith(_BROKERS)}
    cloud = {name.removeprefix(_CLOUD): headers.pop(name) for name in list(headers) if name.startswith(_CLOUD)}
    stamp = datetime.now(UTC)
    with contextlib.suppress(ValueError):
        stamp = datetime.fromisoformat(cloud["time"]) if "time" in cloud else properties.timestamp or stamp
    name = properties.message_id or cloud.get("id") or hashlib.sha256(delivered.body).hexdigest()[:32]
    return Message(
        message_id=name,
        type=properties.message_type or cloud.get("type") or delivered.routing_key or "",
        subject=cloud.get("subject") or name,
        body=delivered.body,
        timestamp=stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC),
        source=cloud.get("source", ""),
        headers={name: value for name, value in headers.items() if name not in (ATTEMPT, REASON, DIED)},
    )


def letter_of(got: Any, queue: str) -> DeadLetter:
    """Read a dead letter."""
    headers = got.header.properties.headers or {}
    died = datetime.now(UTC)
    with contextlib.suppress(KeyError, ValueError):
        died = datetime.fromisoformat(str(headers[DIED]))
    return DeadLetter(
        message=message_from(got),
        queue=queue,
        reason=str(headers.get(REASON, "")),
        died_at=died,
        attempt=int(headers.get(ATTEMPT, 1)),
    )


def receipt_of(answer: Any, *, alone: bool) -> Receipt:
    """Return what aiormq's answer, or exception, for a message means."""
    if isinstance(answer, DeliveredMessage):
        return Receipt(Outcome.UNHEARD, "no queue is bound for it")
    if isinstance(answer, aiormq.exceptions.DeliveryError):
        return Receipt(Outcome.REFUSED, "RabbitMQ refuses it (nack): is a queue at its limit?")
    if isinstance(answer, aiormq.exceptions.ChannelPreconditionFailed):
        outcome = Outcome.IMPOSSIBLE if alone else Outcome.UNKNOWN  # it closes the channel for all that are under way
        return Receipt(outcome, f"RabbitMQ will not have it: {said(answer)}")
    if isinstance(answer, aiormq.exceptions.AMQPError | OSError | RuntimeError | TimeoutError | asyncio.CancelledError):
        return Receipt(Outcome.UNKNOWN, said(answer))
    if isinstance(answer, BaseException):
        return Receipt(Outcome.IMPOSSIBLE, f"it cannot be encoded for RabbitMQ: {said(answer)}")
    return Receipt(Outcome.CONFIRMED)


def unless_cancelled(error: BaseException) -> None:
    """Tell the cancellation of our own task from that of a future that aiormq gave up."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error


def said(error: BaseException) -> str:
    """Return what an error says."""
    return str(error).strip() or type(error).__name__
