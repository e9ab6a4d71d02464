"""Carries the spool into the journal. One a folder at a time: whoever holds its lock; if that one dies, another."""

import contextlib
import logging
import os
import random
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from orakul.errors import InvalidEventError, JournalUnavailableError
from orakul.events import Event
from orakul.instruments import COUNTS, counter, histogram, span
from orakul.tasks.ahead import ReadingAhead, worth_shipping
from orakul.tasks.journal import Journal
from orakul.tasks.spool import Batch, Inbox, make_folder, quarantine, try_lock
from orakul.tasks.waking import Beacon, open_wake

__all__ = ["Shipper", "ShipperCounts", "worth_shipping"]

_log = logging.getLogger("orakul.recorder")

_LOOK = 1.0  # seconds between looks at the folder when no wake-up comes
_TAKEOVER = 0.5  # seconds between attempts to become the one who ships
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
_SAY_AGAIN = 60.0
_SUSPICION = 10  # refusals of a lone event, with nothing to compare it with, before it is put aside
_STORM, _BACKLOG = 40, 500  # events of a batch from which on they come in a storm, or have piled up and are to go
_STORM_PACE = 5  # a batch of hundreds costs the database a third an event of what one of dozens does
_SHIPPED = counter("orakul_shipper_events_total", "Events that this process carried into the journal.")
_BATCHES = histogram("orakul_shipper_batch_events", "How many events went into the journal together.", COUNTS)
_TOOK = histogram("orakul_shipper_ship_seconds", "Time to carry a batch into the journal.")
_RETRIES = counter("orakul_shipper_retries_total", "Times that the journal was away, and the batch is tried again.")
_QUARANTINED = counter(
    "orakul_shipper_quarantined_total", "Lines put aside: torn, unreadable, or refused by the journal."
)
_SAMPLE = 8  # events refused in a row, none taken: it is the journal, not the events


class ShipperCounts(msgspec.Struct):
    """What the shipper of this process has done."""

    shipped: int = 0
    batches: int = 0
    retries: int = 0
    quarantined: int = 0
    spared: int = 0
    """Messages not sent because their task had already completed."""


