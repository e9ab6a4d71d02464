"""The recorder: the observer that writes events down without slowing the work, and sees to it that they arrive.

`record` appends one line to this process's file in the spool and wakes whoever ships (see `spool`, `shipper`): a few
microseconds, whatever the database does. It never raises and never blocks on anything but the local disk. What happens
when even that fails is stated here and counted in `stats()`:

- the disk refuses a line: it is kept in memory, up to `memory_bytes`, written or shipped as soon as that works again;
  beyond that the oldest are let go (`lost`), as the newest say where a task stands;
- the spool reaches `limit_bytes`, or the disk `reserve_bytes` of free space, in a long outage: log lines and progress
  are passed over from four fifths on, everything from the limit on (`passed_over`), until there is room again;
- an event that has no form in JSON is written with its odd parts as text; one larger than `EVENT_BYTES` without them.
"""

import atexit
import contextlib
import logging
import os
import shutil
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orakul.events import Event
from orakul.tasks.figures import RecorderStats, tell_of_recorder
from orakul.tasks.journal import Journal
from orakul.tasks.memory import Memory
from orakul.tasks.plain import plain_line
from orakul.tasks.shipper import Shipper, ShipperCounts
from orakul.tasks.spool import SpoolWriter, measure, spool_bytes
from orakul.tasks.waking import open_wake, see_beacon

if TYPE_CHECKING:
    import mmap

__all__ = ["Recorder", "RecorderStats"]

_log = logging.getLogger("orakul.recorder")

_UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)
_DISPENSABLE = frozenset(("task.log", "task.progress", "worker.heartbeat"))
_SAY_AGAIN = 60.0
_EXIT_DEADLINE = 3.0
_HAND_OVER = 0.01
_PORTION = 500  # events of memory to ship at once
_GROWN = 64 << 20  # a spool below this size is not what fills the disk
_GIB = 1 << 30
_ROOMY, _NEARLY, _FULL = 0, 1, 2

_write = os.write
_encode_lines = msgspec.json.Encoder().encode_lines
EVENT_BYTES = 8 << 20
"""The longest line; a longer event loses the larger parts of its data, with a note."""


