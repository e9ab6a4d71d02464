"""Leases: a task runs as long as its worker is heard of; what a lost worker left behind is given up.

A worker that was killed says nothing, and neither does Celery. It shows in one of three ways: the worker said
good-bye and the task is still in progress, the worker has been silent for longer than its lease, or a new process with
its name has begun. What is concluded so ranks below whatever is observed: should the worker have been cut off only, its
report of the end outranks this one, and where the broker delivers the task again, the new run does.
"""

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from orakul.errors import TaskNotFoundError
from orakul.events import Event
from orakul.instruments import counter
from orakul.tasks.journal import Journal
from orakul.tasks.orders import Fleet, Worker
from orakul.tasks.status import Status
from orakul.tasks.task import Task

__all__ = ["Reaper"]

logger = logging.getLogger(__name__)

_LOST = counter("orakul_reaper_tasks_lost_total", "Tasks that were given up as their worker was lost.")
_NAMESPACE = uuid.UUID("6f0e0f44-2b7f-4d6c-9f3b-0f4a5e1c7d21")


class Reaper:
    """Fails the tasks of lost workers. `sweep` is called every few seconds; several reapers do no harm.

    A silence counts only while it was listened to: when the database, or this process, was away, heartbeats had
    no way in, and the listening begins anew. Nor does the worker's clock matter: what counts is whether its last word
    changed.
    """

    def __init__(
        self,
        journal: Journal,
        fleet: Fleet,
        lease_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._fleet = fleet
        self._lease = lease_seconds
        self._clock = clock
        self._listening_since: float | None = None
        self._last_sweep = 0.0
        self._heard: dict[str, tuple[datetime, float]] = {}

    def sweep(self) -> int:
        """Look once; return how many tasks were given up.

        Raises JournalUnavailableError where the database does not answer.
        """
        now = self._clock()
        try:
            workers = {worker.worker: worker for worker in self._fleet.workers()}
            abandoned = self._fleet.abandoned(self._lease)
        except BaseException:
            self._listening_since = None
            raise
        if self._listening_since is None or now - self._last_sweep > self._lease:
            self._listening_since = now
            self._heard.clear()
        self._last_sweep = now
        self._listen(workers.values(), now)
        if now - self._listening_since < self._lease:
            return 0
        given_up = 0
        for task_id, attempt, run, name in abandoned:
            worker = workers.get(name)
            given_up += self._give_up(task_id, attempt, run, name, worker, silent=self._is_silent(worker, now))
        return given_up

    def _listen(self, workers: Iterable[Worker], now: float) -> None:
        heard: dict[str, tuple[datetime, float]] = {}
        for worker in workers:
            before = self._heard.get(worker.worker)
            unchanged = before is not None and before[0] == worker.last_seen
            heard[worker.worker] = before if unchanged and before is not None else (worker.last_seen, now)
        self._heard = heard

    def _is_silent(self, worker: Worker | None, now: float) -> bool:
        if worker is None or worker.status == "offline":
            return True
        if worker.facts.get("agentless"):
            return False  # it is the watcher that is heard of; it says itself when one of its workers is gone
        return now - self._heard[worker.worker][1] >= self._lease

    def _give_up(self, task_id: str, attempt: int, run: int, name: str, worker: Worker | None, *, silent: bool) -> bool:
        given_up = False
        message = _message(name, worker, began_anew=not silent)

        def decide(task: Task) -> Sequence[Event]:
            nonlocal given_up
            if (task.status, task.attempt, task.run, task.worker) != (Status.IN_PROGRESS, attempt, run, name):
                return []
            if not silent and not _ran_before(task, worker):
                return []  # its worker is heard of: only the clocks differ
            given_up = True
            error = {"type": "WorkerLost", "message": message}
            return [
                Event(
                    event_type="task.failed",
                    event_id=str(uuid.uuid5(_NAMESPACE, f"{task_id} {attempt} {run}")),
                    task_id=task_id,
                    user_id=task.user_id,
                    data={"kind": task.kind, "attempt": attempt, "run": run, "stage": "lost", "error": error},
                    source="leases",
                )
            ]

        try:
            self._journal.transition(task_id, decide)
        except TaskNotFoundError:
            return False  # dropped with its day, meanwhile
        if given_up:
            _LOST.add()
            logger.warning("Task %s is given up: %s", task_id, message)
        return given_up


def _ran_before(task: Task, worker: Worker | None) -> bool:
    """Return whether the task began before the process that now bears its worker's name."""
    return (
        worker is not None
        and worker.started_at is not None
        and task.started_at is not None
        and task.started_at < worker.started_at
    )


def _message(name: str, worker: Worker | None, *, began_anew: bool) -> str:
    if worker is None:
        return f"worker lost: {name} has not been heard of for a day"
    seen = worker.last_seen.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if worker.status == "offline":
        return f"worker lost: {name} ended at {seen} while the task ran"
    if began_anew:
        return f"worker lost: {name} was started again while the task ran"
    return f"worker lost: {name}, last seen {seen}"
