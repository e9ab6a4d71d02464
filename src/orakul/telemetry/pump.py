"""A bounded queue and one thread that empties it: what stands between the work and a back end of observation.

Putting something in takes microseconds and never waits. Where the back end is slow or away the queue fills, and what
no longer goes in is counted and let go; the end of the process waits for at most a deadline. A forked child has a queue
and a thread of its own: what the parent had queued is the parent's to send.
"""

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Generic, TypeVar

from orakul.instruments import counter, gauge

__all__ = ["DROPPED", "SENT", "Pump", "exit_begins", "time_left"]

T = TypeVar("T")

log = logging.getLogger(__name__)

SENT = counter("orakul_telemetry_sent_total", "What telemetry's back end took.", ("signal",))
DROPPED = counter(
    "orakul_telemetry_dropped_total",
    "What telemetry did not send: the queue was full, the back end refused it or was away, or the process ended.",
    ("signal", "reason"),
)


_all: "weakref.WeakSet[Pump[Any]]" = weakref.WeakSet()
_exit_began: float | None = None


def exit_begins() -> None:
    """Let all pumps send what they have: the process ends, and its last seconds are shared."""
    global _exit_began  # noqa: PLW0603 (a process ends once)
    if _exit_began is None:
        _exit_began = time.monotonic()
        for pump in list(_all):
            pump.hurry()


def time_left(seconds: float) -> float:
    """Return how much of so many seconds at the process's end is left."""
    return seconds if _exit_began is None else max(0.1, seconds - (time.monotonic() - _exit_began))


atexit.register(exit_begins)


