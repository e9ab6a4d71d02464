"""A variant's rows divided into files, by rows and by bytes."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from orakul.exports.format import BatchFile, Lines, Sink
from orakul.exports.part_file import PartFile
from orakul.exports.plan import Output

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BatchParts", "Parts", "TextParts"]

_BLOCK = 256 << 10
"""How much text goes into a compressed file before its size is looked at again."""


class Parts:
    """The files of one variant, one open at a time."""

    def __init__(self, output: Output, open_part: Callable[[int], PartFile]) -> None:
        self._rows_limit = output.rows_per_file
        self._size_limit = output.bytes_per_file
        self._open_part = open_part
        self._file: PartFile | None = None
        self.done: list[PartFile] = []
        self.rows = 0
        self._size_done = 0

    @property
    def bytes(self) -> int:
        """How much is written by now."""
        return self._size_done + (self._file.bytes if self._file else 0)

    def finish(self, *, empty_too: bool) -> list[PartFile]:
        """Close the last file and return all of them; with `empty_too`, at least one."""
        if empty_too and not self.done and self._file is None:
            self._current()
        self._close()
        return self.done

    def abandon(self) -> None:
        """Let go of the open file."""
        if self._file is not None:
            self._file.abandon()

    def _current(self) -> PartFile:
        if self._file is None:
            self._file = self._open_part(len(self.done) + 1)
            self._begin(self._file)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._end(self._file)
            self._file.finish()
            self.done.append(self._file)
            self._size_done += self._file.bytes
            self._file = None

    def _add(self, rows: int) -> None:
        assert self._file is not None  # noqa: S101  # rows were just written into it
        self._file.rows += rows
        self.rows += rows
        if self._file.rows == self._rows_limit:
            self._close()

    def _begin(self, file: PartFile) -> None:
        """Write what a file begins with."""

    def _end(self, file: PartFile) -> None:
        """Write what a file ends with."""


class TextParts(Parts):
    """Files of lines."""

    def __init__(
        self, output: Output, open_part: Callable[[int], PartFile], header: bytes, *, compressed: bool
    ) -> None:
        super().__init__(output, open_part)
        self._header = header
        self._compressed = compressed

    def write(self, lines: Lines) -> None:
        """Add rows."""
        first = 0
        while first < lines.count:
            file = self._current()
            rows = None if self._rows_limit is None else self._rows_limit - file.rows
            upto = lines.fitting(first, rows, self._room(file))
            if upto == first and file.rows and not self._compressed:
                self._close()
                continue
            upto = max(upto, first + 1)  # a row larger than a file has one of its own
            file.write(lines.between(first, upto))
            self._add(upto - first)
            first = upto
            if self._file is not None and self._size_limit is not None and self._file.bytes >= self._size_limit:
                self._close()

    def _room(self, file: PartFile) -> int | None:
        if self._size_limit is None:
            return None
        return _BLOCK if self._compressed else max(0, self._size_limit - file.bytes)

    def _begin(self, file: PartFile) -> None:
        if self._header:
            file.write(self._header)


class BatchParts(Parts):
    """Files that take batches."""

    def __init__(
        self, output: Output, open_part: Callable[[int], PartFile], make: Callable[[Sink, int], BatchFile]
    ) -> None:
        super().__init__(output, open_part)
        self._make = make
        self._writer: BatchFile | None = None

    def write(self, batch: "pa.RecordBatch") -> None:
        """Add rows."""
        step = batch.num_rows
        if self._size_limit is not None:
            step = max(1, int(step * self._size_limit / 4 / max(1, batch.nbytes)))
        first = 0
        while first < batch.num_rows:
            file = self._current()
            count = min(step, batch.num_rows - first)
            if self._rows_limit is not None:
                count = min(count, self._rows_limit - file.rows)
            assert self._writer is not None  # noqa: S101  # made with the file
            self._writer.write(batch.slice(first, count))
            self._add(count)
            first += count
            if self._file is not None and self._size_limit is not None and self._file.bytes >= self._size_limit:
                self._close()

    def abandon(self) -> None:
        """Let go of the open file."""
        self._writer = None
        super().abandon()

    def _begin(self, file: PartFile) -> None:
        self._writer = self._make(file.sink, (self._size_limit or 192 << 20) // 4)

    def _end(self, file: PartFile) -> None:  # noqa: ARG002  # the writer knows its file
        if self._writer is not None:
            self._writer.close()
            self._writer = None
