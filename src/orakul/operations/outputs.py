"""Several outputs at once: each a formatter and a place, chosen in settings, logs split by thread on wish."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from orakul.operations.collection import Call
from orakul.operations.formatter import OutputFormatter
from orakul.operations.record import OperationLog

__all__ = ["Output"]


class Output:
    """A sink of the collector that writes each finished tree, formatted, to a stream, a file or a callable.

    With `split_by_thread`, the file's name gets the thread's name (`work.log` → `work.MainThread.log`). Files are
    appended to, a record a write, so several processes may share one. `only_failures` leaves out trees that ended
    well.
    """

    def __init__(
        self,
        formatter: OutputFormatter,
        to: TextIO | str | Path | Callable[[str], object] | None = None,
        *,
        split_by_thread: bool = False,
        only_failures: bool = False,
    ) -> None:
        self._formatter = formatter
        self._to = to
        self._split = split_by_thread
        self._only_failures = only_failures

    def on_calls(self, calls: list[Call]) -> None:
        """Pass over single calls: they come as trees."""

    def on_running(self, log: OperationLog) -> None:
        """Pass over what has not ended."""

    def on_tree(self, log: OperationLog) -> None:
        """Write a finished tree."""
        if self._only_failures and log.outcome != "error":
            return
        text = self._formatter.format_operation_log(log)
        if isinstance(self._to, str | Path):
            with self._path(log).open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text + "\n")
        elif callable(self._to):
            self._to(text)
        else:
            stream = self._to or sys.stderr
            stream.write(text + "\n")
            stream.flush()

    def _path(self, log: OperationLog) -> Path:
        path = Path(str(self._to))
        if not self._split:
            return path
        thread = re.sub(r"[^\w.-]+", "_", log.thread_name) or str(log.thread_id)
        return path.with_name(f"{path.stem}.{thread}{path.suffix}")
