"""Receiving from Redis Streams, as one of a group."""

import asyncio
import contextlib
import logging
import os
import platform
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import redis.exceptions as errors

from orakul.brokers.redis.piping import command, piped
from orakul.brokers.redis.wire import AWAY, FALL_DUE, PUT_OFF, RENEW, Keys, fields_of, message_from, packed
from orakul.delivery.broker import Received, Subscription, matches
from orakul.errors import BrokerUnavailableError

__all__ = ["RedisStream"]

_log = logging.getLogger("orakul.broker")

_BACK_OFF = (0.1, 0.3, 1.0, 2.0)
_BLOCK_SECONDS = 1.0
_RETURNED = "returned"  # who holds, in name, what was given back
_LONG_IDLE = 1 << 40
_ACK_EVERY = 0.005


class _House(Protocol):
    """What a stream needs of its broker."""

    redis: Any
    keys: Keys
    lease: float

    def unavailable(self, error: BaseException) -> BrokerUnavailableError: ...


class RedisStream:
    """Fulfils `delivery.Stream`. One task reads; what is settled goes out together with the next look."""

    def __init__(self, house: _House, subscription: Subscription) -> None:
        self.house = house
        self.subscription = subscription
        self.name = f"{platform.node()}-{os.getpid()}-{secrets.token_hex(3)}"
        queue = subscription.queue
        self.main, self.again = house.keys.stream, house.keys.again(queue)
        self.in_hand: dict[tuple[str, bytes], _Received] = {}
        self._arrived: deque[_Received] = deque()
        self._acks: dict[tuple[str, bytes], None] = {}
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._flushing: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._closed = False
        self._looked_after = 0.0
        self._next_due = 0.0  # when to look again at what is put off
        self._active = not subscription.ordered
        self._wanted: dict[str, bool] = {}

    # -- beginnings and ends

    async def declare(self, start: str) -> None:
        """Make the groups, from now on or from the beginning, and say what is wanted."""
        redis, queue = self.house.redis, self.subscription.queue
        for key, begin in ((self.main, start), (self.again, "0")):
            try:
                await redis.xgroup_create(key, queue, id=begin, mkstream=True)
            except errors.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise
        await redis.hset(self.house.keys.consumers, queue, msgspec.json.encode(self.subscription.patterns))

    def start(self) -> None:
        """Begin to read."""
        self._reader = asyncio.create_task(self._read_on(), name=f"orakul {self.subscription.queue}")

    async def close(self) -> None:
        """Take no more; what was not taken is given back."""
        if self._closed:
            return
        self._closed = True
        self._news.set()
        if self._reader is not None:
            while not self._reader.done():
                self._reader.cancel()  # again: a client that was just answered may keep a cancellation to itself
                await asyncio.wait([self._reader], timeout=0.1)
        if self._active and self.subscription.ordered:
            with contextlib.suppress(errors.RedisError, OSError):
                await self.house.redis.delete(self.house.keys.active(self.subscription.queue))
        await self._give_back([received.place for received in self._arrived])
        self._arrived.clear()

    async def leave(self) -> None:
        """Send the acknowledgements, and give back what is not settled."""
        with contextlib.suppress(errors.RedisError, OSError):
            await self._flush()
        await self._give_back(list(self.in_hand))
        with contextlib.suppress(errors.RedisError, OSError):
            for key in (self.main, self.again):
                await self._give_back_unseen(key)
                await self.house.redis.xgroup_delconsumer(key, self.subscription.queue, self.name)

    async def _give_back_unseen(self, key: str) -> None:
        """Give back what was sent to this one and never arrived: it would be lost with the consumer's name."""
        while True:
            pending = await self.house.redis.xpending_range(
                key, self.subscription.queue, min="-", max="+", count=500, consumername=self.name
            )
            entries = [each["message_id"] for each in pending]
            if not entries:
                return
            await self.house.redis.xclaim(
                key, self.subscription.queue, _RETURNED, 0, entries, idle=_LONG_IDLE, justid=True
            )

    async def _give_back(self, places: list[tuple[str, bytes]]) -> None:
        """Let others have at once what this one holds, as if it had been idle for long."""
        for key in (self.main, self.again):
            entries = [entry for where, entry in places if where == key]
            if entries:
                with contextlib.suppress(errors.RedisError, OSError):
                    await self.house.redis.xclaim(
                        key, self.subscription.queue, _RETURNED, 0, entries, idle=_LONG_IDLE, justid=True
                    )
        for place in places:
            self.in_hand.pop(place, None)

    # -- taking

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

    # -- reading

    async def _read_on(self) -> None:
        failures = 0
        while not self._closed:
            try:
                await self._recover()
                while not self._closed:
                    await self._step()
                    failures = 0
            except (*AWAY, errors.ResponseError) as error:
                if "NOGROUP" in str(error):
                    await asyncio.sleep(_BACK_OFF[0])
                    with contextlib.suppress(errors.RedisError, OSError):
                        await self.declare("0")  # Redis has lost what it had: whatever it has now is new
                    continue
                # Away, or refusing for now, as one does that a failover has made a replica: nobody else would read on.
                level = logging.WARNING if failures == 0 else logging.DEBUG
                _log.log(level, "Receiving for %s stands still: %s", self.subscription.queue, error)
                if isinstance(error, errors.ReadOnlyError):  # the name may lead to the new master by now
                    await self.house.redis.connection_pool.disconnect(inuse_connections=False)
                await asyncio.sleep(_BACK_OFF[min(failures, len(_BACK_OFF) - 1)])
                failures += 1

    async def _recover(self) -> None:
        """After a lost connection: send the acknowledgements, and take what was sent and never arrived."""
        await self._flush()
        redis, queue = self.house.redis, self.subscription.queue
        for key in (self.main, self.again):
            after = b"0"
            while found := await redis.xreadgroup(queue, self.name, {key: after}, count=500):
                [(_, entries)] = _by_stream(found)
                if not entries:
                    break
                await self._arrive(key, entries, redelivered=True)
                after = entries[-1][0]

    async def _step(self) -> None:
        """Look once: what fell due, what others left, what is new."""
        redis, queue = self.house.redis, self.subscription.queue
        now = time.monotonic()
        if now - self._looked_after > min(1.0, self.house.lease / 3):
            self._looked_after = now
            await self._look_after()
        room = self.subscription.prefetch - len(self.in_hand)
        if not self._active or room <= 0:
            self._room.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(0.25, self.house.lease / 4)):
                    await self._room.wait()
            return
        if now >= self._next_due:
            due = await redis.eval(FALL_DUE, 2, self.house.keys.delayed(queue), self.again)
            self._next_due = now + (_BLOCK_SECONDS if due < 0 else min(_BLOCK_SECONDS, due / 1000))
        for key, entries in await self._read(room, max(1, round((self._next_due - now) * 1000))):
            await self._arrive(key, entries, redelivered=False)

    async def _read(self, room: int, block: int) -> list[tuple[str, list[Any]]]:
        """Send the acknowledgements, and wait for what is new, in one go."""
        queue, acks = self.subscription.queue, list(self._acks)
        read = command(
            "XREADGROUP", "GROUP", queue, self.name, "COUNT", str(room), "BLOCK", str(block),
            "STREAMS", self.main, self.again, ">", ">",
        )  # fmt: skip
        answers = await piped(self.house.redis, [*self._leaving(acks), read])
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        for place in acks:
            self._acks.pop(place, None)
        found = answers[-1] or ()
        return [
            (key.decode(), [(entry, dict(zip(pairs[::2], pairs[1::2], strict=True))) for entry, pairs in entries])
            for key, entries in (found.items() if isinstance(found, dict) else found)
        ]

    def _leaving(self, acks: Sequence[tuple[str, bytes]]) -> list[bytes]:
        """Return the commands that acknowledge these."""
        commands = []
        if main := [entry for key, entry in acks if key == self.main]:
            commands.append(command("XACK", self.main, self.subscription.queue, *main))
        if again := [entry for key, entry in acks if key == self.again]:
            commands.append(command("XACK", self.again, self.subscription.queue, *again))
            commands.append(command("XDEL", self.again, *again))
        return commands

    def fall_due(self, delay: float) -> None:
        """Look again, at the latest, when something that was put off here is due."""
        self._next_due = min(self._next_due, time.monotonic() + delay)

    async def _look_after(self) -> None:
        """Stay alive in the eyes of the others, and take over from those who are not."""
        redis, queue = self.house.redis, self.subscription.queue
        idle = round(self.house.lease * 1000)
        if self.subscription.ordered:
            answer = await redis.eval(RENEW, 1, self.house.keys.active(queue), self.name, idle)
            self._active, became = bool(answer), answer == 2  # noqa: PLR2004 (new in office)
            idle = 0 if became else idle  # whoever was before is gone: what it held comes first
        for key in (self.main, self.again):
            mine = [entry for where, entry in self.in_hand if where == key]
            if mine:
                await redis.xclaim(key, queue, self.name, 0, mine, justid=True)
            room = self.subscription.prefetch - len(self.in_hand)
            if self._active and room > 0:
                _, entries, *_ = await redis.xautoclaim(key, queue, self.name, idle, "0-0", count=room)
                await self._arrive(key, entries, redelivered=True)

    async def _arrive(self, key: str, entries: list[Any], *, redelivered: bool) -> None:
        passed = []
        for entry, fields in entries:
            place = (key, entry)
            if place in self.in_hand or place in self._acks:
                continue
            if fields is None:  # trimmed away under us
                passed.append(entry)
                continue
            message, attempt = message_from(fields)
            if key == self.main and not self._wants(message.type):
                passed.append(entry)
                continue
            received = _Received(self, place, message, attempt, redelivered=redelivered)
            self.in_hand[place] = received
            self._arrived.append(received)
        if passed:
            await self.house.redis.xack(key, self.subscription.queue, *passed)
        if self._arrived:
            self._news.set()

    def _wants(self, event_type: str) -> bool:
        wanted = self._wanted.get(event_type)
        if wanted is None:
            wanted = any(matches(pattern, event_type) for pattern in self.subscription.patterns)
            self._wanted[event_type] = wanted
        return wanted

    # -- settling

    def settle(self, place: tuple[str, bytes]) -> None:
        """Let go of a message; raise where it is not in hand."""
        if self.in_hand.pop(place, None) is None:
            raise BrokerUnavailableError("it is settled, or was given back and comes again")
        self._room.set()

    def acknowledge(self, place: tuple[str, bytes]) -> None:
        """Acknowledge soon, together with others; what cannot be sent now is sent when Redis is back."""
        self._acks[place] = None
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush_soon())

    async def _flush_soon(self) -> None:
        await asyncio.sleep(_ACK_EVERY)
        with contextlib.suppress(errors.RedisError, OSError):
            await self._flush()

    async def _flush(self) -> None:
        acks = list(self._acks)
        if not acks:
            return
        for answer in await piped(self.house.redis, self._leaving(acks)):
            if isinstance(answer, BaseException):
                raise answer
        for place in acks:
            self._acks.pop(place, None)
        if self._acks:
            self._flushing = asyncio.create_task(self._flush_soon())


