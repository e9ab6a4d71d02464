"""Bringing a reader who comes back to the live position: exactly what it missed, from memory or from the journal."""

import asyncio
import logging
from typing import TYPE_CHECKING

from orakul.web.stream.connection import Connection
from orakul.web.stream.frames import Framed, Parcel, frame_entry, reset_frame

if TYPE_CHECKING:
    from orakul.web.stream.hub import Hub

__all__ = ["Replay"]

_log = logging.getLogger(__name__)
_PAGE = 1000
_STEP_BYTES = 256 * 1024


class Replay:
    """Replays for the connections of one hub, a few of them at a time from the journal.

    `reach` is how far back the journal is read for one reader. Beyond it, reading the lists anew is cheaper for all.
    """

    def __init__(self, hub: "Hub", *, reach: int = 1_000_000, at_once: int = 4) -> None:
        self._hub = hub
        self._reach = reach
        self._turns = asyncio.Semaphore(at_once)

    async def bring_in(self, connection: Connection, after: int | str | None) -> None:
        """Send what came after `after`, and let the connection hear the rest live, with no gap and nothing twice."""
        hub = self._hub
        while hub.position is None:
            await hub.moved(1.0)
        if after is None:
            hub.enter(connection, b"id: %d\n\n" % hub.position)
            return
        reason = "the Last-Event-ID is not a number" if isinstance(after, str) else await self._refusal(after)
        if isinstance(after, str) or reason is not None:
            hub.enter(connection, reset_frame(reason or "", hub.position))
            return
        await self._catch_up(connection, after)

    async def _catch_up(self, connection: Connection, cursor: int) -> None:
        hub = self._hub
        while not connection.ended.done() and (position := hub.position) is not None:
            if cursor > position:
                if await self._wait_for(connection, position, cursor):
                    return
            elif not hub.ring.covers(cursor):
                cursor = await self._from_journal(connection, cursor, position)
            else:
                # From here to `enter` there is no await: nothing can be broadcast in between.
                parts, cursor, whole = self._from_memory(connection, cursor)
                if whole:
                    hub.enter(connection, b"".join(parts))
                    return
                connection.push(Parcel.of(b"".join(parts)))
                await connection.drained()

    async def _wait_for(self, connection: Connection, position: int, cursor: int) -> bool:
        """Wait for the position to reach the cursor; say whether the reader was let in meanwhile.

        Another web process was ahead of this one when the reader left it; or the journal was restored.
        """
        hub = self._hub
        await hub.moved(0.2)
        if hub.position != position:
            return False
        if (reason := await self._refusal(cursor)) is not None:
            hub.enter(connection, reset_frame(reason, hub.position or 0))
            return True
        try:
            page = await hub.feed.read(position, 1)
        except Exception:  # noqa: BLE001 (the journal is away: the reader waits with heartbeats)
            await asyncio.sleep(1.0)
            return False
        if hub.position != position or (page and page[0].seq <= cursor):
            return False
        # All that is left between the two are numbers without an entry: what is to come is new to this reader.
        hub.enter(connection, b"")
        return True

    def _from_memory(self, connection: Connection, cursor: int) -> tuple[list[bytes], int, bool]:
        parts: list[bytes] = []
        size = 0
        for framed in self._hub.ring.after(cursor):
            if size > _STEP_BYTES:
                return parts, cursor, False
            cursor = framed.seq
            if connection.subscription.hears(framed):
                parts.append(framed.frame)
                size += len(framed.frame)
        return parts, cursor, True

    async def _from_journal(self, connection: Connection, cursor: int, position: int) -> int:
        """Send one page of the journal, up to the position seen before it was read; return the new cursor."""
        try:
            async with self._turns:
                page = await self._hub.feed.read(cursor, _PAGE)
        except Exception as error:  # noqa: BLE001 (the journal is away: the reader waits with heartbeats)
            _log.warning("a replay waits for the journal: %s", error)
            await asyncio.sleep(1.0)
            return cursor
        framed: list[Framed] = [frame_entry(entry) for entry in page if entry.seq <= position]
        heard = [each.frame for each in framed if connection.subscription.hears(each)]
        if heard:
            connection.push(Parcel.of(b"".join(heard)))
            await connection.drained()
        return framed[-1].seq if framed else position

    async def _refusal(self, after: int) -> str | None:
        """Say why nothing can be replayed from `after`, or None where it can."""
        hub = self._hub
        if hub.position is not None and hub.ring.covers(after) and after <= hub.position:
            return None
        while True:
            try:
                oldest, newest = await hub.feed.bounds()
                break
            except Exception:  # noqa: BLE001 (as above)
                await asyncio.sleep(1.0)
        newest = max(newest, hub.position or 0)
        if after > newest:
            return "the Last-Event-ID is beyond the end of the journal"
        if after < oldest - 1:
            return "the Last-Event-ID is older than what is kept"
        if newest - after > self._reach:
            return "too much has happened since the Last-Event-ID"
        return None
