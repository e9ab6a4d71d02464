"""A shipper in a process of its own: `python -m orakul.tasks.shipping`.

A worker's main process feeds the pool, a watcher hears a storm, and every microsecond spent there is spent once for
each task. So the events are carried to the journal beside it, at low priority: while the processor is idle they go at
once, and in a storm the work comes first and the events go in larger batches. It also carries what a killed process
left, being alive after it.
"""

import gc
import logging
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from orakul.extensions import load
from orakul.tasks.journal import Journal
from orakul.tasks.shipper import Shipper

__all__ = ["ShipperProcess", "main"]

logger = logging.getLogger(__name__)

_NICENESS = 10
_LOOK = 1.0
_PACE = 0.02
"""Seconds between batches at least: a lone event goes at once, a storm in fifty transactions a second at most."""

_BATCH = 2500
"""Events of a batch at most: a storm's are new tasks, and cost the less each the more go together."""

_GARBAGE = 100_000
"""New objects from which on to look for circles of garbage."""

_LINGER = 20.0
"""How long it stays after its worker was killed: pool children may outlive it by the task that they run."""

_DRAIN = 10.0
_AGAIN = 30.0


class Orders(msgspec.Struct):
    """What the process is told, as JSON on its standard input: no secret stands on the command line."""

    spool: str
    database_url: str


class ShipperProcess:
    """The process, as its worker sees it."""

    def __init__(self, spool: Path, database_url: str) -> None:
        self._orders = Orders(str(spool), database_url)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = float("-inf")
        os.register_at_fork(after_in_child=self._forget)

    def start(self) -> None:
        """Start it, unless it runs; again no sooner than half a minute after the last time."""
        if self._process is not None and self._process.poll() is None:
            return
        now = time.monotonic()
        if now - self._started < _AGAIN:
            return
        self._started = now
        self._process = subprocess.Popen(  # noqa: S603 (our own module, by our own interpreter)
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, close_fds=True
        )
        pipe: Any = self._process.stdin
        pipe.write(msgspec.json.encode(self._orders) + b"\n")
        pipe.flush()

    def stop(self, deadline: float) -> None:
        """Let it ship what is left, and wait for that, within the deadline."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(deadline)

    def _forget(self) -> None:
        """In a forked child: close our copy of the pipe, whose end is the sign to stop."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                os.close(process.stdin.fileno())
            process.returncode = 0  # not ours to wait for


def main() -> None:
    """Ship until the worker closes the pipe, or is gone."""
    parent = os.getppid()
    # Whoever ends a whole group of processes means the worker first: it has things to tell until its end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with suppress(OSError):
        os.nice(_NICENESS)
    gc.freeze()
    gc.set_threshold(_GARBAGE)  # a batch is thousands of objects without a circle: looking for some took a fifth of it
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)

    def open_journal() -> Journal:
        journal: Journal = load("orakul.journals", "postgres")(orders.database_url)
        return journal

    shipper = Shipper(Path(orders.spool), open_journal, batch_events=_BATCH, pace=_PACE)
    shipper.start()
    while os.getppid() == parent:
        if select.select([sys.stdin.buffer], [], [], _LOOK)[0] and not sys.stdin.buffer.read(1):
            break
    else:
        time.sleep(_LINGER)
    shipper.stop(_DRAIN)


if __name__ == "__main__":
    main()