class _Received:
    """Fulfils `delivery.Received`."""

    __slots__ = ("_stream", "attempt", "message", "place", "queue", "redelivered")

    def __init__(
        self, stream: RedisStream, place: tuple[str, bytes], message: Any, attempt: int, *, redelivered: bool
    ) -> None:
        self._stream = stream
        self.place = place
        self.message = message
        self.attempt = attempt
        self.redelivered = redelivered
        self.queue = stream.subscription.queue

    async def ack(self) -> None:
        """Say that it was handled."""
        self._stream.settle(self.place)
        self._stream.acknowledge(self.place)

    async def retry(self, delay: float, reason: str = "") -> None:  # noqa: ARG002 (kept where there is a place for it)
        """Put it off."""
        house = self._stream.house
        key, entry = self.place
        keys = [key, house.keys.delayed(self.queue), *([key] if key == self._stream.again else [])]
        value = packed(self.message, self.attempt + 1)
        await self._leave(
            house.redis.eval(PUT_OFF, len(keys), *keys, self.queue, entry, max(1, round(delay * 1000)), value)
        )
        self._stream.fall_due(delay)

    async def dead(self, reason: str) -> None:
        """Lay it into the dead letters."""
        house = self._stream.house
        key, entry = self.place
        facts = {"reason": reason[:10_000], "attempt": str(self.attempt), "died_at": datetime.now(UTC).isoformat()}
        pipe = house.redis.pipeline(transaction=True)
        pipe.xadd(house.keys.dead(self.queue), fields_of(self.message, **facts))
        pipe.xack(key, self.queue, entry)
        if key == self._stream.again:
            pipe.xdel(key, entry)
        await self._leave(pipe.execute())

    async def _leave(self, step: Any) -> None:
        if self.place not in self._stream.in_hand:
            step.close()
            raise BrokerUnavailableError(f"{self.message.message_id} is settled, or was given back and comes again")
        try:
            await step
        except AWAY as error:
            # Not settled, and not in hand: it comes again with the next recovery.
            self._stream.in_hand.pop(self.place, None)
            raise self._stream.house.unavailable(error) from error
        self._stream.settle(self.place)


def _by_stream(found: Any) -> list[tuple[str, list[Any]]]:
    """Return the entries by stream, in whichever form the client gives them."""
    if not found:
        return []
    if isinstance(found, dict):
        return [(key.decode(), [entry for part in parts for entry in part]) for key, parts in found.items()]
    return [(key.decode(), entries) for key, entries in found]
