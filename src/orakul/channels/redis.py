"""TDTP over Redis: `tdtp:pipeline:*` is published, `tdtp:pipeline:<name>:state` is kept for a while.

Redis cuts off a subscriber that reads slowly, so what is published is read from the socket by the portion and parsed by
hiredis: redis-py's own way costs some ten times as much a message. Signing in, TLS and addresses are redis-py's.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from orakul.errors import MissingExtraError, UnavailableError
from orakul.pipelines.message import CHANNEL, STATE
from orakul.settings import without_password

__all__ = ["RedisChannel"]

_PATTERN = f"{CHANNEL}*"
_SECONDS = 5.0
_AT_ONCE = 1000
_PORTION = 1 << 18
_PING_SECONDS = 10.0
_SILENT_SECONDS = 30.0


class RedisChannel:
    """Fulfils `pipelines.Channel` over one database of a Redis (published messages know no databases)."""

    def __init__(self, url: str) -> None:
        try:
            import hiredis  # noqa: PLC0415 (an extra)
            import redis  # noqa: PLC0415 (an extra)
        except ModuleNotFoundError as error:
            raise MissingExtraError(error.name or "redis", "redis") from error
        self._redis, self._reader = redis, hiredis.Reader
        self._eyes: Any = redis.Redis.from_url(
            url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, socket_keepalive=True
        )
        where = self._eyes.connection_pool.connection_kwargs
        host, port = where.get("host", "localhost"), where.get("port", 6379)  # redis-py tells only what was said
        self.shown = without_password(url) if "path" in where else f"{host}:{port}"
        self._connection: Any = None
        self._parsed: Any = None
        self._pinged = self._spoke = 0.0

    def listen(self) -> None:
        """Subscribe; anew where the connection was lost."""
        self.close()
        pool = self._eyes.connection_pool
        connection = pool.connection_class(**{**pool.connection_kwargs, "protocol": 2})
        with self._telling():
            connection.connect()
            connection.send_command("PSUBSCRIBE", _PATTERN)
        self._connection, self._parsed = connection, self._reader()
        self._spoke = self._pinged = time.monotonic()

    def heard(self, seconds: float) -> Sequence[tuple[str, bytes]]:
        """Return what has come; all that is there already goes together."""
        with self._telling():
            socket = self._connection._sock  # noqa: SLF001 (redis-py reads one message at a time)
            if socket is None:
                raise ConnectionError("the connection is closed")
            socket.settimeout(seconds)
            try:
                portion = socket.recv(_PORTION)
            except TimeoutError:
                self._mind_the_silence()
                return ()
            if not portion:
                raise ConnectionError("the connection was closed by Redis")
        self._spoke = time.monotonic()
        self._parsed.feed(portion)
        return list(self._messages())

    def _messages(self) -> Iterator[tuple[str, bytes]]:
        while (message := self._parsed.gets()) is not False:
            if isinstance(message, Exception):
                raise UnavailableError(f"Redis at {self.shown} refuses: {message}")
            if type(message) is list and message[0] == b"pmessage":
                yield message[2].decode("utf-8", "replace"), message[3]

    def _mind_the_silence(self) -> None:
        """Ask whether anybody is there: a connection that was cut without a word looks like silence."""
        now = time.monotonic()
        if now - self._spoke > _SILENT_SECONDS:
            raise ConnectionError(f"no sign of life for {now - self._spoke:.0f} s")
        if now - max(self._spoke, self._pinged) > _PING_SECONDS:
            self._pinged = now
            self._connection.send_command("PING", check_health=False)

    def states(self) -> Iterator[tuple[str, bytes]]:
        """Read all state keys, by portions."""
        cursor, eyes = 0, self._eyes
        while True:
            with self._telling():
                cursor, keys = eyes.scan(cursor, match=f"{CHANNEL}*{STATE}", count=_AT_ONCE, _type="string")
                values = eyes.mget(keys) if keys else []
            for key, value in zip(keys, values, strict=True):
                if value is not None:  # it may have expired in between
                    yield key.decode("utf-8", "replace"), value
            if not cursor:
                return

    def close(self) -> None:
        """Leave the subscription."""
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None

    def _telling(self) -> "_Telling":
        return _Telling(self)


class _Telling:
    """Says in our words that Redis does not answer, and what to do."""

    def __init__(self, channel: RedisChannel) -> None:
        self._channel = channel

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        redis = self._channel._redis  # noqa: SLF001 (of this module)
        if isinstance(error, redis.exceptions.AuthenticationError | redis.exceptions.NoPermissionError):
            raise UnavailableError(
                f"Redis at {self._channel.shown} refuses the sign-in: {error}. Are user and password right?"
            ) from error
        if isinstance(error, redis.RedisError | OSError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise UnavailableError(
                f"Redis at {self._channel.shown} shows a certificate that is not trusted: {error}. Where its authority"
                " is your house's own, name that one's file: --tls-ca FILE, or rediss://…?ssl_ca_certs=FILE"
            ) from error
        if isinstance(error, redis.RedisError | OSError):
            raise UnavailableError(
                f"Redis at {self._channel.shown} does not answer: {error}. Is it running, and is the address right?"
            ) from error
