"""Consumers: who listens to which events, and how.

    from orakul.delivery import Consumers

    consumers = Consumers()

    @consumers.consumer("email_notifications", on="defect.status_changed")
    async def notify(event: DefectStatusChanged) -> None:
        await send_mail(event.defect_id, event.new_status)

`orakul consume module:consumers` runs them. The name is the queue's name, and the identity under which the inbox and
the control room know the consumer: it outlives any change of the function.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from orakul.delivery.broker import matches
from orakul.delivery.handler import Handler
from orakul.delivery.inbox import Inbox
from orakul.delivery.retries import DEFAULT_RETRIES, Permanence, Retries, is_permanent
from orakul.errors import SettingsError

__all__ = ["Consumer", "Consumers", "consumer"]

F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,99}")
_PATTERN = re.compile(r"#|([A-Za-z0-9_\-]+|[*#])(\.([A-Za-z0-9_\-]+|[*#]))*")


class Consumer:
    """One consumer: a name, what it listens to, its handler, and how it wants to be treated.

    `prefetch` messages are taken from the broker at once, `concurrency` of them handled at the same time. `ordered`:
    events of one subject one after the other, in their order, also among processes; a failing one holds those behind
    it back until it is handled or dead. `inbox`: `True` (the database of the settings), an address, an SQLAlchemy
    engine or an Inbox; effects then happen exactly once, see `delivery.inbox`. `timeout`: seconds after which a
    coroutine's attempt has failed.
    """

    def __init__(
        self,
        name: str,
        handler: Callable[..., Any],
        *,
        on: str | Sequence[str],
        prefetch: int = 100,
        concurrency: int = 10,
        ordered: bool = False,
        retries: Retries = DEFAULT_RETRIES,
        permanent: Permanence = is_permanent,
        inbox: Inbox | Any = None,
        timeout: float | None = None,
    ) -> None:
        self.name = name
        self.patterns = (on,) if isinstance(on, str) else tuple(on)
        if not _NAME.fullmatch(name):
            raise SettingsError(f"{name!r} is no name for a consumer: up to 100 letters, digits, '_', '-' and '.'")
        for pattern in self.patterns:
            if not _PATTERN.fullmatch(pattern):
                raise SettingsError(f"{name}: {pattern!r} is no pattern; patterns are like defect.created, defect.*, #")
        if not self.patterns:
            raise SettingsError(f"{name}: on= names no event")
        if prefetch < 1 or concurrency < 1:
            raise SettingsError(f"{name}: prefetch and concurrency are 1 at least")
        self.handler = Handler(handler)
        for kind in self.handler.kinds:
            if not any(matches(pattern, kind) for pattern in self.patterns):
                raise SettingsError(
                    f"{name}: {self.handler.name} reads {kind}, which on={', '.join(self.patterns)} will never bring"
                )
        if self.handler.connection_library and inbox in {None, False}:
            raise SettingsError(
                f"{name}: {self.handler.name} takes a second argument, the inbox's connection, and has no inbox: say "
                "inbox=True, or leave the argument out"
            )
        self.prefetch = max(prefetch, concurrency)
        self.concurrency = concurrency
        self.ordered = ordered
        self.retries = retries
        self.permanent = permanent
        self.inbox = inbox or None
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"Consumer({self.name!r}, on={self.patterns!r})"


class Consumers:
    """The consumers that a process runs. Options given here hold for all that do not say otherwise."""

    def __init__(self, *members: "Consumer | Callable[..., Any]", **defaults: Any) -> None:
        self._defaults = defaults
        self._members: dict[str, Consumer] = {}
        for member in members:
            self.add(member)

    def consumer(self, name: str, *, on: str | Sequence[str], **options: Any) -> Callable[[F], F]:
        """Make the decorated function the handler of a consumer; see `Consumer` for the options."""

        def decorate(function: F) -> F:
            self.add(Consumer(name, function, on=on, **{**self._defaults, **options}))
            return function

        return decorate

    def add(self, member: "Consumer | Callable[..., Any]") -> None:
        """Take in a consumer, or a function decorated by `@consumer`."""
        found = member if isinstance(member, Consumer) else getattr(member, "orakul_consumer", None)
        if not isinstance(found, Consumer):
            raise SettingsError(f"{member!r} is no consumer: decorate it by @consumer('name', on='…')")
        known = self._members.get(found.name)
        if known is not None and known is not found:
            raise SettingsError(
                f"two consumers are called {found.name!r} ({known.handler.name} and {found.handler.name}): they would "
                "share one queue, and each would get half of the events"
            )
        self._members[found.name] = found

    def __iter__(self) -> Iterator[Consumer]:
        return iter(list(self._members.values()))

    def __len__(self) -> int:
        return len(self._members)


def consumer(name: str, *, on: str | Sequence[str], **options: Any) -> Callable[[F], F]:
    """Make the decorated function a consumer; `orakul consume module` runs all of a module's.

    It stays an ordinary function. See `Consumer` for the options.
    """

    def decorate(function: F) -> F:
        function.orakul_consumer = Consumer(name, function, on=on, **options)  # type: ignore[attr-defined]  # a mark
        return function

    return decorate
