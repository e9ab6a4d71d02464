"""`operation`: a function, a method, a generator or a block, watched.

Four wrappers, one for each kind of function, so that each is timed over its whole run: a coroutine to its return, a
generator from its first step to its last. The outcome follows from how it ends: `Exception` is an error,
`CancelledError` cancelled, `GeneratorExit` closed, `KeyboardInterrupt` and `SystemExit` aborted; all are raised on.
"""

import asyncio
import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from threading import current_thread
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, TypeVar, overload

from orakul.operations.collection import Call, collector, monotonic
from orakul.operations.context import frame, ids, reset
from orakul.operations.levels import Level, Spec, spec_of
from orakul.operations.record import Outcome

__all__ = ["SIZED", "Bridge", "judge", "operation", "set_bridge", "set_failure_rule"]

F = TypeVar("F", bound=Callable[..., Any])

_get, _set, _unset = frame.get, frame.set, frame.reset
_take, _running, _buffer, _append = collector.take, collector.running, collector.buffer, collector.buffer.append
SIZED = frozenset((list, dict, tuple, set, frozenset, str, bytes, bytearray))


def _soft_failure(result: Any) -> str | None:
    """Return the message of a failure that is returned, not raised: `{"success": False, "error": …}`."""
    if type(result) is dict and result.get("success") is False:
        return str(result.get("error", "success is False"))
    return None


_failure_rule: Callable[[Any], str | None] = _soft_failure


class Bridge(Protocol):
    """Joins operations with the spans of another tracer, in the caller's thread, so it must be quick."""

    def enter(self, call: Call) -> Any:
        """Let what the tracer begins from here on be below the call; return what `leave` needs."""
        ...

    def leave(self, token: Any) -> None:
        """End that."""
        ...


_bridge: Bridge | None = None


def set_bridge(bridge: Bridge | None) -> None:
    """Join operations with another tracer's spans (`orakul.telemetry.opentelemetry`), or no longer."""
    global _bridge  # noqa: PLW0603 (one tracer a process)
    _bridge = bridge


class _Entered(NamedTuple):
    """An operation whose frame is set, and which the other tracer has been told of."""

    ours: Any
    theirs: Any


def _enter(call: Call) -> Any:
    if _bridge is None:
        return _set((call.trace, call.span, call.context))
    theirs = _bridge.enter(call)  # first, since it may move the call into a trace of theirs
    return _Entered(_set((call.trace, call.span, call.context)), theirs)


def _leave(token: Any) -> None:
    if isinstance(token, _Entered):
        if _bridge is not None:
            _bridge.leave(token.theirs)
        token = token.ours
    reset(token)


def set_failure_rule(rule: Callable[[Any], str | None] | None) -> None:
    """Replace the rule by which a returned value counts as an error: it returns the message, or None.

    `None` instead of a rule restores the one that was there first.
    """
    global _failure_rule  # noqa: PLW0603 (one rule a process)
    _failure_rule = rule or _soft_failure


def _begin(spec: Spec) -> tuple[Call, Any]:
    span = ids.next()
    trace, parent, context = _get() or (span, 0, None)
    call = Call(spec, trace, span, parent, context, current_thread(), monotonic())
    token = _enter(call)
    _running[span] = call
    return call, token


def _end(call: Call, result: Any) -> None:
    call.end = monotonic()
    if result is not None:
        kind = call.result = type(result)
        if kind in SIZED:
            call.size = len(result)
            if kind is dict or _failure_rule is not _soft_failure:
                judge(call, result)
        else:
            _measure(call, result)
    _take(call)
    _running.pop(call.span, None)


def judge(call: Call, result: Any) -> None:
    """Let the failure rule look at a result."""
    try:
        message = _failure_rule(result)
    except Exception as error:  # noqa: BLE001 (a user's rule may raise anything; the result stands)
        message = f"the failure rule itself failed: {error!r}"
    if message is not None:
        call.outcome = Outcome.ERROR
        call.error = message


def _measure(call: Call, result: Any) -> None:
    shape = getattr(result, "shape", None)
    if type(shape) is tuple and all(isinstance(each, int) for each in shape):
        call.shape = shape
    if _failure_rule is not _soft_failure:
        judge(call, result)


def _outcome_of(error: BaseException) -> Outcome:
    if isinstance(error, Exception):
        return Outcome.ERROR
    if isinstance(error, asyncio.CancelledError):
        return Outcome.CANCELLED
    if isinstance(error, GeneratorExit):
        return Outcome.CLOSED
    return Outcome.ABORTED


def _fail(call: Call, error: BaseException) -> None:
    call.end = monotonic()
    call.outcome = _outcome_of(error)
    call.error = error
    _take(call)
    _running.pop(call.span, None)


def _fail_filtered(spec: Spec, start: int, error: BaseException) -> None:
    # Below the level, but failures are always told.
    if not isinstance(error, Exception):
        return
    span = ids.next()
    trace, parent, context = _get() or (span, 0, None)
    call = Call(spec, trace, span, parent, context, current_thread(), start)
    _fail(call, error)


