"""The rows of a COPY read straight off the connection's socket, many at a time.

The client library is called once for each row, which takes most of the time of an export into CSV. It connects, signs
in and cancels; from the COPY on, its socket is read here. Every row is a message of its own, so that nothing has to
look for the ends of rows. What the library would have read in between (encryption) makes this impossible: see
`may_read_directly`. The connection is of no use afterwards, and is closed.
"""

import os
import struct
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from orakul.errors import SourceError

if TYPE_CHECKING:
    import psycopg

__all__ = ["may_read_directly", "rows_of"]

_READ = 256 << 10
_ROWS = 8192
_BYTES = 2 << 20
_OFTEN = 0.25
_ROW, _ERROR, _READY = b"dEZ"
_PASSED_OVER = frozenset(b"HcCNSA")
"""The beginning and the end of the COPY, notices, changed settings, notifications."""
_HEAD, _LENGTH = 5, struct.Struct(">xI")
"""A message begins with its kind and its length, which counts itself."""


def may_read_directly(connection: "psycopg.Connection[Any]") -> bool:
    """Say whether what the server sends goes over the socket as it is."""
    server = connection.pgconn
    return os.name == "posix" and not server.ssl_in_use and not server.used_gssapi


def rows_of(connection: "psycopg.Connection[Any]", copy: str, wait: Callable[[], None]) -> Iterator[list[bytes]]:
    """Run a COPY and give its rows, in lists; `wait` returns when there is something to read, or raises.

    Raises SourceError with the server's words where it fails.
    """
    connection.pgconn.send_query(copy.encode(connection.info.encoding))
    reading = _Reading(connection.pgconn.socket, connection.info.encoding)
    due = time.monotonic() + _OFTEN
    while not reading.ended:
        if not reading.read():
            if reading.rows and time.monotonic() >= due:  # a slow query's rows are told of, and not piled up
                yield reading.taken()
                due = time.monotonic() + _OFTEN
            wait()
        elif reading.is_much:
            yield reading.taken()
    if reading.rows:
        yield reading.taken()
    if reading.error is not None:
        raise SourceError(reading.error)


class _Reading:
    """What was read, and the rows found in it."""

    def __init__(self, socket: int, encoding: str) -> None:
        self.rows: list[bytes] = []
        self.error: str | None = None
        self.ended = False
        self._socket, self._encoding = socket, encoding
        self._size = 0
        self._pieces: list[bytes] = []
        """The beginning of a message that is not all there."""
        self._lacking = _HEAD

    @property
    def is_much(self) -> bool:
        """Whether the rows are enough to be passed on."""
        return len(self.rows) >= _ROWS or self._size >= _BYTES

    def taken(self) -> list[bytes]:
        """Return the rows found so far, and begin anew."""
        rows, self.rows, self._size = self.rows, [], 0
        return rows

    def read(self) -> bool:
        """Read what there is; False where there is nothing yet."""
        try:
            piece = os.read(self._socket, _READ)
        except BlockingIOError:
            return False
        except OSError as broken:
            raise SourceError(self.error or f"the connection to PostgreSQL is lost: {broken}") from broken
        if not piece:
            raise SourceError(self.error or "the server closed the connection unexpectedly")
        self._pieces.append(piece)
        self._lacking -= len(piece)
        if self._lacking <= 0:
            data = b"".join(self._pieces)
            place = self._found(data)
            self._size += place
            self._pieces = [data[place:]]
        return True

    def _found(self, data: bytes) -> int:
        """Go through the messages, and return where the first one begins that is not all there."""
        place, stop, length_at, add = 0, len(data), _LENGTH.unpack_from, self.rows.append
        while stop - place >= _HEAD:
            end = place + 1 + length_at(data, place)[0]
            if end > stop:
                self._lacking = end - stop
                return place
            if data[place] == _ROW:
                add(data[place + _HEAD : end])
            else:
                self._note(data[place], data[place + _HEAD : end])
            place = end
        self._lacking = _HEAD - (stop - place)
        return place

    def _note(self, kind: int, message: bytes) -> None:
        if kind == _ERROR:
            self.error = _text(message, self._encoding)
        elif kind == _READY:
            self.ended = True
        elif kind not in _PASSED_OVER:
            raise SourceError(f"PostgreSQL sent what is no answer to a COPY (a message of kind {chr(kind)!r})")


def _text(message: bytes, encoding: str) -> str:
    """Return an error in words, as the client library has them."""
    fields = {part[:1]: part[1:].decode(encoding, "replace") for part in message.split(b"\0") if part}
    text = fields.get(b"M", "PostgreSQL gave no reason")
    for field, name in ((b"D", "DETAIL"), (b"H", "HINT"), (b"W", "CONTEXT")):
        if field in fields:
            text += f"\n{name}:  {fields[field]}"
    return text
