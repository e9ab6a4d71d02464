"""Observers: whoever is told of events inside the process. One mechanism, two ways in.

- any object with `observe(event)`, sync or async, or a plain function, sync or async, that takes the event;
- a subclass of a typed base, whose methods name the event and take its data as its class:

      class Alarm(TaskObserver):
          async def on_failed(self, failed: TaskFailed) -> None:
              await page(failed.envelope.task_id, failed.error)

An observer with `immediate = True` is told in the publisher's thread, before `publish` returns: for what takes
microseconds and must not be lost, such as the recorder. All others have a queue.
"""

import difflib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Protocol, TypeAlias

from orakul.events.catalogue import CATALOGUE, EventType
from orakul.events.event import Event
from orakul.events.types import TaskCancelled, TaskCompleted, TaskFailed, TaskInProgress, TaskPending, TaskProgress

__all__ = [
    "AnyObserver",
    "AsyncObserver",
    "Observer",
    "TaskObserver",
    "TypedObserver",
    "declared",
    "is_async",
    "name_of",
    "telling",
    "wants_of",
]


class AsyncObserver(Protocol):
    """An object that is told of events, in an event loop."""

    async def observe(self, event: Event) -> None:
        """Be told."""
        ...


class Observer(Protocol):
    """An object that is told of events, in a thread of its own."""

    def observe(self, event: Event) -> None:
        """Be told."""
        ...


AnyObserver: TypeAlias = AsyncObserver | Observer | Callable[[Event], None] | Callable[[Event], Awaitable[None]]


class TypedObserver:
    """The base of typed bases: each method `on_…` is told of the type that its name says, and of no other.

    The type's name is `prefix` and the rest of the method's name. What the method is handed is the type's class
    from the catalogue. A method that names no known type is an error when the class is made, not a silence later.
    """

    prefix: ClassVar[str] = ""
    _types: ClassVar[dict[str, tuple[str, type[EventType]]]] = {}
    _is_async: ClassVar[bool] = False

    def __init_subclass__(cls, *, base: bool = False, **rest: Any) -> None:
        """Find the methods that name events; with `base`, the class only declares them for others to override."""
        super().__init_subclass__(**rest)
        if base:
            return
        known = {
            f"on_{kind.type_name.removeprefix(cls.prefix).replace('.', '_')}": kind
            for kind in CATALOGUE
            if kind.type_name.startswith(cls.prefix)
        }
        methods = {name: method for name in dir(cls) if name.startswith("on_") for method in [getattr(cls, name)]}
        for name in methods:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                raise TypeError(f"{cls.__name__}.{name} names no known event{f'; is it {near[0]}?' if near else ''}")
        told = {name: method for name, method in methods.items() if not getattr(method, "declares_only", False)}
        cls._types = {known[name].type_name: (name, known[name]) for name in told}
        cls._is_async = any(inspect.iscoroutinefunction(method) for method in told.values())

    @property
    def event_types(self) -> frozenset[str]:
        """The types that it wants to be told of."""
        return frozenset(self._types)

    @property
    def is_async(self) -> bool:
        """Whether any of its methods is a coroutine function."""
        return self._is_async

    def observe(self, event: Event) -> Any:
        """Hand the event to the method that it is named in."""
        found = self._types.get(event.event_type)
        if found is None:
            return None
        name, kind = found
        return getattr(self, name)(kind.of(event))


def declared(method: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a method of a typed base that is there to be overridden."""
    method.declares_only = True  # type: ignore[attr-defined]  # functions take attributes
    return method


class TaskObserver(TypedObserver, base=True):
    """Told of what happens to tasks. Override what you want to know, as `def` or `async def`."""

    prefix = "task."

    @declared
    def on_pending(self, event: TaskPending) -> Any:
        """Hear that a task waits."""

    @declared
    def on_in_progress(self, event: TaskInProgress) -> Any:
        """Hear that a task has begun."""

    @declared
    def on_progress(self, event: TaskProgress) -> Any:
        """Hear how far a task is."""

    @declared
    def on_completed(self, event: TaskCompleted) -> Any:
        """Hear that a task has ended well."""

    @declared
    def on_failed(self, event: TaskFailed) -> Any:
        """Hear that a task has failed."""

    @declared
    def on_cancelled(self, event: TaskCancelled) -> Any:
        """Hear that a task was stopped."""


def telling(observer: Any) -> Callable[[Event], Any]:
    """Return what to call to tell the observer."""
    method = getattr(observer, "observe", None)
    found = method if callable(method) else observer
    if not callable(found):
        raise TypeError(f"{observer!r} is no observer: it has no observe(event) and cannot be called")
    told: Callable[[Event], Any] = found
    return told


def is_async(observer: Any) -> bool:
    """Say whether the observer is told in an event loop."""
    said = getattr(observer, "is_async", None)
    if isinstance(said, bool):
        return said
    tell = telling(observer)
    return inspect.iscoroutinefunction(tell) or inspect.iscoroutinefunction(type(tell).__call__)


def name_of(observer: Any) -> str:
    """Return how the observer is called in logs and counts."""
    name = getattr(observer, "name", None)
    if isinstance(name, str) and name:
        return name
    return str(getattr(observer, "__qualname__", None) or type(observer).__qualname__)


def wants_of(observer: Any) -> frozenset[str] | None:
    """Return the types that the observer wants, None for all."""
    wanted = getattr(observer, "event_types", None)
    return frozenset(wanted) if wanted is not None else None