def _sync(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    @functools.wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Any:
        if not spec.on:
            start = monotonic()
            try:
                return function(*args, **kwargs)
            except BaseException as error:
                _fail_filtered(spec, start, error)
                raise
        if _bridge is not None:
            call, token = _begin(spec)
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                _fail(call, error)
                raise
            finally:
                _leave(token)
            _end(call, result)
            return result
        # The same, written out: its calls would be a third of what recording costs.
        span = ids.next()
        trace, parent, context = _get() or (span, 0, None)
        call = Call(spec, trace, span, parent, context, current_thread(), monotonic())
        token = _set((trace, span, context))
        _running[span] = call
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            _fail(call, error)
            raise
        finally:
            _unset(token)
        if result is None:
            call.end = monotonic()
            _take(call)
            del _running[span]
        else:
            _end(call, result)
        return result

    return watched


def _coroutine(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    @functools.wraps(function)
    async def watched(*args: Any, **kwargs: Any) -> Any:
        if not spec.on:
            start = monotonic()
            try:
                return await function(*args, **kwargs)
            except BaseException as error:
                _fail_filtered(spec, start, error)
                raise
        call, token = _begin(spec)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            _fail(call, error)
            raise
        finally:
            _leave(token)
        _end(call, result)
        return result

    return watched


def _generator(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    @functools.wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inner = function(*args, **kwargs)
        call, token = _begin(spec)
        _leave(token)
        sent: Any = None
        thrown: BaseException | None = None
        try:
            while True:
                # The variable is ours during a step only: between steps the consumer runs, and is no child of ours.
                token = _enter(call)
                try:
                    item = inner.throw(thrown) if thrown is not None else inner.send(sent)
                finally:
                    _leave(token)
                sent, thrown = None, None
                try:
                    sent = yield item
                except GeneratorExit:
                    inner.close()
                    raise
                except BaseException as error:  # noqa: BLE001 (what the consumer throws is the generator's to handle)
                    thrown = error
        except StopIteration as stop:
            _end(call, stop.value)
            return stop.value
        except BaseException as error:
            _fail(call, error)
            raise

    return watched


def _async_generator(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    @functools.wraps(function)
    async def watched(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = function(*args, **kwargs)
        call, token = _begin(spec)
        _leave(token)
        sent: Any = None
        thrown: BaseException | None = None
        try:
            while True:
                token = _enter(call)
                try:
                    item = await (inner.athrow(thrown) if thrown is not None else inner.asend(sent))
                finally:
                    _leave(token)
                sent, thrown = None, None
                try:
                    sent = yield item
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 (what the consumer throws is the generator's to handle)
                    thrown = error
        except StopAsyncIteration:
            _end(call, None)
        except BaseException as error:
            _fail(call, error)
            raise

    return watched


class _Block:
    """`with operation("…") as block:` and `async with`; also what decorates, where a name or a level was given."""

    __slots__ = ("_call", "_spec", "_start", "_token", "level", "name")

    def __init__(self, name: str | None, level: Level) -> None:
        self.name = name
        self.level = level
        self._call: Call | None = None
        self._start = 0

    def __call__(self, function: F) -> F:
        return _watch(function, self.name, self.level)

    def __enter__(self) -> Self:
        if self.name is None:
            raise TypeError('a block needs a name: with operation("LOAD_FILE"):')
        caller = sys._getframe(1)  # noqa: SLF001 (the cheap way to the caller's place)
        self._spec = spec_of(self.name, self.level, caller.f_code.co_filename, caller.f_lineno)
        if self._spec.on:
            self._call, self._token = _begin(self._spec)
        else:
            self._start = monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        call, self._call = self._call, None
        if call is None:
            if error is not None:
                _fail_filtered(self._spec, self._start, error)
            return
        _leave(self._token)
        if error is not None:
            _fail(call, error)
        else:
            _end(call, None)

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


def _watch(function: F, name: str | None, level: Level) -> F:
    code = getattr(inspect.unwrap(function), "__code__", None)
    spec = spec_of(
        name or function.__qualname__,
        level,
        code.co_filename if code else "",
        code.co_firstlineno if code else 0,
    )
    if inspect.isasyncgenfunction(function):
        wrap = _async_generator
    elif inspect.iscoroutinefunction(function):
        wrap = _coroutine
    elif inspect.isgeneratorfunction(function):
        wrap = _generator
    else:
        wrap = _sync
    return wrap(function, spec)  # type: ignore[return-value]


@overload
def operation(name: F) -> F: ...
@overload
def operation(name: str | None = None, *, level: Level | int = Level.STANDARD) -> _Block: ...
def operation(name: Any = None, *, level: Level | int = Level.STANDARD) -> Any:
    """Watch what is decorated, or the block: bare, by a name (`"LOAD_FILE"`), with `with` and `async with`.

    Records who called it within what, when, how long, its outcome, the kind and shape of its result, or its error.
    Exceptions are always raised on. Calls cost about a microsecond; below the level that is set, a fraction of that.
    """
    if callable(name):
        return _watch(name, None, Level.STANDARD)
    return _Block(name, Level(level))
