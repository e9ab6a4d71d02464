"""Stopping a task that runs: in the process that runs it, the task is asked by an exception, once.

`TaskCancelled` is raised inside the task's function, so that `try … finally` and context managers clean up. How it
gets there depends on the pool:

| pool | asked by | after the grace period |
| --- | --- | --- |
| prefork | a signal to the child, raised where the function stands, also in `time.sleep` and most I/O | killed |
| solo | the same signal, from the worker to itself (by the standing orders: it hears nothing else while busy) | – |
| gevent | thrown into the greenlet where it waits | the greenlet is killed |
| threads | raised at the next line of Python; a call that waits outside Python is not interrupted | – |

A function that catches it and returns has completed: a task is cancelled only where its work was really stopped. A
long loop may also ask by itself: `cancelled()`, `raise_if_cancelled()`.
"""

import ctypes
import functools
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery.exceptions import Ignore

from orakul.runners.celery import headers as names
from orakul.runners.celery import runs

__all__ = ["Key", "TaskCancelled", "ask", "cancelled", "guard", "listen_for_signal", "post", "raise_if_cancelled"]

Key = tuple[str, int]
"""A task id and an attempt."""

SIGNAL = signal.SIGUSR2


class TaskCancelled(Ignore):
    """Somebody cancelled this task: clean up and let it through."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*(args or ("cancelled",)))


class _Guarded:
    """One run of one task's function, in this process."""

    __slots__ = ("asked", "greenlet", "ident", "key", "returned", "thrown")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.ident = threading.get_ident()
        self.greenlet = _current_greenlet()
        self.asked = False
        self.thrown = False
        self.returned = False

    def is_asked(self, author: str | None) -> None:
        """Note who asks, where the recorder of its end sees it."""
        self.asked = True
        run = runs.running.get(self.key[0])
        if run is not None:
            run.cancel_requested = author or ""


_lock = threading.Lock()
_inside: dict[int, _Guarded] = {}  # by thread (by greenlet, where gevent has patched threads)
_mailbox: Path | None = None
_current_greenlet: Callable[[], Any] = lambda: None  # noqa: E731 (replaced by gevent's own)


def use_gevent() -> None:
    """Remember greenlets from now on: this is a worker of gevent."""
    global _current_greenlet  # noqa: PLW0603 (one pool a process)
    from gevent import getcurrent  # noqa: PLC0415 (only a worker of that pool has it)

    _current_greenlet = getcurrent


def guard(task: Any, refuses: Callable[[Key], bool], stopped: Callable[[Any, TaskCancelled], None]) -> None:
    """Put a guard around a task's function: not run where `refuses` says so, stoppable while it runs.

    `stopped` is told when `TaskCancelled` has come out of the function.
    """
    function = task.run
    if getattr(function, "_orakul_guard", False):
        return

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        request = task.request
        if request.id is None or request.called_directly or threading.get_ident() in _inside:
            return function(*args, **kwargs)  # called as a plain function
        this = _Guarded((request.id, names.attempt_of(request)))
        if refuses(this.key):
            this.is_asked(None)
            reason = TaskCancelled("cancelled before it started")
            stopped(request, reason)
            raise reason
        try:
            _inside[this.ident] = this
            result = function(*args, **kwargs)
            this.returned = True  # whoever asks from here on comes too late
            _leave(this)
        except TaskCancelled as reason:
            _leave(this)
            if this.returned:
                return result
            stopped(request, reason)
            raise
        except BaseException:
            _leave(this)
            raise
        return result

    guarded._orakul_guard = True  # type: ignore[attr-defined]  # noqa: SLF001 (our own mark on our own function)
    task.run = guarded


def _leave(this: _Guarded) -> None:
    with _lock:
        _inside.pop(this.ident, None)
        if this.thrown:
            # An exception that was set but not yet raised must not reach what this thread does next.
            _raise_in(this.ident, None)


def _raise_in(ident: int, what: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(what) if what else None)


def cancelled() -> bool:
    """Return whether the task that runs here was asked to stop."""
    this = _inside.get(threading.get_ident())
    return this is not None and this.asked


def raise_if_cancelled() -> None:
    """Raise TaskCancelled where the task that runs here was asked to stop."""
    if cancelled():
        raise TaskCancelled


# -- asking, in the process that runs it ------------------------------------------------------------------------------


def ask(key: Key, pool: str, author: str | None = None) -> bool:
    """Ask the run of `key` in this process to stop, once; return whether there is one."""
    with _lock:
        this = next((each for each in _inside.values() if each.key == key), None)
        if this is None:
            return False
        if this.asked or this.returned:
            return True
        this.is_asked(author)
        if pool == "threads":
            this.thrown = True
            _raise_in(this.ident, TaskCancelled)
        elif pool == "gevent":
            _throw(this)
    if pool == "solo":
        os.kill(os.getpid(), SIGNAL)
    return True


def _throw(this: _Guarded) -> None:
    import gevent  # noqa: PLC0415 (only a worker of that pool has it)

    def throw() -> None:
        # It waits, as this runs in the hub; where the function is behind it, it is left alone.
        if not this.returned and _inside.get(this.ident) is this:
            this.greenlet.throw(TaskCancelled())

    gevent.get_hub().loop.run_callback(throw)


# -- asking a child, by signal ----------------------------------------------------------------------------------------


def post(folder: Path, pid: int, key: Key, author: str | None = None) -> Path:
    """Ask the run of `key` in the pool child `pid` to stop; return the letter, which is gone once it was taken."""
    letter = folder / str(pid)
    aside = folder / f"{pid}.new"
    aside.write_text(_address(key) + "\n" + (author or ""))
    aside.replace(letter)
    os.kill(pid, SIGNAL)
    return letter


def _address(key: Key) -> str:
    return f"{key[1]} {key[0]}"


def listen_for_signal(mailbox: Path | None) -> None:
    """Take requests to stop by signal in this process; `mailbox` is where a pool child finds which run is meant.

    A handler that the application has set for the same signal is called where the signal is not about a cancellation.
    """
    global _mailbox  # noqa: PLW0603 (one a process)
    _mailbox = mailbox
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.getsignal(SIGNAL)
    if getattr(before, "_orakul_handler", False):
        return

    def handler(number: int, frame: Any) -> None:
        this = _inside.get(threading.get_ident())
        if this is not None and not this.thrown and not this.returned and _is_meant(this):
            this.thrown = True
            raise TaskCancelled
        if callable(before):
            before(number, frame)

    handler._orakul_handler = True  # type: ignore[attr-defined]  # noqa: SLF001 (our own mark)
    signal.signal(SIGNAL, handler)


def _is_meant(this: _Guarded) -> bool:
    if _mailbox is None:
        return this.asked  # solo: whoever sent it has said so in this very process
    letter = _mailbox / str(os.getpid())
    with suppress(OSError):
        address, _, author = letter.read_text().partition("\n")
        if address == _address(this.key):
            letter.unlink()
            this.is_asked(author or None)
            return True
    return False
