"""An exporting process shows that it lives, as workers do: else nobody would notice that it was killed.

It bears the lowest free name (`export-1@host`), held by a lock of the kernel on a file in the data folder; two data
folders on one machine have names of their own. With the
lock comes the knowledge that whoever bore the name before is dead: what the journal says it still runs is given up at
once (`take_over`), and by the leases when nobody comes (`tasks.leases`).
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from orakul.events import Event, new_event_id
from orakul.exports.names import KINDS
from orakul.tasks import Status, TaskQuery, TaskReader

__all__ = ["Presence", "take_over"]

IDLE_SECONDS = 5.0
BUSY_SECONDS = 1.0
"""Between heartbeats, while nothing and while something is exported: well within the shortest lease."""

_NAMES = 1000


class Presence:
    """One process's sign of life, from the first `enter` on until `close`."""

    def __init__(self, folder: Path, record: Callable[[Event], None], *, at_once: int = 1) -> None:
        self._folder = folder / "exports" / "running"
        self._record = record
        self._at_once = at_once
        self._active = 0
        self._lock = threading.Lock()
        self._held = -1
        self._end = threading.Event()
        self.name = ""
        self._take_name()
        self._say("worker.online")
        self._thread = threading.Thread(target=self._beat, name="orakul-export-heartbeat", daemon=True)
        self._thread.start()

    def working(self, change: int) -> None:
        """Count runs that begin (1) and end (-1); say at once that we live, before a task is seen to run here."""
        with self._lock:
            self._active += change
        self._say("worker.heartbeat")

    def close(self) -> None:
        """Say good-bye."""
        if not self._end.is_set():
            self._end.set()
            self._say("worker.offline")
            self._thread.join(2)
            if self._held >= 0:
                os.close(self._held)

    def _take_name(self) -> None:
        place = hashlib.sha256(os.fsencode(self._folder.absolute())).hexdigest()[:4]
        host = f"{socket.gethostname().partition('.')[0]}-{place}"
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            for number in range(1, _NAMES):
                descriptor = os.open(self._folder / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(descriptor)
                    continue
                self._held, self.name = descriptor, f"export-{number}@{host}"
                return
        self.name = f"export-{new_event_id()[-8:]}@{host}"  # a folder that cannot be written: a name for this once

    def _beat(self) -> None:
        silent = 0.0
        while not self._end.wait(BUSY_SECONDS):
            silent += BUSY_SECONDS
            if self._active or silent >= IDLE_SECONDS:
                silent = 0.0
                self._say("worker.heartbeat")

    def _say(self, event_type: str) -> None:
        data = {
            "worker": self.name,
            "kind": "export",
            "pool": "threads",
            "concurrency": self._at_once,
            "queues": [],
            "pid": os.getpid(),
            "active": self._active,
            "software": f"Python {platform.python_version()}",
            "interval": IDLE_SECONDS,
        }
        self._record(Event(event_type=event_type, data=data, source="exports"))


def take_over(name: str, reader: TaskReader, record: Callable[[Event], object], mine: Callable[[str], bool]) -> int:
    """Give up what a dead process of this name left open, except what is `mine`; return how many tasks that were.

    Raises JournalUnavailableError where the journal cannot be read.
    """
    query = TaskQuery(worker=[name], kind=KINDS, status=[Status.PENDING, Status.IN_PROGRESS], limit=500)
    given_up = 0
    for task in reader.tasks(query).items:
        if mine(task.task_id):
            continue
        waiting = task.status is Status.PENDING
        message = "the process ended before the export began" if waiting else "the exporting process was killed"
        data = {
            "kind": task.kind,
            "attempt": task.attempt,
            "run": task.run,
            "stage": "before_start" if waiting else "lost",
            "outcome": "Failed",
            "error": {"type": "WorkerLost", "message": f"{message} ({name}); start it again"},
        }
        record(Event(event_type="task.failed", task_id=task.task_id, user_id=task.user_id, data=data, source="exports"))
        given_up += 1
    return given_up
