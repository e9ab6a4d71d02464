"""Receiving from Kafka: a thread that polls, and the bookkeeping of what is handled out of turn."""

import asyncio
import contextlib
import hashlib
import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException, TopicPartition

from orakul.delivery.broker import Received, Subscription, matches
from orakul.delivery.message import Message
from orakul.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from orakul.brokers.kafka import KafkaBroker

__all__ = ["ATTEMPT", "DIED", "DUE", "REASON", "KafkaStream", "message_from"]

_log = logging.getLogger("orakul.broker")

ATTEMPT, REASON, DIED, DUE = "orakul-attempt", "orakul-reason", "orakul-died-at", "orakul-due"
_POLL_SECONDS = 0.1
_COMMIT_SECONDS = 0.2

Place = tuple[str, int, int]


class KafkaStream:
    """Fulfils `delivery.Stream`."""

    def __init__(self, broker: "KafkaBroker", subscription: Subscription) -> None:
        self.broker = broker
        self.subscription = subscription
        self.in_hand: set[Place] = set()
        self._loop = asyncio.get_running_loop()
        self._arrived: deque[Received] = deque()
        self._news = asyncio.Event()
        self._guard = threading.Lock()
        self._outstanding: dict[tuple[str, int], set[int]] = {}
        self._next: dict[tuple[str, int], int] = {}
        self._committed: dict[tuple[str, int], int] = {}
        self._later: list[tuple[float, int, _Received]] = []
        self._closed = False
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._poll_on, name=f"orakul {subscription.queue}", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def __aiter__(self) -> AsyncIterator[Received]:
        return self._each()

    async def _each(self) -> AsyncIterator[Received]:
        while batch := await self.take(1 << 16):
            for received in batch:
                yield received

    async def take(self, limit: int = 100) -> list[Received]:
        """Wait for messages."""
        while not self._closed:
            if self._arrived:
                return [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]
            self._news.clear()
            await self._news.wait()
        return []

    async def close(self) -> None:
        """Take no more; the group is left when what is in hand is settled."""
        self._closed = True
        self._news.set()
        with self._guard:
            for received in self._arrived:
                self.in_hand.discard(received.place)  # type: ignore[attr-defined]  # ours
        self._arrived.clear()

    async def leave(self) -> None:
        """Leave the group; what is not settled comes again."""
        await self.close()
        self._leaving.set()
        await asyncio.to_thread(self._thread.join, 30)

    # -- in the thread

    def _poll_on(self) -> None:
        client = self.broker.consumer(self.subscription.queue)
        topics = [self.broker.topic, self.broker.again(self.subscription.queue)]
        try:
            client.subscribe(topics, on_revoke=self._revoked, on_lost=self._revoked)
            said = committed = 0.0
            while not self._leaving.is_set() and not (self._closed and not self.in_hand):
                try:
                    self._poll(client)
                    if time.monotonic() - committed > _COMMIT_SECONDS:
                        committed = time.monotonic()
                        self._commit(client)
                except KafkaException as error:
                    if time.monotonic() - said > 60:  # noqa: PLR2004 (once a minute)
                        said = time.monotonic()
                        _log.warning("Receiving for %s stands still: %s", self.subscription.queue, error)
                    time.sleep(0.5)
            with contextlib.suppress(KafkaException):  # as in a rebalance: what was not told of comes again
                self._commit(client)
        finally:
            client.close()

    def _poll(self, client: Any) -> None:
        now = time.time()
        while self._later and self._later[0][0] <= now:
            self._hand_over([heapq.heappop(self._later)[2]])
        room = 0 if self._closed else self.subscription.prefetch - len(self.in_hand)
        if room <= 0:
            client.pause(client.assignment())
            client.poll(_POLL_SECONDS)
            return
        client.resume(client.assignment())
        ready = []
        for got in client.consume(room, timeout=_POLL_SECONDS):
            if got.error():
                continue
            received = self._received(got)
            if received is not None:
                ready.append(received)
        if ready:
            self._hand_over(ready)

    def _received(self, got: Any) -> "_Received | None":
        """Return the message, unless it is not wanted, or is to wait."""
        message, texts = message_from(got)
        place: Place = (got.topic(), got.partition(), got.offset())
        with self._guard:
            self._next[place[:2]] = place[2] + 1
            if place[0] == self.broker.topic and not any(
                matches(pattern, message.type) for pattern in self.subscription.patterns
            ):
                return None
            self._outstanding.setdefault(place[:2], set()).add(place[2])
        received = _Received(self, place, message, int(texts.get(ATTEMPT, "1")))
        due = float(texts.get(DUE, "0"))
        if due > time.time():
            heapq.heappush(self._later, (due, place[2], received))
            return None
        return received

    def _hand_over(self, ready: "list[_Received]") -> None:
        with self._guard:
            self.in_hand.update(received.place for received in ready)
        with contextlib.suppress(RuntimeError):  # the loop has ended: they come again
            self._loop.call_soon_threadsafe(self._take_over, ready)

    def _take_over(self, ready: "list[_Received]") -> None:
        if self._closed:
            with self._guard:
                self.in_hand.difference_update(received.place for received in ready)
            return
        self._arrived.extend(ready)
        self._news.set()

    def _commit(self, client: Any) -> None:
        """Say how far everything is settled, in each partition."""
        with self._guard:
            ready = {place: min(self._outstanding.get(place) or {following}) for place, following in self._next.items()}
        moved = {place: offset for place, offset in ready.items() if self._committed.get(place) != offset}
        if moved:
            places = [TopicPartition(topic, number, offset) for (topic, number), offset in moved.items()]
            client.commit(offsets=places, asynchronous=False)
            self._committed |= moved

    def _revoked(self, client: Any, partitions: Any) -> None:
        """Forget what others get now."""
        with contextlib.suppress(KafkaException):
            self._commit(client)
        gone = {(partition.topic, partition.partition) for partition in partitions}
        with self._guard:
            self.in_hand -= {place for place in self.in_hand if place[:2] in gone}
            for place in gone:
                self._outstanding.pop(place, None)
                self._next.pop(place, None)
                self._committed.pop(place, None)
        self._later = [entry for entry in self._later if entry[2].place[:2] not in gone]
        heapq.heapify(self._later)

    def settle(self, place: Place) -> None:
        """Let go of a message; raise where it is not in hand."""
        with self._guard:
            if place not in self.in_hand:
                raise BrokerUnavailableError("it is settled, or belongs to another process now and comes again")
            self.in_hand.discard(place)
            self._outstanding.get(place[:2], set()).discard(place[2])


