"""The dispatcher: tells the observers (design §5).

It promises:

- each observer is told of events in the order in which they were published, one at a time;
- a slow observer slows neither the publisher nor the others: each has a queue of `queue_size` events, emptied by a
  thread of its own (an async one by a task in the event loop of `async with`, or by a loop of its own). A full
  queue lets its oldest event go, counted as `dropped` and logged;
- an observer's error is logged with the event and the observer's name, counted, and goes no further. With
  `strict=True` observers are told before `publish` returns, and their errors come back together, as one
  ExceptionGroup, after every observer has been told;
- it works from async code, sync code and threads, and in a forked child;
- closing it lets every observer finish what is queued, within a deadline. What is left then is counted as dropped.

Observers with `immediate = True` (the recorder) are told first, in the publisher's thread. An event of a known type
that does not fit it is refused with InvalidEventError before anybody hears of it.
"""

import asyncio
import inspect
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Self

from orakul.events.catalogue import CATALOGUE, Catalogue
from orakul.events.event import Event
from orakul.events.mailbox import LoopMailbox, Mailbox, ObserverStats, OwnLoopMailbox, ThreadMailbox
from orakul.events.observer import AnyObserver, is_async

__all__ = ["Dispatcher"]

_log = logging.getLogger("orakul.events")

QUEUE_SIZE = 10_000


class Dispatcher:
    """Tells observers of events. Use it with `with` or `async with`, or `close` it."""

    def __init__(
        self,
        observers: Iterable[AnyObserver] = (),
        *,
        strict: bool = False,
        queue_size: int = QUEUE_SIZE,
        catalogue: Catalogue = CATALOGUE,
    ) -> None:
        self.strict = strict
        self._check: Callable[[Event], None] = catalogue.check
        self._queue_size = queue_size
        self._closed = False
        self._boxes: list[Mailbox] = [self._box(observer) for observer in observers]
        self._private: _PrivateLoop | None = None
        self._sort()
        _dispatchers.add(self)

    # -- telling

    def publish(self, event: Event) -> None:
        """Tell the observers. Strict, it returns when they have been told, and raises what they raised."""
        self._check(event)
        if self.strict:
            self._tell_now(event)
            return
        for box in self._immediate:
            if box.wants is None or event.event_type in box.wants:
                _tell_immediately(box, event)
        for box in self._queued:
            if box.wants is None or event.event_type in box.wants:
                box.put(event)

    async def publish_async(self, event: Event) -> None:
        """Do the same from async code: a strict dispatcher's async observers are told in the running loop."""
        if not self.strict:
            self.publish(event)
            return
        self._check(event)
        errors = []
        for box in self._wanting(event):
            try:
                answer = box.tell(event)
                if answer is not None and inspect.isawaitable(answer):
                    await answer
            except Exception as error:  # noqa: BLE001 (it comes back to the caller with the others)
                box.fail(event, error)
                errors.append(error)
            box.told += 1
        _raise(errors, event)

    def _tell_now(self, event: Event) -> None:
        errors = []
        for box in self._wanting(event):
            try:
                answer = box.tell(event)
                if answer is not None and inspect.isawaitable(answer):
                    self._own_loop().run(answer)
            except Exception as error:  # noqa: BLE001 (it comes back to the caller with the others)
                box.fail(event, error)
                errors.append(error)
            box.told += 1
        _raise(errors, event)

    def _wanting(self, event: Event) -> list[Mailbox]:
        return [box for box in (*self._immediate, *self._queued) if box.wants is None or event.event_type in box.wants]

    def stats(self) -> list[ObserverStats]:
        """Return how each observer is doing."""
        return [box.stats() for box in self._boxes]

    # -- life

    def close(self, deadline: float = 5.0) -> None:
        """Let every observer finish what is queued, for at most `deadline` seconds. In async code: `aclose`."""
        end = time.monotonic() + deadline
        boxes = self._end()
        if any(isinstance(box, LoopMailbox) for box in boxes):
            raise RuntimeError("this dispatcher was entered by `async with`: its event loop closes it, with `aclose()`")
        for box in boxes:
            if isinstance(box, ThreadMailbox):
                box.join(end)
        self._close_loop()

    async def aclose(self, deadline: float = 5.0) -> None:
        """Let every observer finish what is queued, for at most `deadline` seconds."""
        end = time.monotonic() + deadline
        boxes = self._end()
        await asyncio.gather(*(box.join(end) for box in boxes if isinstance(box, LoopMailbox)))
        await asyncio.to_thread(_join, boxes, end)
        self._close_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        """Let the async observers be told in this event loop."""
        loop = asyncio.get_running_loop()
        if not self.strict:
            self._boxes = [
                LoopMailbox(box.observer, self._queue_size, loop) if isinstance(box, OwnLoopMailbox) else box
                for box in self._boxes
            ]
            self._sort()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    # -- parts

    def _box(self, observer: Any) -> Mailbox:
        asynchronous = is_async(observer)
        if getattr(observer, "immediate", False) is True:
            if asynchronous:
                raise TypeError(f"{observer!r} is told at once, so it cannot be async")
            return Mailbox(observer, 1)
        return (OwnLoopMailbox if asynchronous else ThreadMailbox)(observer, self._queue_size)

    def _sort(self) -> None:
        self._immediate = [box for box in self._boxes if type(box) is Mailbox]
        self._queued = [box for box in self._boxes if type(box) is not Mailbox]

    def _end(self) -> list[Mailbox]:
        """Take no more events for the queues, and let their ends begin."""
        boxes, self._queued = self._queued, [_Closed(box) for box in self._queued if not isinstance(box, _Closed)]
        for box in boxes:
            if isinstance(box, ThreadMailbox | LoopMailbox):
                box.end()
        return boxes

    def _own_loop(self) -> "_PrivateLoop":
        if self._private is None:
            self._private = _PrivateLoop()
        return self._private

    def _close_loop(self) -> None:
        private, self._private = self._private, None
        if private is not None:
            private.close()

    def _forget(self) -> None:
        """In a forked child: the threads are the parent's, and so is what is queued."""
        self._private = None
        for box in self._boxes:
            if isinstance(box, ThreadMailbox):
                box.reset()


