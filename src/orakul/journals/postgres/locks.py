"""Locks of the kernel on files: they end with whoever holds them, however that ends."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from orakul.errors import JournalUnavailableError

__all__ = ["locked", "try_lock"]


def try_lock(path: Path, kind: int) -> int | None:
    """Return a descriptor that holds the lock, or None where somebody else's stands against it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def locked(path: Path, deadline: float) -> Iterator[None]:
    """Hold the exclusive lock, waiting for it until the deadline."""
    while (held := try_lock(path, fcntl.LOCK_EX)) is None:
        if time.monotonic() > deadline:
            raise JournalUnavailableError(f"another process is starting PostgreSQL for too long (it holds {path})")
        time.sleep(0.01)
    try:
        yield
    finally:
        os.close(held)
