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
from typing import Any, Self, TypeVar, overload

from orakul.operations.collector import Call, collector, monotonic
from orakul.operations.context import frame, ids, reset
from orakul.operations.levels import Level, Spec, spec_of
from orakul.operations.record import Outcome

__all__ = ["annotate", "operation", "set_failure_rule", "step", "watch_calls"]

F = TypeVar("F", bound=Callable[..., Any])

_get, _set, _unset = frame.get, frame.set, frame.reset
_take, _running, _buffer, _append = collector.take, collector.running, collector.buffer, collector.buffer.append
_SIZED = frozenset((list, dict, tuple, set, frozenset, str, bytes, bytearray))


def _soft_failure(result: Any) -> str | None:
    """Return the message of a failure that is returned, not raised: `{"success": False, "error": …}`."""
    if type(result) is dict and result.get("success") is False:
        return str(result.get("error", "success is False"))
    return None


_failure_rule: Callable[[Any], str | None] = _soft_failure


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
    token = _set((trace, span, context))
    _running[span] = call
    return call, token


def _end(call: Call, result: Any) -> None:
    call.end = monotonic()
    if result is not None:
        kind = call.result = type(result)
        if kind in _SIZED:
            call.size = len(result)
            if kind is dict or _failure_rule is not _soft_failure:
                _judge(call, result)
        else:
            _measure(call, result)
    _take(call)
    _running.pop(call.span, None)


def _judge(call: Call, result: Any) -> None:
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
        _judge(call, result)


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
        # _begin and _end, written out: two calls are a third of what recording costs.
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
            reset(token)
        _end(call, result)
        return result

    return watched


def _generator(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    @functools.wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inner = function(*args, **kwargs)
        call, token = _begin(spec)
        here = _get()
        reset(token)
        sent: Any = None
        thrown: BaseException | None = None
        try:
            while True:
                # The variable is ours during a step only: between steps the consumer runs, and is no child of ours.
                token = _set(here)
                try:
                    item = inner.throw(thrown) if thrown is not None else inner.send(sent)
                finally:
                    reset(token)
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
        here = _get()
        reset(token)
        sent: Any = None
        thrown: BaseException | None = None
        try:
            while True:
                token = _set(here)
                try:
                    item = await (inner.athrow(thrown) if thrown is not None else inner.asend(sent))
                finally:
                    reset(token)
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
        reset(self._token)
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


def step(
    name: str,
    *,
    target: object = None,
    result: object = None,
    error: str | BaseException | None = None,
    level: Level = Level.STANDARD,
) -> None:
    """Tell of a sub-operation of the operation that runs here; outside of any, nothing.

    For instance `step("read", target="file")`.
    """
    around = _get()
    if around is None or not around[1]:
        return
    spec = spec_of(name, level)
    if not spec.on and error is None:
        return
    now = monotonic()
    trace, parent, context = around
    call = Call(spec, trace, ids.next(), parent, context, current_thread(), now, now)
    _finish_step(call, target, result, error)


def _finish_step(call: Call, target: object, result: object, error: str | BaseException | None) -> None:
    call.step = True
    if target is not None:
        call.facts = {"target": target if isinstance(target, str) else str(target)}
    if error is not None:
        call.outcome, call.error = Outcome.ERROR, error
    elif result is not None:
        call.result = type(result)
        if call.result in _SIZED:
            call.size = len(result)  # type: ignore[arg-type]
            if call.result is dict:
                _judge(call, result)
    _take(call)


def watch_calls(instance: Any, method: str, *, level: Level = Level.STANDARD) -> Callable[[], None]:
    """Let each call of a method of an object, inside an operation, be a sub-operation; return what undoes it.

    For applications that pass messages: the first argument is the sub-operation's name where it is text, and the
    `target` keyword or the second argument its target.
    """
    original = getattr(instance, method)

    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        around = _get()
        if around is None or not around[1]:
            return original(*args, **kwargs)
        trace, parent, context = around
        name = args[0] if args and isinstance(args[0], str) else method
        spec = spec_of(name, level)
        target = kwargs.get("target", args[1] if len(args) > 1 else None)
        call = Call(spec, trace, ids.next(), parent, context, current_thread(), monotonic())
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            call.end = monotonic()
            _finish_step(call, target, None, error)
            raise
        call.end = monotonic()
        if spec.on:
            _finish_step(call, target, result, None)
        return result

    setattr(instance, method, watched)

    def undo() -> None:
        setattr(instance, method, original)

    return undo


def annotate(**facts: Any) -> None:
    """Add facts to the operation that runs here; outside of any: nothing."""
    here = _get()
    call = _running.get(here[1]) if here is not None else None
    if call is not None:
        call.facts = {**(call.facts or {}), **facts}