class Recorder:
    """Records the events of this process. Safe for threads, asyncio, gevent, and over a fork.

    With `ship=False` it only appends: for pool children, whose parent ships for them. Without `open_journal` likewise.
    """

    immediate = True  # a dispatcher is to tell it at once, in the thread where the event happened

    def __init__(
        self,
        spool_dir: Path | str,
        open_journal: Callable[[], Journal] | None = None,
        *,
        ship: bool = True,
        segment_bytes: int = 16 << 20,
        limit_bytes: int = 10 * _GIB,
        reserve_bytes: int = _GIB // 2,
        memory_bytes: int = 64 << 20,
        batch_events: int = 1000,
    ) -> None:
        self.folder = Path(spool_dir)
        self._writer = SpoolWriter(self.folder, segment_bytes=segment_bytes)
        self._shipper: Shipper | None = None
        if ship and open_journal is not None:
            self._shipper = Shipper(self.folder, open_journal, batch_events=batch_events, done=self._all_landed)
        self._limit_bytes, self._reserve_bytes = limit_bytes, reserve_bytes
        self._wake = -1
        self._beacon: mmap.mmap | bytes | None = None
        self._room = 0  # bytes until the next file
        self._recorded = self._passed_over = 0
        self._calm = False  # True: the file is open, there is room, nothing waits in memory
        self._fullness = _ROOMY
        self._looked = 0.0
        self._said = 0.0
        self._unsaid: tuple[Any, ...] | None = None
        self._memory = Memory(memory_bytes)
        self._care = threading.RLock()  # for all but the plain path
        self._rescue: threading.Thread | None = None
        _recorders.add(self)
        tell_of_recorder(self)

    # -- the path of every event

    def record(self, event: Event) -> None:
        """Take the event. When this has returned, the end of the process does not lose it."""
        try:
            line = _encode_lines((event,))
        except _UNENCODABLE:
            line = plain_line(event, EVENT_BYTES)
        size = len(line)
        if not self._calm or size > EVENT_BYTES or self._room < size:
            self._record_with_care(event, line)
            return
        self._room -= size
        try:
            if _write(self._writer.descriptor, line) != size:
                self._keep(line, torn=True)
                self._speak()
        except OSError as error:
            self._keep(line, error)
            self._speak()
        self._recorded += 1
        if (beacon := self._beacon) is not None and beacon[0]:
            return
        try:  # noqa: SIM105 (`suppress` costs as much as all the rest)
            _write(self._wake, b"\0")
        except OSError:  # the FIFO is full of wake-ups, or this process's is gone: the shipper looks by itself
            pass

    observe = record

    def record_together(self, *events: Event) -> None:
        """Take several events at once, for the price of little more than one."""
        try:
            lines = _encode_lines(events) if self._calm else b""
        except _UNENCODABLE:
            lines = b""
        if not 0 < len(lines) <= min(self._room, EVENT_BYTES):
            for event in events:
                self.record(event)
            return
        self._room -= len(lines)
        self._recorded += len(events)
        try:
            if _write(self._writer.descriptor, lines) != len(lines):
                self._keep(lines, torn=True)
        except OSError as error:
            self._keep(lines, error)
        self._speak()
        if (beacon := self._beacon) is None or not beacon[0]:
            with contextlib.suppress(OSError):
                _write(self._wake, b"\0")

    def _record_with_care(self, event: Event, line: bytes) -> None:
        """Record when something is to be seen to first: a file to open, a full disk, lines in memory."""
        if len(line) > EVENT_BYTES:
            line = plain_line(event, EVENT_BYTES)
        self._recorded += 1
        self._try_with_care(event, line)
        self._speak()
        self._start_shipper()

    def _try_with_care(self, event: Event, line: bytes) -> None:
        with self._care:
            if not self._prepare(event, len(line)):
                return
            if self._memory and not self._empty_memory():
                self._keep(line)
                return
            try:
                if self._writer.descriptor < 0:
                    self._open()
                self._room -= len(line)
                if _write(self._writer.descriptor, line) != len(line):
                    self._keep(line, torn=True)
            except OSError as error:
                self._keep(line, error)
                return
            self._calm = not self._memory and not self._fullness
        with contextlib.suppress(OSError):
            _write(self._wake, b"\0")

    def _prepare(self, event: Event, size: int) -> bool:
        """Begin a new file where the old one is full; see whether the spool may grow: if not, pass the event over."""
        now = time.monotonic()
        if self._fullness and now - self._looked > 1.0:
            self._look_at_room(now)
        if self._room < size and self._writer.descriptor >= 0 and self._fullness < _FULL:
            self._look_at_room(now)
            with contextlib.suppress(OSError):
                self._writer.open()
            self._room = max(self._writer.segment_bytes, size)
        if self._fullness == _FULL or (self._fullness and event.event_type in _DISPENSABLE):
            self._passed_over += 1
            state = "full" if self._fullness == _FULL else "nearly full"
            self._say("The spool %s is %s: %d events passed over so far", self.folder, state, self._passed_over)
            return False
        return True

    def _open(self) -> None:
        self._look_at_room(time.monotonic())
        self._writer.open()
        self._room = self._writer.segment_bytes
        if self._wake < 0:
            self._wake = open_wake(self.folder)
        if self._beacon is None:
            self._beacon = see_beacon(self.folder)

    def _look_at_room(self, now: float) -> None:
        """Measure the spool and the disk. Once a file, and each second while short of room."""
        self._looked = now
        taken = spool_bytes(self.folder)
        full = taken >= self._limit_bytes
        with contextlib.suppress(OSError):
            full = full or (taken > _GROWN and shutil.disk_usage(self.folder).free < self._reserve_bytes)
        self._fullness = _FULL if full else _NEARLY if taken >= self._limit_bytes * 0.8 else _ROOMY
        self._calm = self._calm and not self._fullness

    def _start_shipper(self) -> None:
        shipper = self._shipper
        if shipper is not None and not shipper.running:
            with contextlib.suppress(RuntimeError):  # the interpreter is ending: `close` ships in its own thread
                shipper.start()

    # -- when the disk refuses

    def _keep(self, line: bytes, error: OSError | None = None, *, torn: bool = False) -> None:
        """Keep in memory what the disk has not taken."""
        with self._care:
            self._calm = False
            # A part of a line may stand in the file: the break before the next one makes it a line of its own.
            self._memory.put(b"\n" + line if torn else line)
            if error is not None or torn:
                self._say("The spool %s takes nothing (%s): %d events are in memory, %d lost", self.folder,
                          error or "the disk is full", len(self._memory), self._memory.lost)  # fmt: skip
            if self._rescue is None:
                self._rescue = threading.Thread(target=self._bring_back, name="orakul-rescue", daemon=True)
                try:
                    self._rescue.start()
                except RuntimeError:  # the interpreter is ending
                    self._rescue = None

    def _empty_memory(self) -> bool:
        """Write to the disk what is in memory; False where it still refuses."""
        with self._care:
            try:
                if self._writer.descriptor < 0:
                    self._open()
                while lines := self._memory.first():
                    if _write(self._writer.descriptor, lines[0]) != len(lines[0]):
                        self._memory.replace_first(b"\n" + lines[0].lstrip(b"\n"))
                        return False
                    self._memory.done(lines)
            except OSError:
                return False
            self._calm = not self._fullness
        self._start_shipper()
        return True

    def _bring_back(self) -> None:
        """In a thread, while anything is in memory: try the disk again, and the journal where this process may."""
        while True:
            time.sleep(0.5)
            with self._care:
                if self._empty_memory() or not self._memory:
                    self._rescue = None
                    return
            if self._shipper is not None:
                self._ship_from_memory(self._shipper)

    def _ship_from_memory(self, shipper: Shipper) -> None:
        with self._care:
            lines = self._memory.first(_PORTION)
        if shipper.ship_apart(Memory.events(lines)):
            with self._care:
                self._memory.done(lines)

    def _say(self, text: str, *values: Any) -> None:
        """Keep something for the log, at most once a minute: so that a record about a log record ends there."""
        now = time.monotonic()
        if now - self._said > _SAY_AGAIN or self._said == 0.0:
            self._said = now
            self._unsaid = (text, *values)

    def _speak(self) -> None:
        """Log what was kept: without our lock, as a handler of the log may be recording in another thread."""
        unsaid, self._unsaid = self._unsaid, None
        if unsaid is not None:
            _log.error(*unsaid)

    # -- what it says of itself

    def counts(self) -> dict[str, int]:
        """Return what this process has counted, which costs nothing to know."""
        shipper, memory = self._shipper, self._memory
        return {
            "recorded": self._recorded, "passed_over": self._passed_over, "lost": memory.lost,
            "in_memory": len(memory), "ships": int(bool(shipper and shipper.holds)),
        }  # fmt: skip

    def stats(self) -> RecorderStats:
        """Return where the events are now. Reads the spool: for a page or a metric, not for every event."""
        shipper, backlog = self._shipper, measure(self.folder)
        counts = shipper.counts if shipper else ShipperCounts()
        return RecorderStats(
            recorded=self._recorded, shipped=counts.shipped, batches=counts.batches, retries=counts.retries,
            queued_bytes=backlog.size, queued_events=backlog.events,
            oldest_seconds=backlog.oldest_seconds, in_memory=len(self._memory), lost=self._memory.lost,
            passed_over=self._passed_over, quarantined=counts.quarantined,
            ships=bool(shipper and shipper.holds), trouble=shipper.trouble if shipper else None,
        )  # fmt: skip

    # -- ends

    def start(self) -> None:
        """Begin to ship now, also what others left behind, without waiting for a first event."""
        self._start_shipper()

    def append_only(self) -> None:
        """Leave the shipping to other processes: for a forked pool child, whose parent ships."""
        shipper, self._shipper = self._shipper, None
        if shipper is not None:
            shipper.stop(0.0)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until the journal has what was recorded before the call, whoever ships it; say whether it has."""
        end = time.monotonic() + timeout
        sizes = self._writer.sizes()
        with contextlib.suppress(OSError):
            _write(self._wake, b"\0")
        while self._memory or not self._writer.have_landed(sizes):
            if time.monotonic() >= end:
                return False
            time.sleep(0.005)
        return True

    def close(self, deadline: float = 5.0) -> None:
        """Ship what there is, for at most `deadline` seconds; what is left is in the spool for the next shipper.

        An event recorded after it begins a new file, so none is lost, but other threads should have ended by then.
        """
        with self._care:
            if self._memory:
                self._empty_memory()
            self._calm = False
            if self._writer.descriptor >= 0 and threading.active_count() > 1:
                time.sleep(_HAND_OVER)  # for a thread that is about to write on the plain path
            self._writer.close()
            self._room = 0
            self._beacon = None
        if self._shipper is not None and (self._recorded or self._shipper.running):
            self._shipper.stop(deadline)
        with self._care:
            wake, self._wake = self._wake, -1
            if wake >= 0:
                os.close(wake)

    def _all_landed(self) -> bool:
        return self._writer.have_landed(self._writer.sizes())

    def _forget(self) -> None:
        """In a forked child: everything open and waiting is the parent's."""
        self._care = threading.RLock()
        self._calm = False
        self._rescue = None
        self._memory.clear()
        self._recorded = self._passed_over = 0
        self._room = 0
        self._writer.forget()
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1
        if self._shipper is not None:
            self._shipper.forget()


_recorders: "weakref.WeakSet[Recorder]" = weakref.WeakSet()


def _close_all() -> None:
    for recorder in list(_recorders):
        recorder.close(_EXIT_DEADLINE)


def _forget_all() -> None:
    for recorder in list(_recorders):
        recorder._forget()  # noqa: SLF001 (of this module)


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_all)
