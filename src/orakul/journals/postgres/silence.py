"""A connection whose server may keep it and say nothing: a stopped process, a host that hangs.

No time-out of the server's own ends that, and over a unix socket none of the network's. So it is given up here.
"""

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg

__all__ = ["BoundedConnection"]

T = TypeVar("T")


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is closed where nothing is heard of a statement for so many seconds; None: it is waited for."""

    silence: float | None = None

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        """Wait for what psycopg waits for, as long as may be."""
        return super().wait(gen if self.silence is None else self._until(gen, self.silence), *args, **options)

    def _until(self, talk: Generator[Any, Any, T], seconds: float) -> Generator[Any, Any, T]:
        # psycopg asks such a generator for what to wait for, and ten times a second sends it that nothing has come.
        end = time.monotonic() + seconds
        try:
            wanted = next(talk)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > end:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"nothing was heard of a statement for {seconds:.0f} s")
                wanted = talk.send(ready)
        except StopIteration as done:
            result: T = done.value
            return result
