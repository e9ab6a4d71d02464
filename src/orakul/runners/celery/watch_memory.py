"""What a watch over a fleet must know of the watch before it: how far that saw, and what was open then."""

import hashlib
import logging
from pathlib import Path

import msgspec

from orakul.runners.celery.translation import OpenTask
from orakul.tasks.orders import Fleet
from orakul.tasks.reader import TaskQuery, TaskReader
from orakul.tasks.status import Status
from orakul.tasks.task import Task

__all__ = ["Seen", "WatchMemory", "running_on_watched"]

logger = logging.getLogger(__name__)


class Seen(msgspec.Struct, kw_only=True):
    """How far was seen, epoch seconds, and the tasks that had not ended then."""

    until: float | None = None
    tasks: dict[str, OpenTask] = {}


class WatchMemory:
    """A file for each broker; without a folder nothing is remembered."""

    def __init__(self, folder: Path | None, broker: str) -> None:
        digest = hashlib.sha256(broker.encode()).hexdigest()[:12]
        self._path = None if folder is None else folder / f"watch-{digest}.json"

    def load(self) -> Seen:
        """Return what the last watch left, nothing where there was none."""
        if self._path is None:
            return Seen()
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Seen)
        except FileNotFoundError:
            return Seen()
        except (OSError, msgspec.MsgspecError) as error:
            logger.warning("What the last watch had seen cannot be read: %s", error)
            return Seen()

    def save(self, seen: Seen) -> None:
        """Keep it; a crash in between leaves what was kept before."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            aside = self._path.with_suffix(".new")
            aside.write_bytes(msgspec.json.encode(seen))
            aside.replace(self._path)
        except OSError as error:
            logger.warning("How far was seen cannot be kept: %s", error)


def running_on_watched(reader: TaskReader, fleet: Fleet) -> list[Task]:
    """Return the tasks that the journal has in progress on workers that do not know Orakul."""
    watched = {worker.worker for worker in fleet.workers() if worker.facts.get("agentless")}
    found: list[Task] = []
    query = TaskQuery(status=(Status.IN_PROGRESS,), kind=("celery",), limit=500)
    while watched:
        page = reader.tasks(query)
        found.extend(task for task in page.items if task.worker in watched)
        if page.next is None:
            break
        query = msgspec.structs.replace(query, cursor=page.next)
    return found
