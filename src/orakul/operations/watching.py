"""A function, a method, a generator, watched (`operation` in `blocks` is the way in).

Four wrappers, one for each kind of function, so that each is timed over its whole run: a coroutine to its return, a
generator from its first step to its last. The outcome follows from how it ends: `Exception` is an error,
`CancelledError` cancelled, `GeneratorExit` closed, `KeyboardInterrupt` and `SystemExit` aborted; all are raised on.
"""

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from threading import current_thread
from typing import Any, NamedTuple, Protocol, TypeVar

from orakul.operations.collection import Call, collector, monotonic
from orakul.operations.context import frame, ids, reset
from orakul.operations.levels import Level, Spec, spec_of
from orakul.operations.record import Outcome

__all__ = [
    "SIZED",
    "Bridge",
    "begin",
    "end",
    "fail",
    "fail_filtered",
    "filtered",
    "judge",
    "leave",
    "set_bridge",
    "set_failure_rule",
    "watch",
]

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


def leave(token: Any) -> None:
    """Go back to the call around."""
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


def begin(spec: Spec) -> tuple[Call, Any]:
    """Begin a call, below the one that runs here; return it and what `leave` needs."""
    span = ids.next()
    trace, parent, context = _get() or (span, 0, None)
    call = Call(spec, trace, span, parent, context, current_thread(), monotonic())
    token = _enter(call)
    _running[span] = call
    return call, token


def end(call: Call, result: Any) -> None:
    """End a call that returned."""
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


def fail(call: Call, error: BaseException) -> None:
    """End a call that raised."""
    call.end = monotonic()
    call.outcome = _outcome_of(error)
    call.error = error
    _take(call)
    _running.pop(call.span, None)


def filtered(spec: Spec, start: int, around: Any) -> Call:
    """Return a call below the level, made only when it is known to have failed."""
    span = ids.next()
    trace, parent, context = around or (span, 0, None)
    return Call(spec, trace, span, parent, context, current_thread(), start)


def fail_filtered(spec: Spec, start: int, error: BaseException, around: Any = None) -> None:
    """Take a failure below the level: failures are always told."""
    if isinstance(error, Exception):
        fail(filtered(spec, start, around or _get()), error)


def _judge_filtered(spec: Spec, start: int, result: Any, around: Any = None) -> None:
    # So are those that are returned.
    if _failure_rule is _soft_failure and result.get("success") is not False:
        return
    call = filtered(spec, start, around or _get())
    judge(call, result)
    if call.outcome is Outcome.ERROR:
        call.end, call.result = monotonic(), type(result)
        _take(call)


def _sync(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    @functools.wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Any:
        if not spec.on:
            start = monotonic()
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                fail_filtered(spec, start, error)
                raise
            if type(result) is dict or _failure_rule is not _soft_failure:
                _judge_filtered(spec, start, result)
            return result
        if _bridge is not None:
            call, token = begin(spec)
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                fail(call, error)
                raise
            finally:
                leave(token)
            end(call, result)
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
            fail(call, error)
            raise
        finally:
            _unset(token)
        if result is None:
            call.end = monotonic()
            _take(call)
            del _running[span]
        else:
            end(call, result)
        return result

    return watched


def _coroutine(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    @functools.wraps(function)
    async def watched(*args: Any, **kwargs: Any) -> Any:
        if not spec.on:
            start = monotonic()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                fail_filtered(spec, start, error)
                raise
            if type(result) is dict or _failure_rule is not _soft_failure:
                _judge_filtered(spec, start, result)
            return result
        call, token = begin(spec)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            fail(call, error)
            raise
        finally:
            leave(token)
        end(call, result)
        return result

    return watched


def _generator(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    @functools.wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        if not spec.on:
            start, around = monotonic(), _get()
            try:
                result = yield from function(*args, **kwargs)
            except BaseException as error:
                fail_filtered(spec, start, error, around)
                raise
            if type(result) is dict or _failure_rule is not _soft_failure:
                _judge_filtered(spec, start, result, around)
            return result
        inner = function(*args, **kwargs)
        call, token = begin(spec)
        leave(token)
        sent: Any = None
        thrown: BaseException | None = None
        try:
            while True:
                # The variable is ours during a step only: between steps the consumer runs, and is no child of ours.
                token = _enter(call)
                try:
                    item = inner.throw(thrown) if thrown is not None else inner.send(sent)
                finally:
                    leave(token)
                sent, thrown = None, None
                try:
                    sent = yield item
                except GeneratorExit:
                    inner.close()
                    raise
                except BaseException as error:  # noqa: BLE001 (what the consumer throws is the generator's to handle)
                    thrown = error
        except StopIteration as stop:
            end(call, stop.value)
            return stop.value
        except BaseException as error:
            fail(call, error)
            raise

    return watched


def _async_generator(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    @functools.wraps(function)
    async def watched(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = function(*args, **kwargs)
        call: Call | None = None
        start, around = monotonic(), _get()
        if spec.on:
            call, token = begin(spec)
            leave(token)
        sent: Any = None
        thrown: BaseException | None = None
        try:
            while True:
                inside = call and _enter(call)
                try:
                    item = await (inner.athrow(thrown) if thrown is not None else inner.asend(sent))
                finally:
                    if inside:
                        leave(inside)
                sent, thrown = None, None
                try:
                    sent = yield item
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 (what the consumer throws is the generator's to handle)
                    thrown = error
        except StopAsyncIteration:
            if call is not None:
                end(call, None)
        except BaseException as error:
            (fail(call, error) if call is not None else fail_filtered(spec, start, error, around))
            raise

    return watched


def watch(function: F, name: str | None, level: Level) -> F:
    """Return the function, watched."""
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
