"""What all sources do alike: know what they hold open, so that it can be stopped from another thread, and closed."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Protocol, Self

from orakul.errors import SourceError

__all__ = ["ConnectingSource"]


class _Closing(Protocol):
    def close(self) -> object: ...


class ConnectingSource:
    """Half of a `Source`: what it holds open, and how that ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled: float | None = None
        self._open: list[tuple[_Closing, Callable[[], object]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open, the last first."""
        with self._lock:
            closing, self._open = self._open, []
        for each, _ in reversed(closing):
            with contextlib.suppress(Exception):  # a lost connection does not close well
                each.close()

    def cancel(self) -> None:
        """Stop what runs; nothing more begins."""
        with self._lock:
            self._cancelled = time.monotonic()
            running = list(self._open)
        for _, stop in running:
            with contextlib.suppress(Exception):  # not every driver can, and it may have ended by itself
                stop()

    def watch(self, closing: _Closing, stop: Callable[[], object]) -> None:
        """Close this with the source from now on, and stop it so (from another thread); raise where it is too late."""
        with self._lock:
            self._open.append((closing, stop))
            late = self.cancelled
        if late:
            raise SourceError("cancelled")

    @property
    def cancelled(self) -> bool:
        """Whether it was told to stop."""
        return self._cancelled is not None

    @property
    def cancelled_since(self) -> float | None:
        """When it was told to stop, by the monotonic clock."""
        return self._cancelled
