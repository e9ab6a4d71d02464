"""How appenders wake the shipper of a spool, whatever process it is in, and how they know that it is awake."""

import contextlib
import mmap
import os
from pathlib import Path

__all__ = ["open_beacon", "open_wake"]


def open_wake(folder: Path) -> int:
    """Return a descriptor of the FIFO, made where it is not there; it never blocks and never lacks a reader."""
    path = folder / "wake"
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def open_beacon(folder: Path) -> mmap.mmap:
    """Return the byte that all processes share: not zero while the shipper is awake, and need not be woken."""
    descriptor = os.open(folder / "awake", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_size == 0:
            os.ftruncate(descriptor, 1)
        return mmap.mmap(descriptor, 1)
    finally:
        os.close(descriptor)
