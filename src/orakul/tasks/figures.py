"""What recorders tell of themselves: read from what they count anyway, at a collection only."""

import time
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from orakul.instruments import counter, gauge
from orakul.tasks.spool import Backlog, measure

if TYPE_CHECKING:
    from orakul.tasks.recorder import Recorder

__all__ = ["RecorderStats", "tell_of_recorder"]

_FRESH = 1.0
_LOOK = 1 << 14
_told: "weakref.WeakKeyDictionary[Recorder, _Figures]" = weakref.WeakKeyDictionary()


def tell_of_recorder(recorder: "Recorder") -> None:
    """Let the instruments tell of this recorder as long as it lives."""
    figures = _told[recorder] = _Figures(recorder)
    said = "Events that were recorded by this process."
    counter("orakul_recorder_events_total", said, read=figures.recorded)
    said = "Events that this process passed over (the spool was full) or let go (neither disk nor memory took them)."
    counter("orakul_recorder_dropped_total", said, ("why",), read=figures.dropped)
    gauge("orakul_recorder_memory_events", "Events in memory, as the disk refuses them.", figures.in_memory)
    gauge("orakul_recorder_ships", "1 where this process carries the spool to the journal.", figures.ships, merge="max")
    said = "Bytes in the spool that are not in the journal yet."
    gauge("orakul_spool_bytes", said, figures.spool_bytes, merge="max")
    said = "Events in the spool that are not in the journal yet; estimated where they are many."
    gauge("orakul_spool_events", said, figures.spool_events, merge="max")
    said = "Age of the oldest event that is not in the journal yet."
    gauge("orakul_spool_oldest_seconds", said, figures.spool_oldest, merge="max")


class RecorderStats(msgspec.Struct, frozen=True, kw_only=True):
    """Where the events are. `queued_*` are of the whole spool, the rest of this process."""

    recorded: int
    shipped: int
    batches: int
    retries: int
    queued_bytes: int
    queued_events: int
    oldest_seconds: float | None
    in_memory: int
    lost: int
    passed_over: int
    quarantined: int
    ships: bool
    trouble: str | None


class _Figures:
    """One recorder's figures."""

    def __init__(self, recorder: "Recorder") -> None:
        self._recorder = weakref.ref(recorder)
        self._measured: tuple[float, Backlog] | None = None

    def recorded(self) -> float | None:
        recorder = self._recorder()
        return None if recorder is None else recorder.counts()["recorded"]

    def dropped(self) -> Mapping[str, float] | None:
        recorder = self._recorder()
        if recorder is None:
            return None
        counts = recorder.counts()
        return {why: counts[why] for why in ("passed_over", "lost")}

    def in_memory(self) -> float | None:
        recorder = self._recorder()
        return None if recorder is None else recorder.counts()["in_memory"]

    def ships(self) -> float | None:
        recorder = self._recorder()
        return None if recorder is None else recorder.counts()["ships"]

    def spool_bytes(self) -> float | None:
        return self._backlog().size

    def spool_events(self) -> float | None:
        return self._backlog().events

    def spool_oldest(self) -> float | None:
        return self._backlog().oldest_seconds or 0.0

    def _backlog(self) -> Backlog:
        recorder, now = self._recorder(), time.monotonic()
        if self._measured is None or now - self._measured[0] > _FRESH:
            found = Backlog(0, 0, None) if recorder is None else measure(recorder.folder, look=_LOOK)
            self._measured = (now, found)
        return self._measured[1]
