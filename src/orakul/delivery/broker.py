"""Contract: a broker, what carries messages from the relay to the consumers, at least once.

A product fulfils `Broker` in one file of `brokers/` and joins by an entry point of the group `orakul.brokers`, named
after the scheme of its addresses; `open_broker(url)` finds it. All calls belong to one event loop.

What holds for every product (`tests/contracts/test_brokers.py`):

- `publish` answers for each message; what is `confirmed` outlives a restart of the broker;
- messages of one subject come to a queue in the order in which they were confirmed (`retry` takes a message out of it);
- what was received and neither acknowledged, put off nor declared dead comes again, to this process or another;
- a queue that was once declared keeps what matches its patterns while nobody takes from it;
- a message put off comes again after its delay and only to that queue, with `attempt` one higher; a dead one lies in
  the queue's dead letters, with the reason, until it is replayed or discarded.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from orakul import extensions
from orakul.delivery.message import Message
from orakul.errors import SettingsError

__all__ = [
    "Broker",
    "DeadLetter",
    "Depth",
    "Outcome",
    "Receipt",
    "Received",
    "Stream",
    "Subscription",
    "matches",
    "open_broker",
]


class Outcome(StrEnum):
    """What became of a message that was published."""

    CONFIRMED = "confirmed"
    """The broker has it, and will keep it."""
    UNHEARD = "unheard"
    """The broker took it, and no queue listens to its type: nobody will ever get it."""
    REFUSED = "refused"
    """The broker does not take this one now (a full queue, a limit); `reason` says why. Trying later may help."""
    IMPOSSIBLE = "impossible"
    """The broker will never take this one (too large, unencodable)."""
    UNKNOWN = "unknown"
    """The broker went away before it answered: the message may or may not be there, and is to be sent again."""


class Receipt(msgspec.Struct, frozen=True):
    """The broker's answer for one message."""

    outcome: Outcome
    reason: str | None = None

    @property
    def settled(self) -> bool:
        """Whether the message need not be sent again."""
        return self.outcome is Outcome.CONFIRMED or self.outcome is Outcome.UNHEARD


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer's queue: durable, named after the consumer, shared by all processes that run it.

    Patterns are those of topics: parts by dots, `*` is one part, `#` is any number; `defect.*`, `#`. With `ordered`
    one process at a time gets the messages, the others stand by, so that the order of subjects holds among processes.
    """

    queue: str
    patterns: tuple[str, ...] = ("#",)
    prefetch: int = 100
    """How many received messages may be unsettled at once."""
    ordered: bool = False


class Received(Protocol):
    """A message received. Exactly one of `ack`, `retry` and `dead` is to be called.

    Each raises BrokerUnavailableError where the broker is away or has taken the message back meanwhile: then it comes
    again, here or elsewhere.
    """

    @property
    def message(self) -> Message:
        """What was sent."""
        ...

    @property
    def queue(self) -> str:
        """The queue that it came from."""
        ...

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1: one more for each `retry`; a redelivery after a crash does not count."""
        ...

    @property
    def redelivered(self) -> bool:
        """Whether the broker says that it was delivered before (it may have been handled, or not)."""
        ...

    async def ack(self) -> None:
        """Say that it was handled. Cheap: acknowledgements go out together."""
        ...

    async def retry(self, delay: float, reason: str = "") -> None:
        """Put it off: it comes again to this queue after about `delay` seconds, as the next attempt."""
        ...

    async def dead(self, reason: str) -> None:
        """Lay it into the queue's dead letters."""
        ...


class Stream(Protocol):
    """The messages of a subscription, as they come. It outlives a broker that goes away and comes back."""

    def __aiter__(self) -> AsyncIterator[Received]:
        """Iterate over the messages; ends when the stream is closed."""
        ...

    async def take(self, limit: int = 100) -> list[Received]:
        """Wait for at least one message and return what is there, at most `limit`; none when the stream is closed."""
        ...

    async def close(self) -> None:
        """Take no more. What was taken may still be settled; what was not taken goes back at once.

        Messages in hand that are not settled when the broker is closed come again.
        """
        ...


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that its consumer could not handle."""

    message: Message
    queue: str
    reason: str
    died_at: datetime
    attempt: int


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """How much a queue holds; None where the product cannot say."""

    waiting: int
    """Ready to be received, or received and not yet settled."""
    delayed: int | None = None
    """Put off to later."""
    dead: int = 0
    oldest: datetime | None = None
    """When the oldest that waits was published."""


class Broker(Protocol):
    """Made of its address: `Product(url)`, options in the address's query. Nothing is connected before `connect`."""

    async def connect(self) -> None:
        """Connect, and make what publishing needs; raise BrokerUnavailableError. May be called again."""
        ...

    async def publish(self, messages: Sequence[Message]) -> list[Receipt]:
        """Send the messages at once and return the broker's answer for each, in their order.

        Connects where it is not connected. Raises BrokerUnavailableError where nothing was sent.
        """
        ...

    async def subscribe(self, subscription: Subscription) -> Stream:
        """Declare the queue, unless it is there, and receive from it."""
        ...

    async def dead_letters(self, queue: str, limit: int = 100) -> list[DeadLetter]:
        """Return the queue's dead letters, oldest first; they stay where they are."""
        ...

    async def replay(self, queue: str, message_ids: Collection[str] | None = None) -> list[str]:
        """Put dead letters back into their queue as a first attempt; return their ids. `None`: all of them.

        Each is sent as `message.replayed(letter.message, letter.attempt)`, so that earlier attempts are not forgotten.
        """
        ...

    async def discard(self, queue: str, message_ids: Collection[str]) -> list[str]:
        """Throw dead letters away; return the ids of those that were there."""
        ...

    async def depth(self, queue: str) -> Depth:
        """Return how much the queue holds; all zero for one that is not there."""
        ...

    async def remove(self, queue: str) -> None:
        """Delete the queue with all it holds, its dead letters included: for a consumer that is no more."""
        ...

    async def close(self) -> None:
        """Close its streams and leave the broker. What was received and not settled comes again."""
        ...


def open_broker(url: str, options: Mapping[str, object] | None = None) -> Broker:
    """Return the broker of an address; raise SettingsError where nothing is installed for its scheme."""
    scheme = urlsplit(url).scheme.lower()
    known = extensions.names("orakul.brokers")
    if scheme not in known:
        raise SettingsError(
            f"no broker is known for addresses that begin with {scheme or url}://; there is: "
            + ", ".join(f"{name}://" for name in known)
        )
    made: Broker = extensions.load("orakul.brokers", scheme)(url, **(options or {}))
    return made


def matches(pattern: str, event_type: str) -> bool:
    """Return whether a topic pattern matches a type: `*` is one part, `#` is any number of them, none included."""
    return _match(pattern.split("."), event_type.split("."))


def _match(pattern: list[str], parts: list[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "#":
        return any(_match(pattern[1:], parts[at:]) for at in range(len(parts) + 1))
    return bool(parts) and pattern[0] in {"*", parts[0]} and _match(pattern[1:], parts[1:])
