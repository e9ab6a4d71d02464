"""What hubs tell of themselves: read from what they count anyway, at a collection only."""

import weakref
from typing import TYPE_CHECKING

from orakul.instruments import counter, gauge

if TYPE_CHECKING:
    from orakul.web.stream.hub import Hub, HubStats

__all__ = ["REFUSED", "tell_of_hub"]

REFUSED = counter("orakul_stream_refused_total", "Streams that were refused, as there were too many.")
_told: "weakref.WeakKeyDictionary[Hub, _Figures]" = weakref.WeakKeyDictionary()


def tell_of_hub(hub: "Hub") -> None:
    """Let the instruments tell of this hub as long as it lives."""
    figures = _told[hub] = _Figures(hub)
    gauge("orakul_stream_connections", "Open streams.", figures.connections)
    gauge("orakul_stream_live", "1 where the stream follows the journal.", figures.live, merge="max")
    gauge("orakul_stream_stalled", "Streams whose readers take nothing at the moment.", figures.stalled)
    gauge("orakul_stream_queued_bytes", "Bytes that wait for readers to take them.", figures.queued_bytes)
    gauge("orakul_stream_ring_entries", "Entries in memory, for those who come back.", figures.ring_entries)
    gauge("orakul_stream_ring_bytes", "Bytes of those entries.", figures.ring_bytes)
    counter("orakul_stream_entries_total", "Entries of the journal that went out.", read=figures.entries)
    counter("orakul_stream_deliveries_total", "Entries times the streams that they went to.", read=figures.deliveries)
    counter(
        "orakul_stream_writes_total", "Writes to streams; entries that come together share one.", read=figures.writes
    )
    said = "Streams that were closed as their readers were too slow; they resume where they were."
    counter("orakul_stream_closed_slow_total", said, read=figures.closed_slow)


class _Figures:
    """One hub's figures."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = weakref.ref(hub)

    def _stats(self) -> "HubStats":
        hub = self._hub()
        if hub is None:
            raise ReferenceError("the hub has gone")
        return hub.stats()

    def connections(self) -> float:
        return self._stats().connections

    def live(self) -> float:
        return int(self._stats().live)

    def stalled(self) -> float:
        return self._stats().stalled

    def queued_bytes(self) -> float:
        return self._stats().queued_bytes

    def ring_entries(self) -> float:
        return self._stats().ring_entries

    def ring_bytes(self) -> float:
        return self._stats().ring_bytes

    def entries(self) -> float:
        return self._stats().entries

    def deliveries(self) -> float:
        return self._stats().deliveries

    def writes(self) -> float:
        return self._stats().writes

    def closed_slow(self) -> float:
        return self._stats().closed_slow
