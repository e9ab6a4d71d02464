"""What sources alike do whose driver is Python's: keep their open connections, to stop and close them all."""

import contextlib
import threading
from typing import Generic, Protocol, Self, TypeVar

from orakul.errors import SourceError

__all__ = ["ConnectingSource"]


class _Connection(Protocol):
    def close(self) -> object: ...


ConnectionT = TypeVar("ConnectionT", bound=_Connection)


class ConnectingSource(Generic[ConnectionT]):
    """Half of a `Source`: what it holds open, and how that ends. Its products say how a connection is interrupted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._open: list[ConnectionT] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            closing, self._open = self._open, []
        for each in closing:
            with contextlib.suppress(Exception):  # a lost connection does not close well
                each.close()

    def cancel(self) -> None:
        """Stop what runs; nothing more begins."""
        with self._lock:
            self._cancelled = True
            running = list(self._open)
        for each in running:
            with contextlib.suppress(Exception):  # not every driver can, and it may have ended by itself
                self._interrupt(each)

    @property
    def cancelled(self) -> bool:
        """Whether it was told to stop."""
        return self._cancelled

    def _interrupt(self, connection: ConnectionT) -> None:
        raise NotImplementedError

    def _opened(self, connection: ConnectionT) -> ConnectionT:
        """Return the connection, which is stopped and closed with the source from now on."""
        with self._lock:
            self._open.append(connection)
            if self._cancelled:
                raise SourceError("cancelled")
        return connection
