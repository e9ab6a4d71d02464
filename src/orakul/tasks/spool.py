"""The spool: events on the local disk, from the moment they are recorded until the journal has them (design §6).

A folder of files of JSON lines. Each process appends to a file of its own, one unbuffered write a line, so that
`kill -9` loses nothing that was taken. Who is alive is known by locks of the kernel, not by pids: a writer holds
`flock` on its file, and a file whose lock is free is complete: it is shipped to its end and deleted.

| file | is |
| --- | --- |
| `<time>-<pid>-<random>.jsonl` | a writer's file; a new one every `segment_bytes` |
| `….shipped` | beside it: how many of its bytes the journal has |
| `….new` | a file that its writer has not locked yet: nothing is in it |
| `wake` | a FIFO; a byte in it wakes the shipper |
| `awake` | a byte, not zero while the shipper is going to look without being woken |
| `shipper.lock` | locked by the one who ships the folder |
| `quarantine.jsonl` | what is no event, or what the journal refused, with the reason |

It guards against the end of the process, not of the machine: nothing is synced, so a power cut may take the last
moments.
"""

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from orakul.events import Event, utc_now

__all__ = ["NOT_AN_EVENT", "Backlog", "Batch", "Inbox", "SpoolWriter"]
__all__ += ["make_folder", "measure", "quarantine", "read_line", "spool_bytes", "try_lock"]

_log = logging.getLogger("orakul.recorder")

_SUFFIX, _MARK, _NEW = ".jsonl", ".shipped", ".new"
_QUARANTINE = "quarantine.jsonl"
_QUARANTINE_BYTES = 64 << 20
_CHUNK = 2 << 20

_BEGINNING = b'{"event_type":'
NOT_AN_EVENT = (msgspec.MsgspecError, ValueError, RecursionError)

_decode = msgspec.json.Decoder(Event).decode


class Backlog(NamedTuple):
    """What the journal does not have yet: bytes, events, and how long the oldest has waited."""

    size: int
    events: int
    oldest_seconds: float | None


