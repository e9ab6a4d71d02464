"""What messages are in Redis, the names of its keys, and the steps that must be taken as one."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import redis.exceptions as errors

from orakul.delivery.broker import DeadLetter
from orakul.delivery.message import Message

__all__ = [
    "AWAY",
    "BACK",
    "FALL_DUE",
    "PUT_OFF",
    "RENEW",
    "Keys",
    "fields_of",
    "letter_of",
    "message_from",
    "packed",
    "text_of",
]

AWAY = (
    errors.ConnectionError,
    errors.TimeoutError,
    errors.BusyLoadingError,
    errors.ReadOnlyError,
    OSError,
    TimeoutError,
)

# A message leaves the group's hands and is due later; the copy that came again before is deleted.
PUT_OFF = """
local now = redis.call('TIME')
redis.call('ZADD', KEYS[2], now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[3], ARGV[4])
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
if KEYS[3] then redis.call('XDEL', KEYS[3], ARGV[2]) end
"""
# What is due comes again; returns how many milliseconds the next has to wait.
FALL_DUE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, packed in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100)) do
    redis.call('XADD', KEYS[2], '*', 'packed', packed)
    redis.call('ZREM', KEYS[1], packed)
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if first[2] then return math.max(0, math.ceil(first[2] - now)) end
return -1
"""
# A dead letter goes back to its consumer, once.
BACK = """
if redis.call('XDEL', KEYS[1], ARGV[1]) == 1 then
    if ARGV[2] ~= '' then redis.call('XADD', KEYS[2], '*', 'packed', ARGV[2]) end
    return 1
end
return 0
"""
# Be the one who receives from an ordered queue, or stay so.
RENEW = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 2 end
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""

_HEADERS = msgspec.json.Decoder(dict[str, str])


class Keys:
    """The names of one house's keys."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.consumers = f"{stream}:consumers"

    def again(self, queue: str) -> str:
        """Return the name of what comes to a queue again."""
        return f"{self.stream}:{queue}:again"

    def delayed(self, queue: str) -> str:
        """Return the name of what is put off."""
        return f"{self.stream}:{queue}:delayed"

    def dead(self, queue: str) -> str:
        """Return the name of the dead letters."""
        return f"{self.stream}:{queue}:dead"

    def active(self, queue: str) -> str:
        """Return the name of who receives from an ordered queue."""
        return f"{self.stream}:{queue}:active"


def fields_of(message: Message, **more: str) -> dict[str, Any]:
    """Return a message as the fields of an entry: the CloudEvents attributes, the trace context, the body."""
    fields: dict[str, Any] = {f"ce_{name}": value for name, value in message.attributes().items()}
    if message.headers:
        fields["headers"] = msgspec.json.encode(message.headers)
    return fields | more | {"body": message.body}


def message_from(fields: Mapping[bytes, bytes]) -> tuple[Message, int]:
    """Read a message, and which attempt it is; also one that somebody else has added to the stream."""
    if b"packed" in fields:
        fields = msgspec.msgpack.decode(fields[b"packed"], type=dict[bytes, bytes])
    body = fields.get(b"body", b"")
    name = text_of(fields, b"ce_id") or hashlib.sha256(body).hexdigest()[:32]
    stamp = None
    with suppress(ValueError):
        stamp = datetime.fromisoformat(text_of(fields, b"ce_time"))
    if stamp is None:
        stamp = datetime.now(UTC)
    headers: dict[str, str] = {}
    if b"headers" in fields:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            headers = _HEADERS.decode(fields[b"headers"])
    message = Message(
        message_id=name,
        type=text_of(fields, b"ce_type"),
        subject=text_of(fields, b"ce_subject") or name,
        body=body,
        timestamp=stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC),
        source=text_of(fields, b"ce_source"),
        headers=headers,
    )
    attempt = fields.get(b"attempt", b"1")
    return message, int(attempt) if attempt.isdigit() else 1


def text_of(fields: Mapping[bytes, bytes], name: bytes) -> str:
    """Return a field as text, empty where there is none."""
    return fields.get(name, b"").decode("utf-8", "replace")


def packed(message: Message, attempt: int) -> bytes:
    """Return a message as one value."""
    fields = fields_of(message, attempt=str(attempt))
    pairs = {name.encode(): value if isinstance(value, bytes) else value.encode() for name, value in fields.items()}
    return msgspec.msgpack.encode(pairs)


def letter_of(fields: Mapping[bytes, bytes], queue: str) -> DeadLetter:
    """Read a dead letter."""
    message, attempt = message_from(fields)
    died = datetime.now(UTC)
    with suppress(ValueError):
        died = datetime.fromisoformat(text_of(fields, b"died_at"))
    return DeadLetter(
        message=message,
        queue=queue,
        reason=text_of(fields, b"reason"),
        died_at=died,
        attempt=attempt,
    )
