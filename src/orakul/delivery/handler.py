"""How a handler is called: its parameters say what it wants."""

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from orakul.errors import InvalidEventError, SettingsError
from orakul.events import Event, EventType

__all__ = ["Delivery", "Handler"]

_UNIONS = (types.UnionType, typing.Union)


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler may ask about the delivery: annotate a parameter with it."""

    consumer: str
    event: Event
    attempt: int
    """Which attempt this is, from 1."""
    task_id: str
    """The task that this delivery is in the control room."""
    redelivered: bool = False
    """Whether the broker says that an earlier try may have been under way."""


class Handler:
    """A function and what it is to be called with.

    The first parameter gets the event: an EventType (or a union of some) its data, read and checked; `dict` its data as
    they are; Event, or nothing said, the event itself. One annotated `Delivery` gets that; one more gets the connection
    of the inbox's transaction.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 (an object with an async __call__)
        )
        self.connection_library: str | None = None
        """The library of the connection it wants, None where it wants none."""
        self.kinds: dict[str, type[EventType]] = {}
        """The types it reads, by name; empty: it takes the event as it is."""
        self._plain_data = False
        self._extra: list[str] = []
        self._read_parameters()

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return f"{self.function.__module__}.{getattr(self.function, '__qualname__', 'handler')}"

    def _read_parameters(self) -> None:
        try:
            parameters = list(inspect.signature(self.function).parameters.values())
            hints = typing.get_type_hints(self.function)
        except (NameError, TypeError, ValueError) as error:
            raise SettingsError(f"{self.name}: its parameters cannot be read: {error}") from error
        positional = [each for each in parameters if each.kind not in {each.VAR_KEYWORD, each.VAR_POSITIONAL}]
        if not positional:
            raise SettingsError(f"{self.name} takes no argument: its first one is to be the event")
        self._read_first(hints.get(positional[0].name))
        for parameter in positional[1:]:
            hint = hints.get(parameter.name)
            if hint is Delivery:
                self._extra.append("delivery")
            elif parameter.default is not parameter.empty:
                break
            elif self.connection_library is None:
                self.connection_library = _library(hint)
                self._extra.append("connection")
            else:
                raise SettingsError(
                    f"{self.name}: {parameter.name!r} is one argument too many; a handler takes the event, a Delivery "
                    "and the connection of its inbox"
                )

    def _read_first(self, hint: Any) -> None:
        for kind in typing.get_args(hint) if typing.get_origin(hint) in _UNIONS else (hint,):
            if isinstance(kind, type) and issubclass(kind, EventType):
                if not kind.type_name:
                    raise SettingsError(f"{self.name}: {kind.__name__} has no name: enter it by @event_type('…')")
                self.kinds[kind.type_name] = kind
            elif kind is dict or typing.get_origin(kind) is dict:
                self._plain_data = True
            elif kind not in {None, Any, Event, object}:
                raise SettingsError(
                    f"{self.name}: its first argument is annotated {kind!r}; it can be Event, dict or an EventType"
                )

    def argument(self, event: Event) -> Any:
        """Return what the handler is given for the event; raise InvalidEventError where the data do not fit."""
        if self._plain_data:
            return event.data
        if not self.kinds:
            return event
        kind = self.kinds.get(event.event_type)
        if kind is None:
            raise InvalidEventError(
                f"{event.event_type}: the consumer's handler reads {', '.join(sorted(self.kinds))} and nothing else"
            )
        return kind.of(event)

    def arguments(self, argument: Any, delivery: Callable[[], Delivery], connection: Any) -> list[Any]:
        """Return all that the handler is called with."""
        if not self._extra:
            return [argument]
        return [argument, *(delivery() if each == "delivery" else connection for each in self._extra)]


def _library(hint: Any) -> str:
    """Return the library whose connection an annotation names; psycopg where it names none."""
    module = getattr(hint, "__module__", "") or ""
    return "sqlalchemy" if module.partition(".")[0] == "sqlalchemy" else "psycopg"
