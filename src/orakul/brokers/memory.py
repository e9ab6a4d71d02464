"""A broker in the process's memory, for tests and for trying things: `memory://name`.

All of one process that use the same address share it; it is gone with the process. It keeps the contract but for that.
"""

import asyncio
import heapq
import itertools
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime

from orakul.delivery.broker import DeadLetter, Depth, Outcome, Receipt, Received, Subscription, matches
from orakul.delivery.message import Message, replayed
from orakul.errors import BrokerUnavailableError

__all__ = ["MemoryBroker"]


class _Queue:
    """A consumer's queue, shared by all brokers of the address."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.patterns: set[str] = set()
        self.ready: deque[tuple[Message, int, bool]] = deque()
        self.delayed: list[tuple[float, int, Message, int]] = []
        self.dead: OrderedDict[str, DeadLetter] = OrderedDict()
        self.unsettled: dict[int, tuple[Message, int]] = {}
        self.owners: list[_Stream] = []
        self.numbers = itertools.count()
        self.waiters: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    def fall_due(self, now: float) -> float | None:
        """Move what was put off until now; return when the next falls due."""
        while self.delayed and self.delayed[0][0] <= now:
            _, _, message, attempt = heapq.heappop(self.delayed)
            self.ready.append((message, attempt, False))
        return self.delayed[0][0] if self.delayed else None


_houses: dict[str, dict[str, _Queue]] = {}


class MemoryBroker:
    """Fulfils `delivery.Broker` within the process."""

    def __init__(self, url: str = "memory://") -> None:
        self.url = url
        self._queues = _houses.setdefault(url, {})
        self._streams: list[_Stream] = []

    async def connect(self) -> None:
        """Be there."""

    async def publish(self, messages: Sequence[Message]) -> list[Receipt]:
        """Put each message into the queues that listen to its type."""
        receipts = []
        for message in messages:
            heard = False
            for queue in self._queues.values():
                if any(matches(pattern, message.type) for pattern in queue.patterns):
                    queue.ready.append((message, 1, False))
                    queue.wake()
                    heard = True
            receipts.append(Receipt(Outcome.CONFIRMED if heard else Outcome.UNHEARD))
        await asyncio.sleep(0)
        return receipts

    async def subscribe(self, subscription: Subscription) -> "_Stream":
        """Declare the queue and receive from it."""
        queue = self._queues.setdefault(subscription.queue, _Queue(subscription.queue))
        queue.patterns |= set(subscription.patterns)
        self._streams.append(_Stream(queue, subscription))
        return self._streams[-1]

    async def dead_letters(self, queue: str, limit: int = 100) -> list[DeadLetter]:
        """Return the queue's dead letters."""
        found = self._queues.get(queue)
        return list(found.dead.values())[:limit] if found else []

    async def replay(self, queue: str, message_ids: Collection[str] | None = None) -> list[str]:
        """Put dead letters back into the queue."""
        found = self._queues.get(queue)
        letters = self._taken(queue, message_ids)
        if found:
            found.ready.extend((replayed(letter.message, letter.attempt), 1, False) for letter in letters)
            found.wake()
        return [letter.message.message_id for letter in letters]

    async def discard(self, queue: str, message_ids: Collection[str]) -> list[str]:
        """Throw dead letters away."""
        return [letter.message.message_id for letter in self._taken(queue, message_ids)]

    def _taken(self, queue: str, message_ids: Collection[str] | None) -> list[DeadLetter]:
        dead = self._queues[queue].dead if queue in self._queues else OrderedDict[str, DeadLetter]()
        chosen = [name for name in dead if message_ids is None or name in message_ids]
        return [dead.pop(name) for name in chosen]

    async def depth(self, queue: str) -> Depth:
        """Return how much the queue holds."""
        found = self._queues.get(queue)
        if found is None:
            return Depth(waiting=0, delayed=0)
        waiting = [message for message, _, _ in found.ready] + [message for message, _ in found.unsettled.values()]
        return Depth(
            waiting=len(waiting),
            delayed=len(found.delayed),
            dead=len(found.dead),
            oldest=min((message.timestamp for message in waiting), default=None),
        )

    async def remove(self, queue: str) -> None:
        """Delete the queue."""
        self._queues.pop(queue, None)

    async def close(self) -> None:
        """Close its streams; what they hold goes back to the queues."""
        streams, self._streams = self._streams, []
        for stream in streams:
            await stream.close()
            stream.give_back()


