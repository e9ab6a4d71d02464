"""One file while it grows: its bytes compressed, counted, summed up, and put on the disk."""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any

from orakul.exports.format import Buffer

__all__ = ["PartFile"]


class PartFile:
    """A file under its temporary name. `name` is its future path below the output's directory."""

    def __init__(self, staged: Path, name: str, *, variant: str, part: int, compression: str = "none") -> None:
        self.staged = staged
        self.name = name
        self.variant = variant
        self.part = part
        self.rows = 0
        self._sink = _Summed(staged)
        self._file: Any = self._sink
        if compression != "none":
            import pyarrow as pa  # noqa: PLC0415  # plain text needs no Arrow

            self._file = pa.CompressedOutputStream(pa.PythonFile(self._sink, mode="w"), compression)

    @property
    def bytes(self) -> int:
        """The file's size by now."""
        return self._sink.size

    @property
    def sha256(self) -> str:
        """The sum of its bytes, when it is whole."""
        return self._sink.digest.hexdigest()

    @property
    def sink(self) -> "_Summed":
        """Where a format writes that makes its own bytes."""
        return self._sink

    def write(self, data: Buffer) -> None:
        """Add bytes."""
        self._file.write(data)

    def finish(self) -> None:
        """Write what is left, and wait until the disk has all of it."""
        if self._file is not self._sink:
            self._file.close()
        self._sink.sync()
        self._sink.really_close()

    def abandon(self) -> None:
        """Let go of it as it is."""
        with contextlib.suppress(Exception):  # a full disk may refuse the last bytes; nobody wants them
            if self._file is not self._sink:
                self._file.close()
        with contextlib.suppress(OSError):
            self._sink.really_close()


class _Summed:
    """A file that counts and sums its bytes. Arrow takes it for a Python file, and may close it: that is for us."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self.digest = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: Buffer) -> int:
        """Take bytes, all of them."""
        view = memoryview(data)
        self.digest.update(view)
        done = 0
        while done < view.nbytes:
            done += self._file.write(view[done:])
        self.size += done
        return done

    def tell(self) -> int:
        """Return the place."""
        return self.size

    def flush(self) -> None:
        """Do nothing: nothing is held."""

    def close(self) -> None:
        """Do nothing: it is closed when it was synced."""

    def sync(self) -> None:
        """Wait until the disk has it."""
        os.fsync(self._file.fileno())

    def really_close(self) -> None:
        """Close it."""
        self.closed = True
        self._file.close()

    def readable(self) -> bool:
        """Say no."""
        return False

    def writable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say no."""
        return False
