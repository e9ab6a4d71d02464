"""Where a piece of code stands: in which operation, in which flow of work; carried into tasks, threads and executors.

The context variable holds small immutable facts only, never a record: a variable copied into a thousand asyncio tasks
must keep nothing alive.
"""

import contextvars
import functools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, ParamSpec, Self, TypeAlias, TypeVar

__all__ = ["CarryingExecutor", "Frame", "OperationContext", "carry", "carry_into_threads", "current_ids", "frame"]

P = ParamSpec("P")
R = TypeVar("R")


# (trace, span, context): the operation that runs here (span 0: none yet, only a context) and its flow. A plain
# tuple, since a named one costs three times as much to make.
Frame: TypeAlias = tuple[int, int, "OperationContext | None"]

frame: contextvars.ContextVar[Frame | None] = contextvars.ContextVar("orakul_operation", default=None)


class OperationContext:
    """Groups the operations inside it: `with OperationContext(session="s-1", user="7", file="a.dcm"):`.

    Any metadata may be given by name; an inner context adds to the outer. Operations inside one context that has no
    operation around it share one root. Follows into async tasks by itself, into threads by `carry`,
    `CarryingExecutor` or `carry_into_threads`, into processes by `to_ids()` and `resume()`.
    """

    __slots__ = ("_token", "facts")

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        self._token: contextvars.Token[Frame | None] | None = None

    def __enter__(self) -> Self:
        around = frame.get()
        if around is None:
            self._token = frame.set((ids.next(), 0, self))
            return self
        trace, span, context = around
        if context is not None:
            self.facts = {**context.facts, **self.facts}
        self._token = frame.set((trace, span, self))
        return self

    def __exit__(self, *_: object) -> None:
        reset(self._token)

    @staticmethod
    def to_ids() -> dict[str, Any]:
        """Return what another process needs to go on here: JSON-safe; `{}` outside of any operation."""
        here = frame.get()
        if here is None:
            return {}
        trace, span, context = here
        facts = context.facts.items() if context is not None else ()
        plain = {name: value for name, value in facts if isinstance(value, str | int | float | bool)}
        return {"trace": ids.trace(trace), "span": f"{span:016x}", "facts": plain}

    @staticmethod
    @contextmanager
    def resume(told: dict[str, Any]) -> Iterator[None]:
        """Go on, in this process, below the operation that `to_ids()` told of in another."""
        if not told:
            yield
            return
        context = OperationContext(**told.get("facts", {}))
        token = frame.set((int(told["trace"], 16), int(told["span"], 16), context))
        try:
            yield
        finally:
            reset(token)


def reset(token: contextvars.Token[Frame | None] | None) -> None:
    """Take a frame away again, also where the end came in another context than the start."""
    if token is None:
        return
    # An async generator or a with block may be closed by another task: its own context is gone already then.
    with suppress(ValueError):
        frame.reset(token)


def current_ids() -> tuple[str, str] | None:
    """Return `(trace id, span id)` of the operation that runs here, as hex text, or None."""
    here = frame.get()
    return (ids.trace(here[0]), f"{here[1]:016x}") if here is not None and here[1] else None


class Ids:
    """Makes span ids (64 bits, a random start a process) and, of them, trace ids (128 bits).

    A trace that begins here is held as the span id of its root, and widened by the process's prefix when it is shown.
    """

    __slots__ = ("_prefix", "next")

    def __init__(self) -> None:
        self.seed()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.seed)

    def seed(self) -> None:
        """Begin anew: a forked child must not repeat its parent's ids."""
        self._prefix = int.from_bytes(os.urandom(8), "big") << 64 or 1 << 64
        # Below 2^63, so that counting up never passes 64 bits.
        self.next = count(1 + (int.from_bytes(os.urandom(8), "big") >> 1)).__next__

    def wide(self, number: int) -> int:
        """Return the 128 bits of a trace."""
        return number if number >> 64 else self._prefix | number

    def trace(self, number: int) -> str:
        """Return the 32 hex digits of a trace."""
        return f"{self.wide(number):032x}"


ids = Ids()


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` bound to the operation that runs here: give the outcome to a thread or a callback."""
    here = frame.get()

    @functools.wraps(function)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        token = frame.set(here)
        try:
            return function(*args, **kwargs)
        finally:
            reset(token)

    return carried


class CarryingExecutor(ThreadPoolExecutor):
    """A ThreadPoolExecutor whose work runs below the operation that submitted it."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Submit `fn`, carried."""
        return super().submit(carry(fn), *args, **kwargs)


def carry_into_threads() -> Callable[[], None]:
    """Let every `Thread.start` and executor `submit` of this process carry our variable; return what undoes it.

    Opt-in, since it changes two methods of the standard library; no other context variable is touched.
    """
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    @functools.wraps(start)
    def carrying_start(self: threading.Thread) -> None:
        self.run = carry(self.run)  # type: ignore[method-assign]
        start(self)

    def carrying_submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return submit(self, carry(fn), *args, **kwargs)

    def undo() -> None:
        threading.Thread.start = start  # type: ignore[method-assign]
        ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]

    threading.Thread.start = carrying_start  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = carrying_submit  # type: ignore[method-assign,assignment]
    return undo
