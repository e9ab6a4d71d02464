"""TDTP over Redis: `tdtp:pipeline:*` is published, `tdtp:pipeline:<name>:state` is kept for a while."""

from collections.abc import Iterator, Sequence
from typing import Any

from orakul.errors import MissingExtraError, UnavailableError
from orakul.pipelines.message import CHANNEL, STATE
from orakul.settings import without_password

__all__ = ["RedisChannel"]

_PATTERN = f"{CHANNEL}*"
_SECONDS = 5.0
_AT_ONCE = 1000
_PING_SECONDS = 20


class RedisChannel:
    """Fulfils `pipelines.Channel` over one database of a Redis (published messages know no databases)."""

    def __init__(self, url: str) -> None:
        try:
            import redis  # noqa: PLC0415 (an extra)
        except ModuleNotFoundError as error:
            raise MissingExtraError("redis", "redis") from error
        self._redis = redis
        options = {"socket_connect_timeout": _SECONDS, "health_check_interval": _PING_SECONDS, "socket_keepalive": True}
        self._ears: Any = redis.Redis.from_url(url, **options)
        self._eyes: Any = redis.Redis.from_url(url, socket_timeout=_SECONDS, **options)
        where = self._ears.connection_pool.connection_kwargs
        self.shown = f"{where['host']}:{where['port']}" if "host" in where else without_password(url)
        self._subscription: Any = None

    def listen(self) -> None:
        """Subscribe; anew where the connection was lost."""
        self.close()
        self._subscription = self._ears.pubsub(ignore_subscribe_messages=True)
        with self._telling():
            self._subscription.psubscribe(_PATTERN)

    def heard(self, seconds: float) -> Sequence[tuple[str, bytes]]:
        """Return what has come; all that is there already goes together."""
        found: list[tuple[str, bytes]] = []
        with self._telling():
            message = self._subscription.get_message(timeout=seconds)
            while message is not None:
                if message["type"] == "pmessage":
                    found.append((message["channel"].decode("utf-8", "replace"), message["data"]))
                if len(found) >= _AT_ONCE:
                    break
                message = self._subscription.get_message(timeout=0.0)
        return found

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
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

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
        if isinstance(error, redis.RedisError | OSError):
            raise UnavailableError(
                f"Redis at {self._channel.shown} does not answer: {error}. Is it running, and is the address right?"
            ) from error
