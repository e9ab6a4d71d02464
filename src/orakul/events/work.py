"""What runs here: the task, delivery or export that the caller is part of, for those who write of it (logs).

Whatever runs work tells where to look (`look_for_work`); looking costs something only when somebody asks.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec

__all__ = ["Work", "at_work", "current_work", "look_for_work"]


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a task of any kind, as far as those who run it know it here."""

    task_id: str
    kind: str
    name: str | None = None
    attempt: int | None = None
    run: int = 0
    queue: str | None = None
    worker: str | None = None
    user_id: str | None = None
    trace_id: str | None = None
    secrets: tuple[str, ...] = ()
    """Values of masked arguments, to be hidden in texts."""


_here: ContextVar[Work | None] = ContextVar("orakul_work", default=None)


@contextmanager
def at_work(work: Work) -> Iterator[None]:
    """Say what the caller works at inside the block; contexts that are copied there know it too."""
    token = _here.set(work)
    try:
        yield
    finally:
        _here.reset(token)


Find = Callable[[], Work | None]

_finders: list[Callable[[], Find | None]] = []


def look_for_work(find: Find) -> None:
    """Ask `find` too, which returns what runs in the caller's context, or None; a method is held weakly."""
    held = weakref.WeakMethod(find) if hasattr(find, "__self__") else lambda: find
    _finders[:] = [known for known in _finders if known() is not None and known() != find]
    _finders.append(held)


def current_work() -> Work | None:
    """Return what runs here, or None; never raises."""
    if (said := _here.get()) is not None:
        return said
    for held in _finders:
        find = held()
        if find is None:
            continue
        try:
            work = find()
        except Exception:  # noqa: BLE001, S112 (a line without its task is better than none)
            continue
        if work is not None:
            return work
    return None
