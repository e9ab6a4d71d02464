"""Sign-in, slowed down after failures."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Throttle"]


class _Count:
    __slots__ = ("failures", "until")

    def __init__(self) -> None:
        self.failures = 0
        self.until = 0.0


class Throttle:
    """Counts failures by key and answers how long to wait: nothing at first, then twice as long each time.

    A trial is counted as failed before it is made, and forgiven where it succeeds, so that many at once gain nothing.
    Memory is bounded: the keys not seen for longest are forgotten first.
    """

    def __init__(
        self,
        *,
        free: int = 4,
        longest: float = 300.0,
        room: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._free = free
        self._longest = longest
        self._room = room
        self._clock = clock
        self._counts: OrderedDict[tuple[str, ...], _Count] = OrderedDict()
        self._lock = threading.Lock()

    def attempt(self, *key: str) -> float:
        """Count a trial; return 0 where it may be made now, else the seconds to wait (then it is not counted)."""
        with self._lock:
            now = self._clock()
            count = self._counts.get(key)
            if count is None:
                count = self._counts[key] = _Count()
                if len(self._counts) > self._room:
                    self._counts.popitem(last=False)
            self._counts.move_to_end(key)
            if now < count.until:
                return count.until - now
            if count.failures and now - count.until > self._longest:
                count.failures = 0
            count.failures += 1
            beyond = count.failures - self._free
            # Without a delay yet, `until` still says when the last trial was.
            count.until = now + (min(self._longest, 2.0 ** min(beyond, 20)) if beyond >= 0 else 0.0)
            return 0.0

    def forgive(self, *key: str) -> None:
        """Take one trial back: it was no failure, though others may have been."""
        with self._lock:
            count = self._counts.get(key)
            if count is not None:
                count.failures = max(0, count.failures - 1)
                count.until = min(count.until, self._clock())

    def succeeded(self, *key: str) -> None:
        """Forget the failures of a key."""
        with self._lock:
            self._counts.pop(key, None)
