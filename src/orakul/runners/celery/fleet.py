"""That a worker lives: `worker.online`, a heartbeat every few seconds, `worker.offline`.

The beat comes from a thread of its own, so that a solo worker in a long task, whose Celery heart stands still, is not
taken for lost.
"""

import contextlib
import os
import threading
import time
from typing import Any

from celery import __version__ as celery_version
from celery.worker import state

from orakul.runners.celery.parts import Parts, quiet

__all__ = ["INTERVAL", "Fleet"]

INTERVAL = 5.0
"""Seconds between heartbeats; the lease is several of them."""


class Fleet:
    """Tells of this worker, from `worker_ready` to `worker_shutdown`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._consumer: Any = None
        self._facts: dict[str, Any] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.online = quiet(self._online)
        self.offline = quiet(self._offline)

    def _online(self, consumer: Any) -> None:
        self._consumer = consumer
        pool = consumer.pool
        self._facts = {
            "worker": consumer.hostname,
            "kind": "celery",
            "pool": type(pool).__module__.rpartition(".")[2],
            "concurrency": getattr(pool, "limit", None) or getattr(pool, "num_processes", None),
            "pid": os.getpid(),
            "software": f"celery {celery_version}",
            "interval": INTERVAL,
            "started": time.time(),
        }
        self._say("worker.online")
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="orakul-heartbeat", daemon=True)
            self._thread.start()

    def _offline(self) -> None:
        if self._facts and not self._stop.is_set():
            self._stop.set()
            self._say("worker.offline")

    def _beat(self) -> None:
        while not self._stop.wait(INTERVAL):
            self._say("worker.heartbeat")
            quiet(self._parts.see_to_shipping)()

    @quiet
    def _say(self, event_type: str) -> None:
        queues: list[str] = []
        with contextlib.suppress(Exception):  # the consumer changes under us while it connects again
            queues = sorted(self._consumer.app.amqp.queues.consume_from)
        facts = {**self._facts, "queues": queues, "active": len(state.active_requests)}
        self._parts.emit(event_type, None, facts)
