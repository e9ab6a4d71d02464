"""How far a script is, added up over its variants."""

import logging
import threading
import time
from typing import TYPE_CHECKING

from orakul.exports.result import Progress

if TYPE_CHECKING:
    from orakul.exports.script import OnProgress

__all__ = ["Tally"]

_log = logging.getLogger(__name__)
_EVERY = 0.25


class Tally:
    """Counts, and tells now and then."""

    def __init__(self, variants: int, on_progress: "OnProgress | None") -> None:
        self._variants = variants
        self._tell = on_progress
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, int]] = {}
        self._expected: dict[str, int | None] = {}
        self._done = 0
        self._next = 0.0

    def expect(self, variant: str, rows: int | None) -> None:
        """Note about how many rows a variant will have."""
        with self._lock:
            self._expected[variant] = rows

    def count(self, variant: str, rows: int, size: int) -> None:
        """Note how far a variant is."""
        with self._lock:
            self._counts[variant] = (rows, size)
            now = time.monotonic()
            if self._tell is None or now < self._next:
                return
            self._next = now + _EVERY
            self._say()

    def done(self, variant: str, rows: int, size: int) -> None:
        """Note that a variant has ended, with so many rows."""
        with self._lock:
            self._counts[variant] = (rows, size)
            self._expected[variant] = rows
            self._done += 1
            self._say()

    def _say(self) -> None:
        if self._tell is None:
            return
        expected: int | None = 0
        for value in self._expected.values():
            expected = None if expected is None or value is None else expected + value
        progress = Progress(
            rows=sum(rows for rows, _ in self._counts.values()),
            bytes=sum(size for _, size in self._counts.values()),
            expected=expected if len(self._expected) == self._variants else None,
            variants_done=self._done,
            variants=self._variants,
        )
        try:
            self._tell(progress)
        except Exception:  # noqa: BLE001  # an export does not fail because somebody could not hear how far it is
            _log.exception("on_progress failed")
