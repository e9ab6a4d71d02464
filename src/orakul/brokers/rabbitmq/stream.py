"""Receiving from RabbitMQ."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from orakul.brokers.rabbitmq.acks import Acks
from orakul.brokers.rabbitmq.wire import (
    ANSWER_SECONDS,
    ATTEMPT,
    DIED,
    REASON,
    TROUBLE,
    message_from,
    said,
    tier_of,
    unless_cancelled,
)
from orakul.delivery.broker import Received, Subscription
from orakul.delivery.message import Message
from orakul.errors import BrokerUnavailableError

__all__ = ["RabbitStream"]

_log = logging.getLogger("orakul.broker")

_BACK_OFF = (0.1, 0.3, 1.0, 2.0, 5.0)


class _Sender(Protocol):
    """What a stream needs of its broker."""

    async def channel(self, purpose: str) -> Any: ...

    async def send_sure(
        self, key: str, message: Message, headers: Mapping[str, str], expiration: int | None = None
    ) -> None: ...


class RabbitStream:
    """Fulfils `delivery.Stream`: opens its channel anew whenever it was lost."""

    def __init__(self, broker: _Sender, subscription: Subscription, exchange: str) -> None:
        self.broker = broker
        self.subscription = subscription
        self._exchange = exchange
        self._arrived: deque[Any] = deque()
        self._news = asyncio.Event()
        self._channel: Any = None
        self._acks: Acks | None = None
        self._tag: str | None = None
        self._closed = False

    async def open(self) -> None:
        """Declare, bind, and begin to receive."""
        wanted = self.subscription
        channel = await self.broker.channel("receive")
        arguments: dict[str, Any] = {"x-single-active-consumer": True} if wanted.ordered else {}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await channel.exchange_declare(self._exchange, exchange_type="topic", durable=True)
                await channel.queue_declare(wanted.queue, durable=True, arguments=arguments)
                await channel.queue_declare(f"{wanted.queue}.dead", durable=True)
                for pattern in wanted.patterns:
                    await channel.queue_bind(wanted.queue, self._exchange, routing_key=pattern)
                await channel.basic_qos(prefetch_count=wanted.prefetch)
                self._arrived.clear()
                self._acks = Acks(channel)
                self._tag = (await channel.basic_consume(wanted.queue, self._arrive)).consumer_tag
        except TROUBLE as error:
            unless_cancelled(error)
            raise BrokerUnavailableError(f"RabbitMQ, queue {wanted.queue}: {said(error)}") from error
        self._channel = channel
        channel.closing.add_done_callback(lambda _: self._news.set())

    async def _arrive(self, delivered: Any) -> None:
        acks = self._acks
        if acks is not None and delivered.channel is acks.channel:
            acks.came(delivered.delivery_tag)
            self._arrived.append((delivered, acks))
            self._news.set()

    def __aiter__(self) -> AsyncIterator[Received]:
        return self._each()

    async def _each(self) -> AsyncIterator[Received]:
        while batch := await self.take(1 << 16):
            for received in batch:
                yield received

    async def take(self, limit: int = 100) -> list[Received]:
        """Wait for messages."""
        failures = 0
        while not self._closed:
            if self._channel.is_closed or self._channel.closing.done():
                self._arrived.clear()  # they will come again
                try:
                    await self.open()
                except BrokerUnavailableError as error:
                    level = logging.WARNING if failures == 0 else logging.DEBUG
                    _log.log(level, "Receiving for %s stands still: %s", self.subscription.queue, error)
                    await asyncio.sleep(_BACK_OFF[min(failures, len(_BACK_OFF) - 1)])
                    failures += 1
                    continue
            if self._arrived:
                count = min(limit, len(self._arrived))
                return [_Received(self, *self._arrived.popleft()) for _ in range(count)]
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._news.wait()
        return []

    async def close(self) -> None:
        """Take no more; what was not taken goes back."""
        if self._closed:
            return
        self._closed = True
        self._news.set()
        with contextlib.suppress(Exception):
            await self._channel.basic_cancel(self._tag, timeout=5)
            while self._arrived:
                delivered, _ = self._arrived.pop()
                await self._channel.basic_nack(delivered.delivery_tag, requeue=True)

    async def leave(self) -> None:
        """Close the channel; what is not settled goes back."""
        with contextlib.suppress(Exception):
            if self._acks is not None:
                await self._acks.flush()
            await self._channel.close()


class _Received:
    """Fulfils `delivery.Received`."""

    __slots__ = ("_acks", "_delivered", "_stream", "attempt", "message", "queue", "redelivered")

    def __init__(self, stream: RabbitStream, delivered: Any, acks: Acks) -> None:
        self._stream = stream
        self._acks = acks
        self._delivered = delivered
        self.queue = stream.subscription.queue
        self.message = message_from(delivered)
        headers = delivered.header.properties.headers or {}
        told = str(headers.get(ATTEMPT, "1"))
        self.attempt = int(told) if told.isdigit() else 1
        self.redelivered = bool(delivered.redelivered)

    async def ack(self) -> None:
        """Say that it was handled."""
        self._acks.ack(self._delivered.delivery_tag)

    async def retry(self, delay: float, reason: str = "") -> None:
        """Put it off, into the queue for such delays."""
        millis = max(1, round(delay * 1000))
        tier = tier_of(millis)
        name = f"{self.queue}.retry.{tier}"
        back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": self.queue}
        try:
            # Declared each time, as it goes when it has not been for long: far longer than any message in it stays.
            lease = {"x-expires": max(60_000, tier * 4)}
            await self._delivered.channel.queue_declare(name, durable=True, arguments=back | lease, timeout=10)
            headers = {ATTEMPT: str(self.attempt + 1), REASON: reason[:1000]}
            await self._stream.broker.send_sure(name, self.message, headers, millis)
        except TROUBLE as error:
            unless_cancelled(error)
            raise BrokerUnavailableError(f"{self.message.message_id} will come again: {said(error)}") from error
        await self.ack()

    async def dead(self, reason: str) -> None:
        """Lay it into the dead letters."""
        headers = {ATTEMPT: str(self.attempt), REASON: reason[:10_000], DIED: datetime.now(UTC).isoformat()}
        await self._stream.broker.send_sure(f"{self.queue}.dead", self.message, headers)
        await self.ack()
