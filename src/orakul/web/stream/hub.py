"""The hub: follows the feed and hands each frame to those who may see it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from orakul.events import utc_now
from orakul.tasks.feed import Entry, Feed
from orakul.tasks.reader import Summary
from orakul.web.stream.audience import Audience, Audiences, readers
from orakul.web.stream.connection import Bounds, Connection
from orakul.web.stream.counting import tell_of_hub
from orakul.web.stream.figures import Figures
from orakul.web.stream.frames import Parcel, frame_entry, heartbeat, hello, live_frame, reset_frame
from orakul.web.stream.replay import Replay
from orakul.web.stream.ring import Ring

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Hub", "HubStats"]

_log = logging.getLogger(__name__)
_PAGE = 1000
_ANSWER_SECONDS = 5.0
_SHORTEST_REST = 0.004
_LONGEST_REST = 0.025


class HubStats(msgspec.Struct, frozen=True, kw_only=True):
    """What the hub is doing."""

    connections: int
    position: int | None
    live: bool
    entries: int
    deliveries: int
    writes: int
    queued_bytes: int
    stalled: int
    ring_entries: int
    ring_bytes: int
    closed_slow: int


class Hub:
    """Follows the feed from its live position; see `start` and `close`.

    `summarize(owner)` gives the header's figures (`TaskReader.summary`), called in a thread; without it no
    `metrics` are sent. `capacity` is how many connections are taken. `warm` entries before the live position are read
    at the start, so that those whom a restart has cut off come back from memory.
    """

    def __init__(
        self,
        feed: Feed,
        summarize: Callable[[str | None], Summary] | None = None,
        *,
        capacity: int = 5_000,
        bounds: Bounds | None = None,
        ring: Ring | None = None,
        warm: int = 5_000,
        heartbeat_seconds: float = 15.0,
        watch_seconds: float = 2.0,
        breath: float = 0.1,
    ) -> None:
        self.feed = feed
        self.capacity = capacity
        self.bounds = bounds or Bounds()
        self.ring = ring or Ring()
        self.position: int | None = None
        self.stale_since: datetime | None = utc_now()
        self.closing = False
        self._figures = Figures(summarize, self._tell_figures) if summarize else None
        self._warm = warm
        self._heartbeat_seconds = heartbeat_seconds
        self._watch_seconds = watch_seconds
        self._breath = breath
        self._owed = 0.0
        self._audiences = Audiences()
        self._connections: set[Connection] = set()
        self._joining: dict[Connection, asyncio.Task[None]] = {}
        self._moved = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._follower: asyncio.Task[None] | None = None
        self._replay = Replay(self)
        self._entries = self._deliveries = self._writes = self._closed_slow = 0
        tell_of_hub(self)

    # -- life

    async def start(self) -> None:
        """Begin to follow. Returns at once: while the journal is away, streams are open and say so."""
        if self._tasks:
            return
        self._spawn(self._watch())
        self._spawn(self._beat())
        if self._figures:
            self._spawn(self._figures.run())
        self._follower = asyncio.get_running_loop().create_task(self._follow())

    async def close(self, deadline: float = 2.0) -> None:
        """End all streams in order, cut what does not end within the deadline, and stop."""
        self.closing = True
        tasks = [*self._tasks, *([self._follower] if self._follower else [])]
        for task in tasks:
            task.cancel()
        for connection in list(self._connections):
            connection.end("closing")
        until = time.monotonic() + deadline
        while self._connections and time.monotonic() < until:  # noqa: ASYNC110 (once, at the end)
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.abort()
        if tasks:
            await asyncio.wait(tasks, timeout=deadline)
        self._tasks.clear()

    def stats(self) -> HubStats:
        """Return what the hub is doing, for metrics and for `/readyz`; from any thread."""
        connections = list(self._connections)
        return HubStats(
            connections=len(connections),
            position=self.position,
            live=self.stale_since is None,
            entries=self._entries,
            deliveries=self._deliveries,
            writes=self._writes,
            queued_bytes=sum(each.waiting_bytes for each in connections),
            stalled=sum(each.stalled_since is not None for each in connections),
            ring_entries=len(self.ring),
            ring_bytes=self.ring.size,
            closed_slow=self._closed_slow,
        )

    @property
    def full(self) -> bool:
        """Whether another connection would be one too many."""
        return self.closing or len(self._connections) >= self.capacity

    # -- connections

    def add(self, connection: Connection, after: int | str | None) -> None:
        """Take a connection in. `after` is its `Last-Event-ID`; a text is one that is no number: it gets a reset."""
        self._connections.add(connection)
        if after is None and self.position is not None:
            self.enter(connection, hello(self.position))
            return
        connection.push(Parcel.of(hello(None)))
        task = asyncio.get_running_loop().create_task(self._replay.bring_in(connection, after))
        self._joining[connection] = task
        task.add_done_callback(lambda done: self._brought_in(connection, done))

    def enter(self, connection: Connection, opening: bytes) -> None:
        """Let a connection hear what comes after the position, in one step of the loop with what brought it there."""
        if connection not in self._connections:
            return
        self._audiences.join(connection)
        if self.stale_since is not None:
            opening += live_frame(live=False, since=self.stale_since)
        if self._figures and "metrics" in connection.subscription.only:
            opening += self._figures.arrive(connection.subscription.key) or b""
        if opening:
            connection.push(Parcel.of(opening))

    def remove(self, connection: Connection) -> None:
        """Let a connection go, and all that was kept for it."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        joining = self._joining.pop(connection, None)
        if joining is not None:
            joining.cancel()
        if connection.ended.done() and connection.ended.result() in {"slow", "stalled"}:
            self._closed_slow += 1
        if self._audiences.leave(connection) and self._figures and "metrics" in connection.subscription.only:
            self._figures.depart(connection.subscription.key)

    async def moved(self, within: float) -> None:
        """Wait until the position has moved, at most `within` seconds."""
        # Not `wait_for`, which in Python 3.11 may lose a cancellation that meets its time-out.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._moved.wait()

    def _brought_in(self, connection: Connection, task: "asyncio.Task[None]") -> None:
        self._joining.pop(connection, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a reader could not be brought to the live position", exc_info=error)
            connection.end("error")

    # -- the feed

    async def _follow(self) -> None:
        pause = 0.1
        while True:
            try:
                position = await self._locate()
                self._set_live()
                async for batch in self.feed.follow(position):
                    pause = 0.1
                    await self._hand_out(batch)
            except Exception as error:  # noqa: BLE001 (whatever the journal's client raises: the streams stay open)
                _log.warning("the stream cannot follow the journal, trying again: %s", error)
                self._set_stale()
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)

    async def _locate(self) -> int:
        """Find where to follow from: where we were, or, at the start, the end of the journal with the ring warmed."""
        oldest, newest = await self.feed.bounds()
        if self.position is not None:
            return self.position
        position = max(oldest - 1, newest - self._warm, 0)
        self.ring.floor = position
        while position < newest:
            page = await self.feed.read(position, _PAGE)
            if not page:
                break
            for entry in page:
                self.ring.append(frame_entry(entry))
            position = page[-1].seq
        self.position = max(position, newest)
        self._progress()
        return self.position

    async def _hand_out(self, batch: Sequence[Entry]) -> None:
        began = time.perf_counter()
        self._broadcast(batch)
        await asyncio.sleep(0)
        # The rest of the program runs on this loop too: rounds are followed by a rest in proportion to what they cost,
        # in which more piles up for the next round, so that load makes the writes larger and not the loop slower.
        # A rest is owed until it is long enough for the loop's clock.
        self._owed += (time.perf_counter() - began) * self._breath
        if self._owed > _SHORTEST_REST:
            rest, self._owed = min(self._owed, _LONGEST_REST), 0.0
            await asyncio.sleep(rest)

    def _broadcast(self, batch: Sequence[Entry]) -> None:
        """Hand a batch to its audiences: each entry encoded once, each audience's bytes joined once, one write each."""
        position = self.position or 0
        touched: list[Audience] = []
        changed: set[str] = set()
        for entry in batch:
            if entry.seq <= position:
                continue
            position = entry.seq
            framed = frame_entry(entry)
            self.ring.append(framed)
            self._entries += 1
            for audience in self._audiences.hearing(framed):
                if not audience.pending:
                    touched.append(audience)
                audience.pending.append(framed.frame)
            if framed.counts:
                changed.update(readers(framed))
        for audience in touched:
            parcel = Parcel.of(b"".join(audience.pending))
            self._deliveries += len(audience.pending) * len(audience.connections)
            self._writes += len(audience.connections)
            audience.pending.clear()
            for connection in audience.connections:
                connection.push(parcel)
        self.position = position
        self._progress()
        if self._figures:
            for key in changed:
                self._figures.touch(key)

    def _progress(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    # -- whether the journal is there

    async def _watch(self) -> None:
        """Ask the journal for its bounds now and then: is it there, and is it still the one we follow."""
        asked: asyncio.Task[tuple[int, int]] | None = None
        try:
            while True:
                await asyncio.sleep(self._watch_seconds)
                position = self.position
                asked = asyncio.get_running_loop().create_task(self.feed.bounds())
                # A question that is not answered is not taken back: a client may wait for the answer even then.
                while not (await asyncio.wait({asked}, timeout=_ANSWER_SECONDS))[0]:
                    self._set_stale()
                self._note_bounds(asked, position)
        finally:
            if asked is not None:
                asked.cancel()

    def _note_bounds(self, asked: "asyncio.Task[tuple[int, int]]", position: int | None) -> None:
        """Take the answer to where the journal ended when we stood at `position`."""
        if (error := asked.exception()) is not None:
            if self.stale_since is None:
                _log.warning("the journal does not answer, the stream is stale: %s", error)
            self._set_stale()
        elif position is not None and (newest := asked.result()[1]) < position:
            self._start_over(newest)
        elif position is not None:
            self._set_live()

    def _start_over(self, newest: int) -> None:
        """Follow from a new place, since the journal ends before our position: all readers read anew."""
        _log.warning("the journal now ends at %d, before %s: restored; readers start over", newest, self.position)
        self.ring.clear(newest)
        self.position = newest
        self._everybody(Parcel.of(reset_frame("the journal was restored from an older copy", newest)))
        if self._figures:
            self._figures.touch_all()
        if self._follower is not None:
            self._follower.cancel()
        self._follower = asyncio.get_running_loop().create_task(self._follow())

    def _set_stale(self) -> None:
        if self.stale_since is None:
            self.stale_since = utc_now()
            self._everybody(Parcel.of(live_frame(live=False, since=self.stale_since)))

    def _set_live(self) -> None:
        if self.stale_since is not None:
            self.stale_since = None
            self._everybody(Parcel.of(live_frame(live=True, since=None)))
            if self._figures:
                self._figures.touch_all()

    # -- one timer for all

    async def _beat(self) -> None:
        ticks = 0
        step = min(1.0, self._heartbeat_seconds)
        while True:
            await asyncio.sleep(step)
            ticks += 1
            now = time.monotonic()
            leaving = False
            for connection in self._connections:
                connection.look(now)
                leaving = leaving or connection.server_is_leaving()
            if leaving:
                # Nobody told us, but the server is going: it would wait for the streams for ever.
                for connection in self._connections:
                    connection.end("closing")
            if ticks * step >= self._heartbeat_seconds:
                ticks = 0
                self._everybody(Parcel.of(heartbeat(self.position)))
                still = Parcel.of(heartbeat(None))
                for connection in self._joining:
                    connection.push(still)
                if self._figures:
                    self._figures.touch_all()

    def _everybody(self, parcel: Parcel) -> None:
        for audience in self._audiences:
            for connection in audience.connections:
                connection.push(parcel)

    def _tell_figures(self, key: str, frame: bytes) -> None:
        parcel = Parcel.of(frame)
        for audience in self._audiences.of(key):
            if "metrics" in audience.subscription.only:
                for connection in audience.connections:
                    connection.push(parcel)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))