class _Stream:
    """Fulfils `delivery.Stream`."""

    def __init__(self, queue: _Queue, subscription: Subscription) -> None:
        self.queue = queue
        self._prefetch = subscription.prefetch
        self._ordered = subscription.ordered
        self.mine: set[int] = set()
        self._closed = False
        queue.owners.append(self)

    def __aiter__(self) -> AsyncIterator[Received]:
        return self._each()

    async def _each(self) -> AsyncIterator[Received]:
        while batch := await self.take():
            for received in batch:
                yield received

    async def take(self, limit: int = 100) -> list[Received]:
        """Wait for messages."""
        loop = asyncio.get_running_loop()
        while not self._closed:
            due = self.queue.fall_due(loop.time())
            room = min(limit, self._prefetch - len(self.mine))
            if room > 0 and (not self._ordered or self.queue.owners[0] is self):
                taken: list[Received] = [self._take_one() for _ in range(min(room, len(self.queue.ready)))]
                if taken:
                    return taken
            waiter: asyncio.Future[None] = loop.create_future()
            self.queue.waiters.add(waiter)
            try:
                await asyncio.wait([waiter], timeout=None if due is None else max(0.0, due - loop.time()))
            finally:
                self.queue.waiters.discard(waiter)
        return []

    def _take_one(self) -> "_Received":
        message, attempt, redelivered = self.queue.ready.popleft()
        number = next(self.queue.numbers)
        self.queue.unsettled[number] = (message, attempt)
        self.mine.add(number)
        return _Received(self, number, message, attempt, redelivered=redelivered)

    async def close(self) -> None:
        """Take no more."""
        self._closed = True
        if self in self.queue.owners:
            self.queue.owners.remove(self)
        self.queue.wake()

    def give_back(self) -> None:
        """Return what is unsettled to the front of the queue."""
        for number in sorted(self.mine, reverse=True):
            message, attempt = self.queue.unsettled.pop(number)
            self.queue.ready.appendleft((message, attempt, True))
        self.mine.clear()
        self.queue.wake()


class _Received:
    """Fulfils `delivery.Received`."""

    def __init__(self, stream: _Stream, number: int, message: Message, attempt: int, *, redelivered: bool) -> None:
        self._stream = stream
        self._number = number
        self.message = message
        self.attempt = attempt
        self.redelivered = redelivered
        self.queue = stream.queue.name

    def _settle(self) -> _Queue:
        queue = self._stream.queue
        if self._number not in self._stream.mine:
            raise BrokerUnavailableError(f"{self.message.message_id} is settled, or went back to {queue.name}")
        self._stream.mine.discard(self._number)
        queue.unsettled.pop(self._number, None)
        queue.wake()
        return queue

    async def ack(self) -> None:
        """Say that it was handled."""
        self._settle()

    async def retry(self, delay: float, reason: str = "") -> None:  # noqa: ARG002 (kept where there is a place for it)
        """Put it off."""
        queue = self._settle()
        due = asyncio.get_running_loop().time() + delay
        heapq.heappush(queue.delayed, (due, next(queue.numbers), self.message, self.attempt + 1))
        queue.wake()

    async def dead(self, reason: str) -> None:
        """Lay it into the dead letters."""
        queue = self._settle()
        queue.dead[self.message.message_id] = DeadLetter(
            message=self.message, queue=queue.name, reason=reason, died_at=datetime.now(UTC), attempt=self.attempt
        )
