"""Redis Streams, 6.2 or newer, or Valkey: `redis://host:6379/0?stream=events&lease=30&pubsub=0`.

| in Redis | is |
| --- | --- |
| stream `events` | whatever is published; each consumer is a group of it, and passes over what it did not ask for |
| stream `events:<consumer>:again` | what comes to one consumer again: put off until now, or replayed |
| sorted set `events:<consumer>:delayed` | put off, by when it is due |
| stream `events:<consumer>:dead` | dead letters, with their reason |
| hash `events:consumers` | the patterns of the consumers |

What a process holds is its own for `lease` seconds after its last sign of life; then others take it over. The stream is
trimmed up to what the slowest consumer has yet to handle, and to 100,000 entries while there is none. With `pubsub=1`
each event is also published to the channel `events:<type>`, for those who want to listen without a promise.

What is confirmed is as safe as Redis is set to keep it: `appendonly yes` survives its death, `appendfsync always` also
that of the machine.
"""

from orakul.errors import MissingExtraError

try:
    import hiredis  # noqa: F401 (likewise)
    import redis  # noqa: F401 (looked for here, used below)
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "redis", "redis") from error

from orakul.brokers.redis.broker import RedisBroker

__all__ = ["RedisBroker"]