class Pump(Generic[T]):
    """Gives what is put in to `ship`, in batches, in a thread of its own.

    A batch goes when it has `batch` items or `batch_bytes`, or `every` seconds after its first. `ship` may take its
    time and try again; it asks `pause` for each wait, which says when to give up, and tells `sent` and `dropped` what
    became of the items.
    """

    def __init__(
        self,
        name: str,
        ship: Callable[[list[T]], None],
        *,
        most: int = 20_000,
        most_bytes: int = 32 * 1024 * 1024,
        batch: int = 1_000,
        batch_bytes: int = 1024 * 1024,
        every: float = 1.0,
    ) -> None:
        self.name = name
        self._ship = ship
        self._most, self._most_bytes = most, most_bytes
        self._batch, self._batch_bytes = batch, batch_bytes
        self._every = every
        self._begin()
        _all.add(self)
        gauge("orakul_telemetry_queued", "What waits to be sent to telemetry's back end.", self._queued, ("signal",))
        if hasattr(os, "register_at_fork"):
            begin = weakref.WeakMethod(self._begin)
            os.register_at_fork(after_in_child=lambda: (again := begin()) is not None and again())

    def _begin(self) -> None:
        """Begin empty: at first, and in a forked child."""
        # Reentrant: a handler of a signal may log in the midst of logging.
        self._changed = threading.Condition(threading.RLock())
        self._queue: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._flying = 0
        self._hurrying = 0
        self._until: float | None = None
        self._thread: threading.Thread | None = None

    # -- in the threads of the work

    def put(self, item: T, size: int) -> bool:
        """Queue an item of about so many bytes; say whether there was room."""
        with self._changed:
            if self._until is not None:
                self.dropped(1, "ended")
                return False
            if len(self._queue) >= self._most or self._bytes + size > self._most_bytes:
                self.dropped(1, "full")
                return False
            first = not self._queue
            self._queue.append((item, size))
            self._bytes += size
            if self._thread is None and not self._start():
                return False
            if first or self._enough():
                self._changed.notify_all()
        return True

    def refuses(self) -> bool:
        """Say whether there is no room, and count one item that need not be made."""
        full = len(self._queue) >= self._most or self._bytes >= self._most_bytes
        if full:
            self.dropped(1, "full")
        return full

    @property
    def is_mine(self) -> bool:
        """Whether the caller is the pump's own thread: what it tells must not go round."""
        return threading.current_thread() is self._thread

    def drain(self, seconds: float) -> bool:
        """Send what is queued, at once; say whether all of it went within the time."""
        with self._changed:
            if self.is_mine or self._thread is None:
                return not self._queue
            self._hurrying += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._queue and not self._flying, seconds)
            finally:
                self._hurrying -= 1

    def hurry(self) -> None:
        """Wait for no more company: what is queued goes at once, from now on."""
        with self._changed:
            self._hurrying += 1
            self._changed.notify_all()

    def close(self, seconds: float) -> None:
        """Take no more, send what is queued within the time, and let the rest go."""
        seconds = time_left(seconds)
        with self._changed:
            if self._until is not None:
                return
            self._until = time.monotonic() + seconds
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and not self.is_mine:
            thread.join(max(0.0, seconds))
        with self._changed:
            left = len(self._queue) + self._flying
            self._queue.clear()
            self._bytes = self._flying = 0
        if left:
            self.dropped(left, "ended")

    def _queued(self) -> dict[str, float]:
        return {self.name: len(self._queue) + self._flying}

    # -- what becomes of items

    def sent(self, count: int) -> None:
        """Count items that the back end has."""
        SENT.add(count, self.name)
        self._landed(count)

    def dropped(self, count: int, reason: str) -> None:
        """Count items that are let go."""
        DROPPED.add(count, self.name, reason)

    def lost(self, count: int, reason: str) -> None:
        """Count items of the batch in hand that are let go."""
        self.dropped(count, reason)
        self._landed(count)

    def _landed(self, count: int) -> None:
        with self._changed:
            self._flying = max(0, self._flying - count)
            self._changed.notify_all()

    def pause(self, seconds: float) -> bool:
        """Wait before another attempt; say whether there is time for one. For `ship`, in the pump's thread."""
        end = time.monotonic() + seconds
        with self._changed:
            while (now := time.monotonic()) < end:
                if self._until is not None:
                    if end > self._until:
                        return False
                    self._changed.wait(end - now)
                else:
                    self._changed.wait_for(lambda: self._until is not None, end - now)
            return self._until is None or time.monotonic() < self._until

    # -- in its own thread

    def _start(self) -> bool:
        thread = threading.Thread(target=self._run, name=f"orakul-{self.name}", daemon=True)
        self._thread = thread
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending: no thread begins any more
            self._thread = None
            self.dropped(len(self._queue), "ended")
            self._queue.clear()
            self._bytes = 0
            return False
        return True

    def _enough(self) -> bool:
        return len(self._queue) >= self._batch or self._bytes >= self._batch_bytes

    def _hurries(self) -> bool:
        return self._until is not None or self._hurrying > 0

    def _take(self) -> list[T]:
        """Return the next batch, when it is due; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._queue) or self._until is not None)
            self._changed.wait_for(lambda: self._enough() or self._hurries(), self._every)
            items: list[T] = []
            size = 0
            while (
                self._queue
                and len(items) < self._batch
                and (not items or size + self._queue[0][1] <= self._batch_bytes)
            ):
                item, item_size = self._queue.popleft()
                items.append(item)
                size += item_size
            self._bytes -= size
            self._flying = len(items)
            return items

    def _run(self) -> None:
        while items := self._take():
            try:
                with _unseen():
                    self._ship(items)
            except Exception:  # one batch must not end the thread
                self.lost(self._flying, "error")
                log.exception("what was to be sent as %s could not be: it is dropped", self.name)
            with suppress(Exception), self._changed:
                self._flying = 0
                self._changed.notify_all()
            if self._until is not None and time.monotonic() > self._until:
                return


def _unseen() -> AbstractContextManager[None]:
    """Let no instrumentation of OpenTelemetry make spans of the sending."""
    utils = sys.modules.get("opentelemetry.instrumentation.utils")
    return nullcontext() if utils is None else utils.suppress_instrumentation()
