"""The header's figures on the stream: at most once a second, only when they changed, only for whoever is there."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

import msgspec

from orakul.errors import UnavailableError
from orakul.tasks.reader import Summary
from orakul.web.stream.audience import ALL
from orakul.web.stream.frames import metrics_frame

__all__ = ["Figures"]

_log = logging.getLogger(__name__)


class _Desk(msgspec.Struct):
    readers: int = 0
    summary: Summary | None = None
    frame: bytes | None = None


class Figures:
    """Computes the summary of each audience that is connected and for which something happened.

    `summarize(owner)` is called in a thread, one at a time; `deliver(key, frame)` in the loop.
    """

    def __init__(
        self,
        summarize: Callable[[str | None], Summary],
        deliver: Callable[[str, bytes], None],
        *,
        pause: float = 1.0,
    ) -> None:
        self._summarize = summarize
        self._deliver = deliver
        self._pause = pause
        self._desks: dict[str, _Desk] = {}
        self._changed: set[str] = set()
        self._wake = asyncio.Event()

    def arrive(self, key: str) -> bytes | None:
        """Count a reader in; return the frame as it stands, if there is one."""
        desk = self._desks.setdefault(key, _Desk())
        desk.readers += 1
        if desk.frame is None:
            self.touch(key)
        return desk.frame

    def depart(self, key: str) -> None:
        """Count a reader out; with the last one what was known is forgotten, since nobody keeps it true."""
        desk = self._desks.get(key)
        if desk is None:
            return
        desk.readers -= 1
        if desk.readers <= 0:
            del self._desks[key]
            self._changed.discard(key)

    def touch(self, key: str) -> None:
        """Note that the figures of a key may have changed."""
        if key in self._desks:
            self._changed.add(key)
            self._wake.set()

    def touch_all(self) -> None:
        """Note that time has passed, or that the journal is back: any figure may have changed."""
        self._changed.update(self._desks)
        if self._changed:
            self._wake.set()

    async def run(self) -> None:
        """Compute and deliver, for ever. The first change after a quiet time is told at once."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            changed, self._changed = self._changed, set()
            for key in changed:
                await self._tell(key)
            await asyncio.sleep(self._pause)

    async def _tell(self, key: str) -> None:
        owner = None if key == ALL else key[1:]
        try:
            summary = await asyncio.to_thread(self._summarize, owner)
        except UnavailableError:
            self._changed.add(key)  # told when the journal is back: the hub touches all then
            return
        except Exception:  # noqa: BLE001 (one bad summary must not end the figures of all)
            _log.exception("the summary of %s could not be read", key)
            return
        desk = self._desks.get(key)
        if desk is None:
            return
        known = desk.summary
        if known is not None and msgspec.structs.replace(summary, seq=known.seq) == known:
            return
        desk.summary, desk.frame = summary, metrics_frame(summary)
        with contextlib.suppress(RuntimeError):  # the loop is closing
            self._deliver(key, desk.frame)
