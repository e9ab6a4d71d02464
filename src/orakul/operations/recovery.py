"""Automatic recovery, only where it is asked for: retry, a fallback value, the files put back.

Written as decorators below `@operation`, so that one operation is one record and each attempt a step of it.
"""

import asyncio
import functools
import inspect
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from orakul.operations.steps import step

__all__ = ["fallback", "restoring_files", "retrying"]

F = TypeVar("F", bound=Callable[..., Any])


def _waits(times: int, delay: float, factor: float, longest: float, jitter: float) -> Iterator[float]:
    for _ in range(times):
        yield min(delay, longest) * (1 + random.uniform(-jitter, jitter))  # noqa: S311 (not for secrets)
        delay *= factor


def retrying(
    attempts: int = 3,
    *,
    on: type[Exception] | tuple[type[Exception], ...] = Exception,
    delay: float = 0.1,
    factor: float = 2.0,
    longest: float = 30.0,
    jitter: float = 0.1,
) -> Callable[[F], F]:
    """Call again where it fails with one of `on`, at most `attempts` times in all; the last error is raised.

    Waits `delay` seconds, then `factor` times as long each time, up to `longest`; ± `jitter` of it at random.
    Functions and coroutines.
    """
    if attempts < 1:
        raise ValueError("attempts counts the first call too: it is at least 1")

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def sync(*args: Any, **kwargs: Any) -> Any:
            for wait in _waits(attempts - 1, delay, factor, longest, jitter):
                try:
                    return function(*args, **kwargs)
                except on as error:
                    step("attempt", error=error)
                    time.sleep(wait)
            return function(*args, **kwargs)

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            for wait in _waits(attempts - 1, delay, factor, longest, jitter):
                try:
                    return await function(*args, **kwargs)
                except on as error:
                    step("attempt", error=error)
                    await asyncio.sleep(wait)
            return await function(*args, **kwargs)

        return coroutine if inspect.iscoroutinefunction(function) else sync  # type: ignore[return-value]

    return decorate


def fallback(value: Any, *, on: type[Exception] | tuple[type[Exception], ...] = Exception) -> Callable[[F], F]:
    """Return `value`, or what it returns where it is callable, instead of failing with one of `on`.

    The error is recorded as a step.
    """

    def instead(error: Exception) -> Any:
        step("fallback", error=error)
        return value() if callable(value) else value

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def sync(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except on as error:
                return instead(error)

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            try:
                return await function(*args, **kwargs)
            except on as error:
                return instead(error)

        return coroutine if inspect.iscoroutinefunction(function) else sync  # type: ignore[return-value]

    return decorate


@contextmanager
def restoring_files(*paths: str | Path) -> Iterator[None]:
    """Put the named files back as they were if the block fails: contents restored, new ones removed."""
    with tempfile.TemporaryDirectory(prefix="orakul-restore-") as folder:
        copies = []
        for number, path in enumerate(map(Path, paths)):
            copy = Path(folder) / str(number)
            if path.exists():
                shutil.copy2(path, copy)
            copies.append((path, copy))
        try:
            yield
        except BaseException as error:
            for path, copy in copies:
                if copy.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(copy, path)
                else:
                    path.unlink(missing_ok=True)
            step("restore", target=", ".join(str(path) for path, _ in copies), error=error)
            raise
