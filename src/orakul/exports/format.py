"""The contract of formats: how batches of rows become the bytes of files.

A format of text gives `Lines`, which may be cut after any row; Parquet writes whole batches.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BatchFile", "Buffer", "Lines", "Sink", "TextFormat", "lines_of_array", "lines_of_rows"]

Buffer: TypeAlias = "bytes | memoryview"


class Sink(Protocol):
    """Where a file's bytes go."""

    def write(self, data: Buffer) -> int:
        """Take bytes."""
        ...


class Lines:
    """Finished rows of text: one block of bytes, and where each row ends in it."""

    def __init__(self, data: Buffer, count: int, ends: "Sequence[int] | None" = None) -> None:
        self.data = data
        self.count = count
        self._ends = ends

    def fitting(self, first: int, rows: int | None, size: int | None) -> int:
        """Return how far the rows from `first` go into a file with room for so many rows and bytes."""
        upto = self.count if rows is None else min(self.count, first + rows)
        if size is None:
            return upto
        return bisect_right(self._known_ends(), self._end(first) + size, first, upto)

    def between(self, first: int, upto: int) -> Buffer:
        """Return the bytes of the rows from `first`, before `upto`."""
        if first == 0 and upto == self.count:
            return self.data
        return memoryview(self.data)[self._end(first) : self._end(upto)]

    def _end(self, row: int) -> int:
        """Return where the rows before this one end."""
        if row in {0, self.count}:
            return len(self.data) if row else 0
        return self._known_ends()[row - 1]

    def _known_ends(self) -> Sequence[int]:
        assert self._ends is not None, "lines that are cut know their ends"  # noqa: S101  # our own law
        return self._ends


class TextFormat(Protocol):
    """A format whose rows are lines."""

    def header(self, names: Sequence[str]) -> bytes:
        """Return what every file begins with."""
        ...

    def lines(self, batch: "pa.RecordBatch") -> Lines:
        """Return the rows as text. Raises ValueError for a value that cannot be written."""
        ...


class BatchFile(Protocol):
    """One open file of a format that takes batches."""

    def write(self, batch: "pa.RecordBatch") -> None:
        """Add rows."""
        ...

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        ...


def lines_of_rows(rows: list[bytes], *, cut: bool) -> Lines:
    """Return rows that a database wrote as text; where the text is `cut`, with their ends."""
    return Lines(b"".join(rows), len(rows), list(accumulate(map(len, rows))) if cut else None)


def lines_of_array(array: Any) -> Lines:
    """Return an Arrow array of large strings, without NULL, as lines, nothing copied."""
    count = len(array)
    if not count:
        return Lines(b"", 0, [])
    _, offsets, data = array.buffers()
    ends = memoryview(offsets).cast("q")[array.offset : array.offset + count + 1]
    text = memoryview(data)[ends[0] : ends[count]] if data is not None else memoryview(b"")
    shift = ends[0]
    return Lines(text, count, ends[1:] if not shift else [end - shift for end in ends[1:]])
