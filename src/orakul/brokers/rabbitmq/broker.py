"""Publishing to RabbitMQ, its dead letters, its depths."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import aio_pika
import aiormq
from pamqp.commands import Basic

from orakul.brokers.rabbitmq.stream import RabbitStream
from orakul.brokers.rabbitmq.wire import (
    ANSWER_SECONDS,
    TROUBLE,
    letter_of,
    message_from,
    properties_of,
    receipt_of,
    said,
    tiers,
    unless_cancelled,
)
from orakul.delivery.broker import DeadLetter, Depth, Outcome, Receipt, Subscription
from orakul.delivery.message import Message, replayed
from orakul.errors import BrokerUnavailableError

__all__ = ["RabbitBroker"]

_CONNECT_SECONDS = 10.0


class RabbitBroker:
    """Fulfils `delivery.Broker` on aio-pika. Publishing and receiving have a connection each."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        self._exchange = options.pop("exchange", "events")
        options.setdefault("heartbeat", "20")
        self._address = urlunsplit(parts._replace(query=urlencode(options)))
        self._where = f"{parts.hostname}:{parts.port or 5672}{parts.path}"
        self._connections: dict[str, Any] = {}
        self._connecting = asyncio.Lock()
        self._publisher: Any = None
        self._streams: list[RabbitStream] = []

    async def connect(self) -> None:
        """Connect, and declare the exchange."""
        await self._publishing()

    async def _connection(self, purpose: str) -> Any:
        """Return the open connection of a purpose; open it anew where it was lost."""
        known = self._connections.get(purpose)
        if known is None or known.is_closed:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    known = await aio_pika.connect(self._address, client_properties={"connection_name": "orakul"})
            except (aiormq.exceptions.AMQPError, OSError, TimeoutError) as error:
                raise BrokerUnavailableError(f"RabbitMQ at {self._where} does not answer: {said(error)}") from error
            self._connections[purpose] = known
        return known

    async def channel(self, purpose: str) -> Any:
        """Open a channel; the plain one below aio-pika's, which costs less a message."""
        async with self._connecting:
            connection = await self._connection(purpose)
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    return await (await connection.channel(publisher_confirms=True)).get_underlay_channel()
            except TROUBLE as error:
                unless_cancelled(error)
                self._connections.pop(purpose, None)  # lost: not each loss marks the connection as closed
                with contextlib.suppress(Exception):
                    await connection.close()
                raise BrokerUnavailableError(f"RabbitMQ at {self._where} does not answer: {said(error)}") from error

    async def _publishing(self) -> Any:
        if self._publisher is None or self._publisher.is_closed:
            channel = await self.channel("publish")
            try:
                await channel.exchange_declare(self._exchange, exchange_type="topic", durable=True, timeout=10)
            except TROUBLE as error:
                unless_cancelled(error)
                raise BrokerUnavailableError(f"RabbitMQ at {self._where}: {said(error)}") from error
            self._publisher = channel
        return self._publisher

    async def publish(self, messages: Sequence[Message]) -> list[Receipt]:
        """Send the messages, await RabbitMQ's confirms."""
        receipts = await self.send(self._exchange, [(message.type, message, {}, None) for message in messages])
        unknown = [at for at, receipt in enumerate(receipts) if receipt.outcome is Outcome.UNKNOWN]
        # One that RabbitMQ will not have closes the channel for all: which one, only sending them alone tells.
        for at in unknown if len(messages) > 1 else ():
            with contextlib.suppress(BrokerUnavailableError):
                [receipt] = await self.send(self._exchange, [(messages[at].type, messages[at], {}, None)])
                receipts[at] = receipt
                if receipt.outcome is not Outcome.UNKNOWN:
                    continue
            break  # it is away
        return receipts

    async def send(
        self, exchange: str, sendings: Sequence[tuple[str, Message, Mapping[str, str], int | None]]
    ) -> list[Receipt]:
        """Publish `(routing key, message, further headers, expiration in ms)` at once; return the answers."""
        channel = await self._publishing()
        calls = [
            channel.basic_publish(
                message.body,
                exchange=exchange,
                routing_key=key,
                properties=properties_of(message, headers, expiration),
                mandatory=True,
                wait=False,
                timeout=ANSWER_SECONDS,
            )
            for key, message, headers, expiration in sendings
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        return [receipt_of(answer, alone=len(answers) == 1) for answer in answers]

    async def send_sure(
        self, key: str, message: Message, headers: Mapping[str, str], expiration: int | None = None
    ) -> None:
        """Publish to one queue; raise BrokerUnavailableError where RabbitMQ has not confirmed it there."""
        [receipt] = await self.send("", [(key, message, headers, expiration)])
        if receipt.outcome is not Outcome.CONFIRMED:
            raise BrokerUnavailableError(f"RabbitMQ at {self._where} did not take it to {key}: {receipt.reason}")

    async def subscribe(self, subscription: Subscription) -> RabbitStream:
        """Declare the queue and its bindings, and receive from it."""
        stream = RabbitStream(self, subscription, self._exchange)
        await stream.open()
        self._streams.append(stream)
        return stream

    async def dead_letters(self, queue: str, limit: int = 100) -> list[DeadLetter]:
        """Look at the dead letters, which lie in a queue of their own."""
        return [letter_of(got, queue) async for got in self._dead(queue, limit)]

    async def replay(self, queue: str, message_ids: Collection[str] | None = None) -> list[str]:
        """Put dead letters back into their queue, each confirmed there before it goes from here."""
        done = []
        async for got in self._dead(queue):
            message = message_from(got)
            if message_ids is None or message.message_id in message_ids:
                await self.send_sure(queue, replayed(message, letter_of(got, queue).attempt), {})
                await got.channel.basic_ack(got.delivery_tag)
                done.append(message.message_id)
        return done

    async def discard(self, queue: str, message_ids: Collection[str]) -> list[str]:
        """Throw dead letters away."""
        gone = []
        async for got in self._dead(queue):
            if (name := message_from(got).message_id) in message_ids:
                await got.channel.basic_ack(got.delivery_tag)
                gone.append(name)
        return gone

    async def _dead(self, queue: str, limit: int | None = None) -> AsyncIterator[Any]:
        """Take what lies there now one by one; what is not acknowledged lies there again, in its place, afterwards."""
        channel = await self.channel("publish")
        try:
            count = await self._count(f"{queue}.dead") or 0
            for _ in range(count if limit is None else min(count, limit)):
                got = await channel.basic_get(f"{queue}.dead", timeout=ANSWER_SECONDS)
                if isinstance(got.delivery, Basic.GetEmpty):
                    break
                yield got
        except (aiormq.exceptions.AMQPError, OSError, RuntimeError, TimeoutError) as error:
            raise BrokerUnavailableError(f"RabbitMQ at {self._where}: {said(error)}") from error
        finally:
            with contextlib.suppress(Exception):
                await channel.close()

    async def _count(self, queue: str) -> int | None:
        """Return how many messages are ready in a queue; None where there is none."""
        channel = await self.channel("publish")
        try:
            answer = await channel.queue_declare(queue, passive=True, timeout=ANSWER_SECONDS)
        except aiormq.exceptions.ChannelNotFoundEntity:
            return None
        except TROUBLE as error:
            unless_cancelled(error)
            raise BrokerUnavailableError(f"RabbitMQ at {self._where}: {said(error)}") from error
        else:
            return int(answer.message_count or 0)
        finally:
            with contextlib.suppress(Exception):
                await channel.close()

    async def depth(self, queue: str) -> Depth:
        """Return what is ready, put off and dead; what is in consumers' hands RabbitMQ tells its own console only."""
        waiting = await self._count(queue)
        if waiting is None:
            return Depth(waiting=0, delayed=0)
        delayed = [await self._count(name) for name in tiers(queue)]
        return Depth(
            waiting=waiting,
            delayed=sum(count or 0 for count in delayed),
            dead=await self._count(f"{queue}.dead") or 0,
            oldest=await self._oldest(queue) if waiting else None,
        )

    async def _oldest(self, queue: str) -> datetime | None:
        channel = await self.channel("publish")
        try:
            got = await channel.basic_get(queue, timeout=ANSWER_SECONDS)
            return None if isinstance(got.delivery, Basic.GetEmpty) else message_from(got).timestamp
        except TROUBLE as error:  # a queue with a single active consumer may refuse to be looked into
            unless_cancelled(error)
            return None
        finally:
            with contextlib.suppress(Exception):
                await channel.close()  # what was looked at goes back to its place

    async def remove(self, queue: str) -> None:
        """Delete the queue and those beside it."""
        channel = await self.channel("publish")
        for name in (queue, f"{queue}.dead", *tiers(queue)):
            await channel.queue_delete(name, timeout=ANSWER_SECONDS)
        await channel.close()

    async def close(self) -> None:
        """Close the streams and the connections."""
        streams, self._streams = self._streams, []
        for stream in streams:
            await stream.close()
            await stream.leave()
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            with contextlib.suppress(Exception):
                await connection.close()