def make_folder(folder: Path) -> None:
    """Make the spool's folder, for this user only: events hold arguments of tasks."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def try_lock(path: Path) -> int | None:
    """Return a descriptor that holds the exclusive lock of the file, None where another holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if _lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def spool_bytes(folder: Path) -> int:
    """Return how many bytes the spool's files take."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(_SUFFIX):
                with contextlib.suppress(OSError):
                    total += entry.stat().st_size
    return total


def quarantine(folder: Path, line: bytes, reason: str) -> bool:
    """Put aside what cannot be shipped; return False where there is no room for it."""
    path = folder / _QUARANTINE
    note = {"reason": reason, "at": time.time(), "line": line.decode(errors="replace")}
    try:
        if path.exists() and path.stat().st_size > _QUARANTINE_BYTES:
            return False
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, msgspec.json.encode(note) + b"\n")
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True


def read_line(line: bytes) -> Event:
    """Return the event of a line; raise one of `NOT_AN_EVENT` where it is none."""
    event = _decode(line)
    if event.timestamp.tzinfo is None:
        return msgspec.structs.replace(event, timestamp=event.timestamp.replace(tzinfo=UTC))
    return event


def measure(folder: Path, *, look: int = _CHUNK) -> Backlog:
    """Return what waits in the folder; events are counted in the first `look` bytes of a file, then estimated."""
    size = events = 0
    oldest: float | None = None
    for path in folder.glob(f"*{_SUFFIX}"):
        if path.name == _QUARANTINE:
            continue
        with contextlib.suppress(OSError):
            offset = _read_mark(path)
            left = path.stat().st_size - offset
            if left <= 0:
                continue
            with path.open("rb") as file:
                file.seek(offset)
                text = file.read(look)
            size += left
            lines = text.count(b"\n")
            events += lines if left <= len(text) else lines * left // len(text)
            with contextlib.suppress(*NOT_AN_EVENT):
                age = (utc_now() - read_line(text[: text.find(b"\n") + 1]).timestamp).total_seconds()
                oldest = age if oldest is None else max(oldest, age)
    return Backlog(size, events, oldest)


class SpoolWriter:
    """This process's file. `descriptor` is for appending whole lines; -1 while there is no file."""

    def __init__(self, folder: Path, *, segment_bytes: int) -> None:
        self.folder = folder
        self.segment_bytes = segment_bytes
        self.descriptor = -1
        self.paths: list[Path] = []
        """The files written so far, of which those not wholly shipped still exist."""

    def open(self) -> None:
        """Begin a new file, the lines of other threads going into the old one until that moment.

        The new file takes the old one's descriptor in one step (`dup2`), so that no thread ever writes to a number
        that has been closed and given out for something else.
        """
        make_folder(self.folder)
        path = self.folder / f"{time.time_ns():020d}-{os.getpid()}-{os.urandom(3).hex()}{_SUFFIX}"
        unlocked = path.with_suffix(_NEW)
        fresh = os.open(unlocked, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fresh, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unlocked.rename(path)  # from now on seen by shippers, and seen to be alive
        except OSError:
            os.close(fresh)
            raise
        self.paths = [known for known in self.paths if known.exists()] + [path]
        if self.descriptor < 0:
            self.descriptor = fresh
        else:
            os.dup2(fresh, self.descriptor, inheritable=False)
            os.close(fresh)

    def sizes(self) -> dict[Path, int]:
        """Return how long this process's files are now."""
        found = {}
        for path in self.paths:
            with contextlib.suppress(OSError):
                found[path] = path.stat().st_size
        return found

    @staticmethod
    def have_landed(sizes: dict[Path, int]) -> bool:
        """Say whether the journal has the files up to these sizes."""
        return all(_read_mark(path) >= size or not path.exists() for path, size in sizes.items())

    def close(self) -> None:
        """Give up the file: it is complete, and whoever ships may delete it when it is shipped."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def forget(self) -> None:
        """In a forked child: the file is the parent's; a new one is begun with the first event."""
        self.close()
        self.paths = []


class Batch(msgspec.Struct):
    """Events to ship together, and how far each file is read with them."""

    events: list[Event]
    lines: list[bytes]
    marks: "list[tuple[_Source, int]]"
    ready: Any = None
    """What the journal has made of the events beforehand, where it can."""


class Inbox:
    """The spool as the one who ships it sees it. Only for the holder of `shipper.lock`."""

    def __init__(self, folder: Path, *, batch_events: int = 1000, batch_bytes: int = 4 << 20) -> None:
        self.folder = folder
        self.quarantined = 0
        self._batch_events = batch_events
        self._batch_bytes = batch_bytes
        self._sources: dict[str, _Source] = {}
        self._turn = 0

    def batch(self, *, ahead: bool = False) -> Batch | None:
        """Return the next events, of as many files as it takes, each file's in their order; None where all is read.

        Next after what has landed; with `ahead`, after what was read last, which is still on its way.
        """
        self._look()
        if not ahead:
            for source in self._sources.values():
                source.position = source.offset
        batch = Batch([], [], [])
        sources = list(self._sources.values())
        self._turn += 1  # no file may keep the others waiting
        room = self._batch_bytes
        for number in range(len(sources)):
            source = sources[(self._turn + number) % len(sources)]
            wanted = self._batch_events - len(batch.events)
            if wanted <= 0 or room <= 0:
                break
            room -= self._read(source, batch, wanted, room)
        return batch if batch.marks else None

    def landed(self, batch: Batch) -> None:
        """Note that the journal has the batch; delete what is complete."""
        for source, offset in batch.marks:
            source.offset = offset
            source.write_mark()

    def sweep(self) -> None:
        """Delete the files of which the writer is gone and all is shipped."""
        for name, source in list(self._sources.items()):
            if source.offset >= source.size() and source.is_complete() and source.offset >= source.size():
                source.delete()
                del self._sources[name]

    def waiting(self) -> Iterator[tuple[Path, int, int]]:
        """Yield each file with how much of it is shipped and its size."""
        self._look()
        for source in self._sources.values():
            yield source.path, source.offset, source.size()

    def close(self) -> None:
        """Close the files."""
        for source in self._sources.values():
            source.close()
        self._sources.clear()

    def _look(self) -> None:
        """Take in the files that are new in the folder, in the order of their names, which is that of time."""
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(_SUFFIX):
                    if entry.name not in self._sources and entry.name != _QUARANTINE:
                        found.append(entry.name)
                elif entry.name.endswith((_MARK, _NEW)):
                    self._tidy(Path(entry.path))
        for name in sorted(found):
            with contextlib.suppress(OSError):  # gone already, or not ours to read
                self._sources[name] = _Source(self.folder / name)

    def _tidy(self, path: Path) -> None:
        """Remove a mark without its file, and a file whose writer died before it was one."""
        if path.suffix == _MARK:
            if path.with_suffix(_SUFFIX).name not in self._sources and not path.with_suffix(_SUFFIX).exists():
                path.unlink(missing_ok=True)
            return
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > 60:  # noqa: PLR2004 (a minute: no writer takes so long to lock it)
                path.unlink()

    def _read(self, source: "_Source", batch: Batch, wanted: int, room: int) -> int:
        """Add the next lines of a file to the batch; return how many bytes they are."""
        text, offset = source.read(min(room, _CHUNK))
        if not text:
            return 0
        lines = text.split(b"\n", wanted)
        del lines[-1]  # what comes after the last line wanted: nothing, or more lines for the next batch
        taken = 0
        for line in lines:
            taken += len(line) + 1
            if line.strip(b" \0"):
                event = self._event(line)
                if event is not None:
                    batch.events.append(event)
                    batch.lines.append(line)
        source.position = offset + taken
        batch.marks.append((source, source.position))
        return taken

    def _event(self, line: bytes) -> Event | None:
        try:
            return read_line(line)
        except NOT_AN_EVENT as error:
            self.quarantined += 1
            kept = quarantine(self.folder, line, f"not an event: {error}")
            _log.error("A line of the spool is not an event (%s)%s", error, "" if kept else "; the quarantine is full")
        start = line.rfind(_BEGINNING)
        if start > 0:  # a disk that was full for a moment: a torn line, and a whole one right after it
            with contextlib.suppress(*NOT_AN_EVENT):
                return read_line(line[start:])
        return None


class _Source:
    """One file of the spool, read from where the last batch ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.offset = min(_read_mark(path), self.size())
        """How much of it the journal has."""
        self.position = self.offset
        """How much of it is read."""
        self.complete = False

    def size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def is_complete(self) -> bool:
        """Say whether the writer is gone, which is for good: files are never opened for writing again."""
        self.complete = self.complete or _lock(self.descriptor)
        return self.complete

    def read(self, limit: int) -> tuple[bytes, int]:
        """Return whole lines from the position on, and the position; a line is returned whole however long it is."""
        while True:
            text = os.pread(self.descriptor, limit, self.position)
            end = text.rfind(b"\n") + 1
            if end:
                return text[:end], self.position
            if len(text) == limit:
                limit *= 4
            elif text and self.is_complete() and self.position + len(text) == self.size():
                return self._last_line(text), self.position
            else:
                return b"", self.position  # nothing, or a line that is being written

    def _last_line(self, text: bytes) -> bytes:
        """Return the last line of a dead writer if it is an event; torn by the death, it was never taken."""
        try:
            read_line(text)
        except NOT_AN_EVENT:
            _log.info("Passed over %d bytes that a dying process had begun to write", len(text))
            if self.position == self.offset:  # else what is before it is still on its way: passed over after that
                self.offset += len(text)
                self.position = self.offset
            return b""
        return text + b"\n"

    def write_mark(self) -> None:
        mark = os.open(self.path.with_suffix(_MARK), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(mark, b"%020d" % self.offset, 0)
        finally:
            os.close(mark)

    def delete(self) -> None:
        """Delete the file, then its mark: the other way round a crash in between would ship it all again."""
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(_MARK).unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Close the file, once: a number closed twice may be another's by then (a fork may come in between)."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _read_mark(path: Path) -> int:
    try:
        return int(path.with_suffix(_MARK).read_bytes() or 0)
    except (FileNotFoundError, ValueError):
        return 0


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
