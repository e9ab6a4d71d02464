"""Kafka: `kafka://host:9092[,host:9092…]/events`: the path names the topic, the query may hold librdkafka's options.

| in Kafka | is |
| --- | --- |
| topic `events` | whatever is published, key = subject, so that a subject's events are in one partition, in order |
| group `<topic>.<consumer>` | a consumer; it passes over what it did not ask for |
| topic `<topic>.<consumer>.again` | what comes to one consumer again: put off, until it is due, or replayed |
| topic `<topic>.<consumer>.dead` | dead letters by message id; an empty one takes the letter away: to be compacted |

Kafka remembers one position a partition: what was handled out of turn before a crash comes again after it (an inbox
drops it). It knows nothing of who listens, so nothing is ever `unheard`; and its partitions keep the order of subjects
among processes by themselves. Topics are made by their first use where the cluster allows that.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from orakul.delivery.broker import DeadLetter, Depth, Outcome, Receipt, Subscription
from orakul.delivery.message import Message, replayed
from orakul.errors import BrokerUnavailableError, MissingExtraError

try:
    from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
except ModuleNotFoundError as error:
    raise MissingExtraError("confluent-kafka", "kafka") from error

from orakul.brokers.kafka_stream import ATTEMPT, DIED, REASON, KafkaStream, message_from

__all__ = ["KafkaBroker"]

_ANSWER_SECONDS = 10.0
_SEND_SECONDS = 30.0
_NEVER = frozenset((KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError._INVALID_ARG))  # noqa: SLF001
_LATER = frozenset((KafkaError._QUEUE_FULL, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.POLICY_VIOLATION))  # noqa: SLF001


class KafkaBroker:
    """Fulfils `delivery.Broker` on confluent-kafka, whose calls block and therefore run in threads."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        self.topic = parts.path.strip("/") or "events"
        self.where = host
        self.options: dict[str, Any] = {"bootstrap.servers": host, "log_level": 2}
        if parts.username:
            self.options |= {"sasl.mechanism": "PLAIN", "security.protocol": "SASL_SSL"}
            self.options |= {"sasl.username": unquote(parts.username), "sasl.password": unquote(parts.password or "")}
        self.options |= dict(parse_qsl(parts.query))
        self._producer: Any = None
        self._sending = threading.Lock()
        self._known: set[str] = set()
        self._streams: list[KafkaStream] = []

    def unavailable(self, error: BaseException | str) -> BrokerUnavailableError:
        """Return the error that says where Kafka was looked for."""
        return BrokerUnavailableError(f"Kafka at {self.where} does not answer: {error}")

    async def connect(self) -> None:
        """Ask the cluster for its topic, which makes it where that is allowed."""
        await asyncio.to_thread(self.topics, self.topic)

    def topics(self, *names: str) -> None:
        """See that topics are there."""
        if self._producer is None:
            self._producer = Producer(
                self.options
                | {"enable.idempotence": True, "linger.ms": 1, "message.timeout.ms": round(_SEND_SECONDS * 1000)}
            )
        for name in names:
            until = time.monotonic() + _ANSWER_SECONDS
            while name not in self._known:
                try:
                    found = self._producer.list_topics(name, timeout=_ANSWER_SECONDS).topics[name]
                except KafkaException as error:
                    raise self.unavailable(error.args[0].str()) from error
                if found.error is None and found.partitions:
                    self._known.add(name)
                elif time.monotonic() > until:
                    raise self.unavailable(f"there is no topic {name}, and it is not made by itself: {found.error}")
                else:
                    time.sleep(0.1)

    async def publish(self, messages: Sequence[Message]) -> list[Receipt]:
        """Send the messages, await that all replicas in sync have them."""
        return await asyncio.to_thread(self.send, [(self.topic, message.subject, message, {}) for message in messages])

    def send(self, sendings: Sequence[tuple[str, str, Message | None, Mapping[str, str]]]) -> list[Receipt]:
        """Produce `(topic, key, message, further headers)`, wait, and return the answers."""
        self.topics(*{topic for topic, *_ in sendings})
        receipts = [Receipt(Outcome.UNKNOWN, "Kafka has not answered")] * len(sendings)

        def told(at: int, error: Any) -> None:
            receipts[at] = Receipt(Outcome.CONFIRMED) if error is None else _refusal(error)

        with self._sending:
            for at, (topic, key, message, headers) in enumerate(sendings):
                try:
                    self._producer.produce(
                        topic,
                        None if message is None else message.body,
                        key=key.encode(),
                        headers=[] if message is None else list((_headers(message) | dict(headers)).items()),
                        on_delivery=lambda error, _, at=at: told(at, error),
                    )
                except KafkaException as error:
                    receipts[at] = _refusal(error.args[0])
                except BufferError as error:
                    receipts[at] = Receipt(Outcome.REFUSED, str(error))
            self._producer.flush(_SEND_SECONDS)
        return receipts

    def send_sure(self, topic: str, key: str, message: Message | None, headers: Mapping[str, str]) -> None:
        """Produce one; raise BrokerUnavailableError where it is not confirmed."""
        [receipt] = self.send([(topic, key, message, headers)])
        if receipt.outcome is not Outcome.CONFIRMED:
            raise self.unavailable(receipt.reason or "it did not take the message")

    def again(self, queue: str) -> str:
        """Return the topic of what comes to a queue again."""
        return f"{self.topic}.{queue}.again"

    def dead(self, queue: str) -> str:
        """Return the topic of dead letters."""
        return f"{self.topic}.{queue}.dead"

    def consumer(self, queue: str, **options: Any) -> Any:
        """Return a client of the consumer's group."""
        group = {"group.id": f"{self.topic}.{queue}", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        return Consumer({"session.timeout.ms": 6000} | self.options | group | options)

    async def subscribe(self, subscription: Subscription) -> KafkaStream:
        """Give a new group its place, at what comes from now on, and receive."""
        await asyncio.to_thread(self._declare, subscription.queue)
        stream = KafkaStream(self, subscription)
        stream.start()
        self._streams.append(stream)
        return stream

    def _declare(self, queue: str) -> None:
        self.topics(self.topic, self.again(queue))
        client = self.consumer(queue)
        try:
            new = [place for place in self._committed(client, self.topic) if place.offset < 0]
            for place in new:
                place.offset = client.get_watermark_offsets(place, timeout=_ANSWER_SECONDS)[1]
            if new:
                client.commit(offsets=new, asynchronous=False)
        except KafkaException as error:
            raise self.unavailable(error.args[0].str()) from error
        finally:
            client.close()

    def _committed(self, client: Any, topic: str) -> list[Any]:
        partitions = client.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic].partitions
        places = [TopicPartition(topic, number) for number in partitions]
        found: list[Any] = client.committed(places, timeout=_ANSWER_SECONDS)
        return found

    async def dead_letters(self, queue: str, limit: int = 100) -> list[DeadLetter]:
        """Return the queue's dead letters."""
        return list((await asyncio.to_thread(self._dead, queue)).values())[:limit]

    def _dead(self, queue: str) -> dict[str, DeadLetter]:
        topic, letters = self.dead(queue), dict[str, DeadLetter]()
        self.topics(topic)
        client = self.consumer(f"{queue}.reader")
        try:
            places, ends = [], {}
            for number in client.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic].partitions:
                low, high = client.get_watermark_offsets(TopicPartition(topic, number), timeout=_ANSWER_SECONDS)
                if high > low:
                    places.append(TopicPartition(topic, number, low))
                    ends[number] = high - 1
            client.assign(places)
            until = time.monotonic() + _SEND_SECONDS
            while ends and time.monotonic() < until:
                for got in client.consume(500, timeout=0.5):
                    if got.error():
                        continue
                    _bury(letters, got, queue)
                    if got.offset() >= ends.get(got.partition(), 0):
                        ends.pop(got.partition(), None)
        except KafkaException as error:
            raise self.unavailable(error.args[0].str()) from error
        finally:
            client.close()
        return dict(sorted(letters.items(), key=lambda item: item[1].died_at))

    async def replay(self, queue: str, message_ids: Collection[str] | None = None) -> list[str]:
        """Send dead letters to their consumer again, and take them away."""
        return await asyncio.to_thread(self._take_dead, queue, message_ids, again=True)

    async def discard(self, queue: str, message_ids: Collection[str]) -> list[str]:
        """Take dead letters away."""
        return await asyncio.to_thread(self._take_dead, queue, message_ids, again=False)

    def _take_dead(self, queue: str, message_ids: Collection[str] | None, *, again: bool) -> list[str]:
        taken = []
        for name, letter in self._dead(queue).items():
            if message_ids is None or name in message_ids:
                if again:
                    message = replayed(letter.message, letter.attempt)
                    self.send_sure(self.again(queue), message.subject, message, {})
                self.send_sure(self.dead(queue), name, None, {})
                taken.append(name)
        return taken

    async def depth(self, queue: str) -> Depth:
        """Return how far the group is behind the ends of its topics, what is put off included, and what is dead."""
        waiting = await asyncio.to_thread(self._behind, queue)
        return Depth(waiting=waiting, dead=len(await asyncio.to_thread(self._dead, queue)))

    def _behind(self, queue: str) -> int:
        behind = 0
        client = self.consumer(queue)
        try:
            for topic in (self.topic, self.again(queue)):
                if topic in client.list_topics(timeout=_ANSWER_SECONDS).topics:
                    for place in self._committed(client, topic):
                        low, high = client.get_watermark_offsets(place, timeout=_ANSWER_SECONDS)
                        known = place.offset >= 0
                        if known or topic != self.topic:  # no group, no claim to what there is
                            behind += high - (place.offset if known else low)
        except KafkaException as error:
            raise self.unavailable(error.args[0].str()) from error
        finally:
            client.close()
        return behind

    async def remove(self, queue: str) -> None:
        """Take the dead letters away; groups and topics are the cluster's administrator's to delete."""
        await self.discard(queue, [letter.message.message_id for letter in await self.dead_letters(queue, 1 << 30)])

    async def close(self) -> None:
        """Close the streams, send what is left."""
        streams, self._streams = self._streams, []
        for stream in streams:
            await stream.leave()
        producer, self._producer = self._producer, None
        if producer is not None:
            await asyncio.to_thread(producer.flush, _ANSWER_SECONDS)


def _headers(message: Message) -> dict[str, str]:
    return {f"ce_{name}": value for name, value in message.attributes().items()} | dict(message.headers)


def _refusal(error: Any) -> Receipt:
    if error.code() in _NEVER:
        return Receipt(Outcome.IMPOSSIBLE, f"Kafka will not have it: {error.str()}")
    if error.code() in _LATER:
        return Receipt(Outcome.REFUSED, f"Kafka refuses it: {error.str()}")
    return Receipt(Outcome.UNKNOWN, error.str())


def _bury(letters: dict[str, DeadLetter], got: Any, queue: str) -> None:
    """Enter a record of the dead topic."""
    name = (got.key() or b"").decode()
    if got.value() is None:
        letters.pop(name, None)
        return
    message, texts = message_from(got)
    died = datetime.now(UTC)
    with contextlib.suppress(KeyError, ValueError):
        died = datetime.fromisoformat(texts[DIED])
    letters[name] = DeadLetter(
        message=message,
        queue=queue,
        reason=texts.get(REASON, ""),
        died_at=died,
        attempt=int(texts.get(ATTEMPT, "1")),
    )
