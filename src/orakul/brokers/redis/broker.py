"""Publishing to Redis Streams, their dead letters, their depths."""

import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
import redis.asyncio as client
import redis.exceptions as errors
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from orakul.brokers.redis.piping import command, piped
from orakul.brokers.redis.stream import RedisStream
from orakul.brokers.redis.wire import AWAY, BACK, Keys, fields_of, letter_of, packed
from orakul.delivery.broker import DeadLetter, Depth, Outcome, Receipt, Subscription, matches
from orakul.delivery.message import Message, replayed
from orakul.errors import BrokerUnavailableError

__all__ = ["RedisBroker"]

_TRIM_SECONDS = 10.0
_UNHEARD_ENTRIES = 100_000
_PORTION = 500


class RedisBroker:
    """Fulfils `delivery.Broker` on redis-py."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        self.keys = Keys(options.pop("stream", "events"))
        self.lease = float(options.pop("lease", "30"))
        self._pubsub = options.pop("pubsub", "0") not in {"0", "", "no", "false"}
        self._where = f"{parts.hostname}:{parts.port or 6379}"
        self.redis: Any = client.Redis.from_url(
            urlunsplit(parts._replace(query=urlencode(options))),
            socket_connect_timeout=5,
            socket_timeout=15,
            health_check_interval=0,
            retry=Retry(NoBackoff(), 0),
        )
        self._streams: list[RedisStream] = []
        self._trimmed = time.monotonic()
        self._listeners: dict[bytes, bytes] = {}
        self._hears: dict[str, bool] = {}

    def unavailable(self, error: BaseException) -> BrokerUnavailableError:
        """Return the error that says where Redis was looked for."""
        return BrokerUnavailableError(f"Redis at {self._where} does not answer: {str(error) or type(error).__name__}")

    async def connect(self) -> None:
        """Ask for a sign of life."""
        try:
            await self.redis.ping()
        except (*AWAY, errors.AuthenticationError) as error:
            raise self.unavailable(error) from error

    async def publish(self, messages: Sequence[Message]) -> list[Receipt]:
        """Add the messages to the stream, in one go."""
        made = [self._added(message) for message in messages]
        sent = [message for message, one in zip(messages, made, strict=True) if isinstance(one, bytes)]
        commands = [command("HGETALL", self.keys.consumers), *(one for one in made if isinstance(one, bytes))]
        if self._pubsub:
            commands += [command("PUBLISH", f"{self.keys.stream}:{one.type}", one.body) for one in sent]
        try:
            listening, *answers = await piped(self.redis, commands)
        except AWAY as error:
            unknown = Receipt(Outcome.UNKNOWN, str(self.unavailable(error)))
            return [unknown if isinstance(one, bytes) else one for one in made]
        self._know(listening)
        came = map(self._receipt, sent, answers)
        receipts = [next(came) if isinstance(one, bytes) else one for one in made]
        if time.monotonic() - self._trimmed > _TRIM_SECONDS:
            self._trimmed = time.monotonic()
            with contextlib.suppress(errors.RedisError, OSError):
                await self._trim()
        return receipts

    def _added(self, message: Message) -> bytes | Receipt:
        """Return the command that adds a message; the receipt of one that has no form there."""
        try:
            return command("XADD", self.keys.stream, "*", *chain.from_iterable(fields_of(message).items()))
        except (TypeError, ValueError) as error:
            return Receipt(Outcome.IMPOSSIBLE, f"it cannot be encoded for Redis: {error}")

    def _know(self, listening: Any) -> None:
        if isinstance(listening, list):  # as the older protocol has it
            listening = dict(zip(listening[::2], listening[1::2], strict=True))
        if isinstance(listening, dict) and listening != self._listeners:
            self._listeners = listening
            self._hears = {}

    def _receipt(self, message: Message, answer: Any) -> Receipt:
        if isinstance(answer, AWAY):
            return Receipt(Outcome.UNKNOWN, str(answer))
        if isinstance(answer, BaseException):
            return Receipt(Outcome.REFUSED, f"Redis refuses it: {answer}")
        heard = self._hears.get(message.type)
        if heard is None:
            known = [msgspec.json.decode(value) for value in self._listeners.values()]
            heard = any(matches(pattern, message.type) for patterns in known for pattern in patterns)
            self._hears[message.type] = heard
        return Receipt(Outcome.CONFIRMED) if heard else Receipt(Outcome.UNHEARD, "no consumer asks for its type")

    async def _trim(self) -> None:
        """Drop the entries that every consumer has handled."""
        groups = await self.redis.xinfo_groups(self.keys.stream)
        if not groups:
            await self.redis.xtrim(self.keys.stream, maxlen=_UNHEARD_ENTRIES, approximate=True)
            return
        needed = []
        for group in groups:
            pending = await self.redis.xpending(self.keys.stream, group["name"])
            needed.append(pending["min"] if pending["pending"] else group["last-delivered-id"])
        first = min(needed, key=lambda entry: tuple(map(int, entry.split(b"-"))))
        await self.redis.xtrim(self.keys.stream, minid=first, approximate=True)

    async def subscribe(self, subscription: Subscription) -> RedisStream:
        """Make the consumer's group, and receive from it."""
        stream = RedisStream(self, subscription)
        try:
            await stream.declare("$")
        except AWAY as error:
            raise self.unavailable(error) from error
        stream.start()
        self._streams.append(stream)
        return stream

    async def dead_letters(self, queue: str, limit: int = 100) -> list[DeadLetter]:
        """Return the queue's dead letters."""
        try:
            found = await self.redis.xrange(self.keys.dead(queue), count=limit)
        except AWAY as error:
            raise self.unavailable(error) from error
        return [letter_of(fields, queue) for _, fields in found]

    async def replay(self, queue: str, message_ids: Collection[str] | None = None) -> list[str]:
        """Put dead letters back."""
        return await self._take_dead(queue, message_ids, lambda letter: packed(replayed(*letter), 1))

    async def discard(self, queue: str, message_ids: Collection[str]) -> list[str]:
        """Throw dead letters away."""
        return await self._take_dead(queue, message_ids, lambda _: b"")

    async def _take_dead(self, queue: str, message_ids: Collection[str] | None, becomes: Any) -> list[str]:
        taken: list[str] = []
        after = "-"
        try:
            while found := await self.redis.xrange(self.keys.dead(queue), min=after, count=_PORTION):
                for entry, fields in found:
                    letter = letter_of(fields, queue)
                    if message_ids is None or letter.message.message_id in message_ids:
                        value = becomes((letter.message, letter.attempt))
                        keys = (self.keys.dead(queue), self.keys.again(queue))
                        if await self.redis.eval(BACK, 2, *keys, entry, value):
                            taken.append(letter.message.message_id)
                after = b"(" + found[-1][0]
        except AWAY as error:
            raise self.unavailable(error) from error
        return taken

    async def depth(self, queue: str) -> Depth:
        """Return how much the queue holds."""
        try:
            waiting, oldest = await self._waiting(queue)
            waiting += int(await self.redis.xlen(self.keys.again(queue)))
            delayed = int(await self.redis.zcard(self.keys.delayed(queue)))
            dead = int(await self.redis.xlen(self.keys.dead(queue)))
        except AWAY as error:
            raise self.unavailable(error) from error
        return Depth(waiting=waiting, delayed=delayed, dead=dead, oldest=oldest)

    async def _waiting(self, queue: str) -> tuple[int, datetime | None]:
        group = await self._group(queue)
        if group is None:
            return 0, None
        last = group["last-delivered-id"]
        lag = group.get("lag")
        if lag is None:  # an older server, or one that has lost count
            lag = len(await self.redis.xrange(self.keys.stream, min=b"(" + last, count=_UNHEARD_ENTRIES))
        first = None
        if group["pending"]:
            first = (await self.redis.xpending(self.keys.stream, queue))["min"]
        elif lag:
            found = await self.redis.xrange(self.keys.stream, min=b"(" + last, count=1)
            first = found[0][0] if found else None
        oldest = datetime.fromtimestamp(int(first.split(b"-")[0]) / 1000, UTC) if first else None
        return int(group["pending"]) + int(lag), oldest

    async def _group(self, queue: str) -> Mapping[str, Any] | None:
        try:
            groups = await self.redis.xinfo_groups(self.keys.stream)
        except errors.ResponseError:  # there is no stream yet
            return None
        return next((group for group in groups if group["name"] == queue.encode()), None)

    async def remove(self, queue: str) -> None:
        """Delete the group and the queue's keys."""
        try:
            with contextlib.suppress(errors.ResponseError):
                await self.redis.xgroup_destroy(self.keys.stream, queue)
            await self.redis.hdel(self.keys.consumers, queue)
            keys = (self.keys.again, self.keys.delayed, self.keys.dead, self.keys.active)
            await self.redis.delete(*(key(queue) for key in keys))
        except AWAY as error:
            raise self.unavailable(error) from error

    async def close(self) -> None:
        """Close the streams and leave."""
        streams, self._streams = self._streams, []
        for stream in streams:
            await stream.close()
            await stream.leave()
        with contextlib.suppress(Exception):
            await self.redis.aclose()
