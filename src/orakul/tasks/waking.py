"""How appenders wake the shipper of a spool, whatever process it is in, and how they know that it is awake."""

import contextlib
import mmap
import os
from pathlib import Path

__all__ = ["Beacon", "open_wake", "see_beacon"]

_ON, _OFF = b"\1", b"\0"


def open_wake(folder: Path) -> int:
    """Return a descriptor of the FIFO, made where it is not there; it never blocks and never lacks a reader."""
    path = folder / "wake"
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def see_beacon(folder: Path) -> "mmap.mmap | bytes":
    """Return the byte that all processes share: not zero while the shipper is awake, and need not be woken.

    Only to be read: to write into a mapping on a full disk ends the process (SIGBUS). Where it cannot be had, it seems
    off for ever, and each event wakes the shipper.
    """
    with contextlib.suppress(OSError, ValueError):
        descriptor = _open(folder)
        try:
            return mmap.mmap(descriptor, 1, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
    return _OFF


class Beacon:
    """The same byte, for the shipper to set."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = -1
        self._on = False
        with contextlib.suppress(OSError):
            self._descriptor = _open(folder)
            os.pwrite(self._descriptor, _OFF, 0)  # the one before may have been killed while it was awake

    def set(self, *, on: bool) -> None:
        """Light it, or put it out."""
        if on is not self._on:
            self._on = on
            with contextlib.suppress(OSError):
                os.pwrite(self._descriptor, _ON if on else _OFF, 0)

    def close(self) -> None:
        """Put it out and let go of it."""
        self.set(on=False)
        self.forget()

    def forget(self) -> None:
        """Let go of it as it is: in a forked child, as it is the parent's."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _open(folder: Path) -> int:
    descriptor = os.open(folder / "awake", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_size == 0:
            os.pwrite(descriptor, _OFF, 0)  # written, not only made long: a mapping of a hole may meet a full disk
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