class _Received:
    """Fulfils `delivery.Received`."""

    __slots__ = ("_stream", "attempt", "message", "place", "queue", "redelivered")

    def __init__(self, stream: KafkaStream, place: Place, message: Message, attempt: int) -> None:
        self._stream = stream
        self.place = place
        self.message = message
        self.attempt = attempt
        self.redelivered = False
        self.queue = stream.subscription.queue

    async def ack(self) -> None:
        """Say that it was handled."""
        self._stream.settle(self.place)

    async def retry(self, delay: float, reason: str = "") -> None:
        """Put it off."""
        facts = {ATTEMPT: str(self.attempt + 1), DUE: str(time.time() + delay), REASON: reason[:1000]}
        broker = self._stream.broker
        await asyncio.to_thread(broker.send_sure, broker.again(self.queue), self.message.subject, self.message, facts)
        self._stream.settle(self.place)

    async def dead(self, reason: str) -> None:
        """Lay it into the dead letters."""
        facts = {ATTEMPT: str(self.attempt), DIED: datetime.now(UTC).isoformat(), REASON: reason[:10_000]}
        broker = self._stream.broker
        name = self.message.message_id
        await asyncio.to_thread(broker.send_sure, broker.dead(self.queue), name, self.message, facts)
        self._stream.settle(self.place)


def message_from(got: Any) -> tuple[Message, dict[str, str]]:
    """Read a message, and what of ours is beside it; also one that somebody else has produced."""
    texts = {name: (value or b"").decode("utf-8", "replace") for name, value in got.headers() or ()}
    body = got.value() or b""
    key = (got.key() or b"").decode("utf-8", "replace")
    name = texts.get("ce_id") or hashlib.sha256(body).hexdigest()[:32]
    stamp = datetime.now(UTC)
    with contextlib.suppress(KeyError, ValueError):
        stamp = datetime.fromisoformat(texts["ce_time"])
    message = Message(
        message_id=name,
        type=texts.get("ce_type", ""),
        subject=texts.get("ce_subject") or key or name,
        body=body,
        timestamp=stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC),
        source=texts.get("ce_source", ""),
        headers={
            name: value
            for name, value in texts.items()
            if not name.startswith("ce_") and name not in (ATTEMPT, REASON, DIED, DUE)
        },
    )
    return message, texts
