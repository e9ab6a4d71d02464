"""Steps: what an operation did on its way, told by a call or by watching somebody else's method."""

import functools
from collections.abc import Callable
from threading import current_thread
from typing import Any

from orakul.operations.collection import Call, collector, monotonic
from orakul.operations.context import frame, ids
from orakul.operations.levels import Level, spec_of
from orakul.operations.record import Outcome
from orakul.operations.watching import SIZED, judge

__all__ = ["annotate", "step", "watch_calls"]


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
    around = frame.get()
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
        if call.result in SIZED:
            call.size = len(result)  # type: ignore[arg-type]
            if call.result is dict:
                judge(call, result)
    collector.take(call)


def watch_calls(instance: Any, method: str, *, level: Level = Level.STANDARD) -> Callable[[], None]:
    """Let each call of a method of an object, inside an operation, be a sub-operation; return what undoes it.

    For applications that pass messages: the first argument is the sub-operation's name where it is text, and the
    `target` keyword or the second argument its target.
    """
    original = getattr(instance, method)

    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        around = frame.get()
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
    here = frame.get()
    call = collector.running.get(here[1]) if here is not None else None
    if call is not None:
        call.facts = {**(call.facts or {}), **facts}
