"""`operation`: what is decorated, or a block, watched."""

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar, cast, overload

from orakul.operations.collection import Call, monotonic
from orakul.operations.context import frame
from orakul.operations.levels import Level, spec_of
from orakul.operations.record import Outcome
from orakul.operations.watching import begin, end, fail, fail_filtered, filtered, leave, watch

__all__ = ["operation"]

F = TypeVar("F", bound=Callable[..., Any])


class _Block:
    """`with operation("…") as block:` and `async with`; also what decorates, where a name or a level was given."""

    __slots__ = ("_call", "_failed", "_spec", "_start", "_token", "level", "name")

    def __init__(self, name: str | None, level: Level) -> None:
        self.name = name
        self.level = level
        self._call: Call | None = None
        self._failed: str | None = None
        self._start = 0

    def __call__(self, function: F) -> F:
        return watch(function, self.name, self.level)

    def __enter__(self) -> Self:
        if self.name is None:
            raise TypeError('a block needs a name: with operation("LOAD_FILE"):')
        caller = sys._getframe(1)  # noqa: SLF001 (the cheap way to the caller's place)
        self._spec = spec_of(self.name, self.level, caller.f_code.co_filename, caller.f_lineno)
        if self._spec.on:
            self._call, self._token = begin(self._spec)
        else:
            self._start = monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        call, self._call = self._call, None
        if call is None:
            failed, self._failed = self._failed, None
            if error is not None:
                fail_filtered(self._spec, self._start, error)
            elif failed is not None:
                told = filtered(self._spec, self._start, frame.get())
                told.outcome, told.error = Outcome.ERROR, failed
                end(told, None)
            return
        leave(self._token)
        if error is not None:
            fail(call, error)
        else:
            end(call, None)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def annotate(self, **facts: Any) -> None:
        """Add facts to the record."""
        if self._call is not None:
            self._call.facts = {**(self._call.facts or {}), **facts}

    def fail(self, message: str) -> None:
        """Count this block as an error, without an exception."""
        if self._call is not None:
            self._call.outcome = Outcome.ERROR
            self._call.error = message
        else:
            self._failed = message  # below the level, but failures are always told


@overload
def operation(name: F) -> F: ...
@overload
def operation(name: str | None = None, *, level: Level | int | str = Level.STANDARD) -> _Block: ...
def operation(name: Any = None, *, level: Level | int | str = Level.STANDARD) -> Any:
    """Watch what is decorated, or the block: bare, by a name (`"LOAD_FILE"`), with `with` and `async with`.

    Records who called it within what, when, how long, its outcome, the kind and shape of its result, or its error.
    `level` is a `Level` or its name. Exceptions are always raised on. Calls cost about a microsecond; below the level
    that is set, a fraction of that.
    """
    if callable(name):
        return watch(name, None, Level.STANDARD)
    return _Block(name, level if isinstance(level, Level) else Level(cast("int", level)))