class _Closed(Mailbox):
    """Stands for a mailbox after the end: an event for it is counted as dropped."""

    def __init__(self, box: Mailbox) -> None:
        super().__init__(box.observer, 1)
        self._box = box

    def put(self, event: Event) -> None:
        """Count it."""
        del event
        self._box.lose(1)


class _PrivateLoop:
    """An event loop in a thread, where sync code has async observers told and waits for it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="orakul-observers", daemon=True)
        self._thread.start()

    def run(self, answer: Any) -> None:
        """Wait for the awaitable."""
        asyncio.run_coroutine_threadsafe(_finish(answer), self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _finish(answer: Any) -> None:
    await answer


def _tell_immediately(box: Mailbox, event: Event) -> None:
    try:
        box.tell(event)
    except Exception as error:  # noqa: BLE001 (it goes no further)
        box.fail(event, error)
    box.told += 1


def _raise(errors: list[Exception], event: Event) -> None:
    if errors:
        raise ExceptionGroup(f"{len(errors)} observer(s) failed on {event.event_type}", errors)


def _join(boxes: list[Mailbox], end: float) -> None:
    for box in boxes:
        if isinstance(box, ThreadMailbox):
            box.join(end)


_dispatchers: "weakref.WeakSet[Dispatcher]" = weakref.WeakSet()


def _forget_all() -> None:
    for dispatcher in list(_dispatchers):
        dispatcher._forget()  # noqa: SLF001 (of this module)


os.register_at_fork(after_in_child=_forget_all)