class Shipper:
    """Ships a folder's files while it holds the lock, in a thread of its own or in the caller's (`drain`)."""

    def __init__(
        self,
        folder: Path,
        open_journal: Callable[[], Journal],
        *,
        batch_events: int = 1000,
        batch_bytes: int = 4 << 20,
        done: Callable[[], bool] = lambda: True,
        pace: float = 0.0,
    ) -> None:
        self.folder = folder
        self._pace = pace  # seconds from one batch to the next at least, so that a storm goes in fewer, larger ones
        self._next = 0.0
        self._last = 0  # events of the last batch
        self._following: Batch | None = None  # read while the one before it was stored
        self._done = done
        self.counts = ShipperCounts()
        self.holds = False
        """Whether this one is the folder's shipper now."""
        self._awake = False  # going to look without being woken; looks once more after taking this back
        self._beacon: Beacon | None = None
        self.trouble: str | None = None
        """Why the last attempt failed; None when it did not."""
        self._open_journal = open_journal
        self._journal: Journal | None = None
        self._limits = {"batch_events": batch_events, "batch_bytes": batch_bytes}
        self._inbox: Inbox | None = None
        self._lock = -1
        self._wake = -1
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._stop = threading.Event()
        self._end = 0.0  # until when a stopping shipper may go on
        self._pause = _FIRST_PAUSE
        self._refusals = 0
        self._said = 0.0

    # -- life

    @property
    def running(self) -> bool:
        """Whether its thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin, in a thread of its own, unless it has begun."""
        with self._starting:
            if not self.running:
                self._stop.clear()
                thread = threading.Thread(target=self._run, name="orakul-shipper", daemon=True)
                thread.start()
                self._thread = thread

    def stop(self, deadline: float) -> None:
        """Ship what is there, for at most `deadline` seconds, then let another take over.

        Where another is shipping already, wait a moment for what is `done` to say so, in case that one is ending too.
        """
        self._end = time.monotonic() + deadline
        self._pause = _FIRST_PAUSE
        self._stop.set()
        thread = self._thread
        if thread is not None and thread.is_alive():
            with contextlib.suppress(OSError):  # by a descriptor of our own: the thread may be closing its one
                wake = open_wake(self.folder)
                try:
                    os.write(wake, b"\0")
                finally:
                    os.close(wake)
            thread.join(max(0.0, self._end - time.monotonic()) + 0.1)
            return
        self._run()  # never started, or no more threads can be: in this one

    def forget(self) -> None:
        """In a forked child: the thread and the lock are the parent's."""
        inbox, self._inbox = self._inbox, None
        for descriptor in (self._lock, self._wake):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        if inbox is not None:
            with contextlib.suppress(OSError):
                inbox.close()
        # The journal's connection is the parent's: dropped without being closed, as closing would speak on it.
        self._lock = self._wake = -1
        self._thread, self._journal, self._following = None, None, None
        self._starting = threading.Lock()
        self._stop = threading.Event()
        self.holds = self._awake = False
        beacon, self._beacon = self._beacon, None
        if beacon is not None:
            beacon.forget()
        self.counts = ShipperCounts()

    def _run(self) -> None:
        patience = 0.0
        try:
            while not self._over():
                if self._stop.is_set() and not patience:
                    patience = time.monotonic() + 1.0
                try:
                    if self._take_lock():
                        self._step()
                    elif self._stop.is_set():
                        if self._done() or time.monotonic() > patience:
                            return
                        time.sleep(0.01)
                    else:
                        self._stop.wait(_TAKEOVER)
                except OSError as error:  # the folder is away or full: wait as for the journal
                    self._away(f"the spool {self.folder} cannot be used: {error}")
                except Exception as error:  # noqa: BLE001 (a mistake of ours is no reason to stop shipping)
                    _log.exception("Shipping %s failed", self.folder)
                    self._away(repr(error))
        finally:
            self._release()

    def _over(self) -> bool:
        return self._stop.is_set() and time.monotonic() > self._end

    def _take_lock(self) -> bool:
        if self._lock < 0:
            make_folder(self.folder)
            held = try_lock(self.folder / "shipper.lock")
            if held is None:
                return False
            try:
                self._wake = open_wake(self.folder)
            except OSError:
                os.close(held)
                raise
            self._beacon = Beacon(self.folder)
            self._inbox = Inbox(self.folder, **self._limits)
            self._lock = held
            self.holds = True
        return True

    def _release(self) -> None:
        beacon, self._beacon, self._awake = self._beacon, None, False
        self._following = None
        if beacon is not None:
            beacon.close()
        inbox, self._inbox = self._inbox, None
        if inbox is not None:
            with contextlib.suppress(OSError):
                inbox.sweep()
            inbox.close()
        self._drop_journal()
        self.holds = False
        descriptors, self._wake, self._lock = (self._wake, self._lock), -1, -1
        for descriptor in descriptors:
            if descriptor >= 0:
                os.close(descriptor)

    def ship_apart(self, events: list[Event]) -> bool:
        """Bring events that never reached the disk into the journal, over a connection of their own."""
        try:
            journal = self._open_journal()
            try:
                journal.append(events)
            finally:
                _close(journal)
        except Exception as error:  # noqa: BLE001 (they stay where they are, and the disk is tried again)
            self.trouble = self.trouble or str(error)
            return False
        self.counts.shipped += len(events)
        return True

    # -- work

    def _step(self) -> None:
        """Ship one batch, or wait for something to ship."""
        inbox = self._inbox
        if inbox is None:
            return
        if self._pace and not self._stop.is_set():
            self._stop.wait(self._next - time.monotonic())  # past already, but for what follows a batch closely
            self._next = time.monotonic() + self._pace * (_STORM_PACE if _STORM <= self._last < _BACKLOG else 1)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 1 << 16)  # before the look, so that a wake-up after it is not lost
        following, self._following = self._following, None
        batch = following or inbox.batch()
        if inbox.quarantined:
            self.counts.quarantined += inbox.quarantined
            _QUARANTINED.add(inbox.quarantined)
        inbox.quarantined = 0
        if batch is None and self._awake:
            self._be_awake(awake=False)
            return
        if batch is None:
            inbox.sweep()
            if self._stop.is_set():
                self._end = 0.0
            else:
                self._wait()
            return
        self._be_awake(awake=True)
        self._last = len(batch.events)
        ahead = ReadingAhead(inbox, self._journal) if len(batch.events) >= _BACKLOG else None
        try:
            landed = self._ship(batch)
        finally:
            following = ahead.end() if ahead is not None else None
        if landed:
            self._following = following
            inbox.landed(batch)
            if self.counts.batches % 64 == 0:
                inbox.sweep()

    def _be_awake(self, *, awake: bool) -> None:
        self._awake = awake
        if self._beacon is not None:
            self._beacon.set(on=awake)

    def _wait(self) -> None:
        """Wait for a wake-up. Looked up on the module each time: gevent puts its own there."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.poll(_LOOK * 1000)

    def _ship(self, batch: Batch) -> bool:
        """Bring a batch into the journal; False where it is away, and the batch is to be read again."""
        events = worth_shipping(batch.events)
        try:
            self._append(events, batch.ready)
        except JournalUnavailableError as error:
            self._away(str(error))
            return False
        except Exception as error:  # noqa: BLE001 (whatever the journal says, the events are to be kept)
            if not self._sort_out(batch, error):
                return False
        self.counts.spared += len(batch.events) - len(events)
        self._back()
        return True

    def _append(self, events: list[Event], ready: Any = None) -> None:
        if events:
            if self._journal is None:
                self._journal = self._open_journal()
            with span("orakul.ship", events=len(events)), _TOOK.time():
                if ready is None:
                    self._journal.append(events)
                else:
                    self._journal.store(ready)  # type: ignore[attr-defined]  # of the same journal that prepared it
            _BATCHES.observe(len(events))
            _SHIPPED.add(len(events))
        self.counts.shipped += len(events)
        self.counts.batches += 1

    def _sort_out(self, batch: Batch, refusal: Exception) -> bool:
        """Find which events the journal refuses and put those aside; False where it seems to refuse everything.

        An event is judged only against others that were taken: a journal that refuses all (tables missing, a disk
        full) is to be mended, and its events are to wait for that.
        """
        refused: list[tuple[bytes, Exception]] = []
        taken = 0
        for event, line in zip(batch.events, batch.lines, strict=True):
            try:
                self._append([event])
                taken += 1
            except JournalUnavailableError as error:
                self._away(str(error))
                return False
            except Exception as error:  # noqa: BLE001 (as above)
                refused.append((line, error))
            if not taken and len(refused) >= _SAMPLE:
                break
        certain = taken or all(isinstance(reason, InvalidEventError) for _, reason in refused)
        self._refusals += 1
        if not certain and not (len(batch.events) == 1 and self._refusals >= _SUSPICION):
            self._away(f"it refuses everything: {refusal!r}")
            return False
        for line, reason in refused:
            self.counts.quarantined += 1
            _QUARANTINED.add()
            kept = quarantine(self.folder, line, f"refused by the journal: {reason!r}")
            _log.error("The journal refused an event (%r)%s", reason, "" if kept else "; the quarantine is full")
        return True

    # -- the journal's comings and goings

    def _away(self, trouble: str) -> None:
        """Say that it does not work, now and then, and wait before the next attempt."""
        self._be_awake(awake=False)
        now = time.monotonic()
        self.counts.retries += 1
        _RETRIES.add()
        if self.trouble is None or now - self._said > _SAY_AGAIN:
            self._said = now
            _log.warning("Events wait in %s, the journal is away: %s", self.folder, trouble)
        self.trouble = trouble
        self._drop_journal()
        pause = self._pause * random.uniform(0.75, 1.25)  # noqa: S311 (no secret: many are not to come back at once)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        if self._stop.is_set():
            time.sleep(min(pause, max(0.0, self._end - now)))
        else:
            self._stop.wait(pause)

    def _back(self) -> None:
        self._refusals = 0
        if self.trouble is not None:
            self.trouble = None
            self._pause = _FIRST_PAUSE
            _log.warning("The journal is back; what waited in %s is being shipped", self.folder)

    def _drop_journal(self) -> None:
        journal, self._journal = self._journal, None
        _close(journal)


def _close(journal: Journal | None) -> None:
    close = getattr(journal, "close", None)
    if close is not None:
        with contextlib.suppress(Exception):
            close()
