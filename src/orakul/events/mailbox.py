"""Mailboxes: between the dispatcher and each observer a bounded queue, and who empties it.

When a queue is full, its oldest event is let go and counted: what comes last says how things ended. A sync observer is
told in a thread of its own, an async one in the dispatcher's event loop or in one of its own: none waits for another.
"""

import asyncio
import contextlib
import inspect
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from orakul.events.event import Event
from orakul.events.observer import is_async, name_of, telling, wants_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LoopMailbox", "Mailbox", "ObserverStats", "OwnLoopMailbox", "ThreadMailbox"]

_log = logging.getLogger("orakul.events")

_SAY_AGAIN = 60.0
_FAIR = 64  # events told in a row before others of the same event loop have their turn


class ObserverStats(msgspec.Struct, frozen=True, kw_only=True):
    """How an observer is doing."""

    name: str
    told: int
    errors: int
    dropped: int
    waiting: int


class Mailbox:
    """What all kinds have: the observer, its queue, its counts."""

    def __init__(self, observer: Any, size: int) -> None:
        self.observer = observer
        self.name = name_of(observer)
        self.tell: Callable[[Event], Any] = telling(observer)
        self.is_async = is_async(observer)
        self.wants = wants_of(observer)
        self.told = self.errors = self.dropped = 0
        self.queue: deque[Event] = deque(maxlen=size)
        self.idle = False
        """Whether whoever empties it waits to be woken. Set by that one, taken back by who wakes it."""
        self.ending = False
        self._said = -_SAY_AGAIN

    def put(self, event: Event) -> None:
        """Queue the event."""
        queue = self.queue
        if len(queue) == queue.maxlen:
            self.lose(1)
        queue.append(event)
        if self.idle:
            self.idle = False
            self.wake()

    def wake(self) -> None:
        """Wake whoever empties the queue, or begin to have one."""

    def lose(self, count: int) -> None:
        """Count events that the observer is not told of, and say so now and then."""
        self.dropped += count
        now = time.monotonic()
        if now - self._said >= _SAY_AGAIN:
            self._said = now
            _log.warning("Observer %s does not keep up: %d events not told so far", self.name, self.dropped)

    def fail(self, event: Event, error: BaseException) -> None:
        """Count and log an observer's error; it goes no further."""
        self.errors += 1
        _log.error(
            "Observer %s failed on %s (event %s): %r",
            self.name,
            event.event_type,
            event.event_id,
            error,
            exc_info=error,
        )

    def stats(self) -> ObserverStats:
        """Return the counts."""
        return ObserverStats(
            name=self.name, told=self.told, errors=self.errors, dropped=self.dropped, waiting=len(self.queue)
        )

    def abandon(self) -> None:
        """Let go of what is left at the deadline."""
        left = len(self.queue)
        self.queue.clear()
        if left:
            self._said = -_SAY_AGAIN
            self.lose(left)


class ThreadMailbox(Mailbox):
    """Emptied by a thread, which begins with the first event."""

    def __init__(self, observer: Any, size: int) -> None:
        super().__init__(observer, size)
        self.reset()

    def reset(self) -> None:
        """Begin anew: also in a forked child, where the thread is not, and what is queued is the parent's to tell."""
        self.queue.clear()
        self.idle = True
        self.ending = False
        self._signal = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Wake the thread, or start it."""
        if self._thread is None:
            with self._starting, contextlib.suppress(RuntimeError):  # the interpreter is ending: no more threads
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name=f"orakul-observer-{self.name}", daemon=True)
                    thread.start()
                    self._thread = thread
        self._ring()

    def end(self) -> None:
        """Let the thread end when the queue is empty."""
        self.ending = True
        self._ring()

    def join(self, deadline: float) -> None:
        """Wait for that until the deadline, then let go of what is left."""
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        self.abandon()

    def _ring(self) -> None:
        self._signal.set()

    def _run(self) -> None:
        queue, tell = self.queue, self.tell
        while True:
            try:
                event = queue.popleft()
            except IndexError:
                if not self._wait():
                    return
                continue
            try:
                answer = tell(event)
                if answer is not None and inspect.isawaitable(answer):  # a function that returns a coroutine
                    asyncio.run(_finish(answer))
            except BaseException as error:  # noqa: BLE001 (whatever an observer raises, the next event is told)
                self.fail(event, error)
            self.told += 1

    def _wait(self) -> bool:
        """Wait for an event; False where there is to be no more."""
        self.idle = True
        if not self.queue:
            if self.ending:
                return False
            self._signal.wait()
        self._signal.clear()
        self.idle = False
        return True


class OwnLoopMailbox(ThreadMailbox):
    """The same for an async observer: an event loop of its own runs in the thread."""

    def reset(self) -> None:
        """Begin anew."""
        super().reset()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bell: asyncio.Event | None = None

    def _ring(self) -> None:
        if self._loop is not None and self._bell is not None:  # else it is about to look at the queue anyway
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._bell.set)

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._bell = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        await empty(self, self._bell)


class LoopMailbox(Mailbox):
    """Emptied by a task of an event loop, which runs in the thread of the loop."""

    def __init__(self, observer: Any, size: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(observer, size)
        self.loop = loop
        self._signal = asyncio.Event()
        self.task = loop.create_task(empty(self, self._signal), name=f"orakul-observer-{self.name}")

    def wake(self) -> None:
        """Wake the task, from whatever thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody can be told in it any more
            self.loop.call_soon_threadsafe(self._signal.set)

    def end(self) -> None:
        """Let the task end when the queue is empty."""
        self.ending = True
        self.wake()

    async def join(self, deadline: float) -> None:
        """Wait for that until the deadline, then let go of what is left."""
        done, _ = await asyncio.wait([self.task], timeout=max(0.0, deadline - time.monotonic()))
        if not done:
            self.abandon()
            self.task.cancel()
            await asyncio.wait([self.task], timeout=0.1)


async def empty(box: Mailbox, bell: asyncio.Event) -> None:
    """Tell the observer all that comes into its queue, one after the other, until it is ending and empty."""
    queue, tell, turn = box.queue, box.tell, 0
    while True:
        try:
            event = queue.popleft()
        except IndexError:
            box.idle = True
            if not queue:
                if box.ending:
                    return
                await bell.wait()
            bell.clear()
            box.idle = False
            continue
        try:
            answer = tell(event)
            if answer is not None:
                await answer
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            box.fail(event, error)
        except BaseException as error:  # noqa: BLE001 (whatever an observer raises, the next event is told)
            box.fail(event, error)
        box.told += 1
        turn += 1
        if turn % _FAIR == 0:
            await asyncio.sleep(0)


async def _finish(answer: Any) -> None:
    await answer
