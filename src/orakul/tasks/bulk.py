"""Commands to many tasks at once: a job, which draws its tasks in and then commands one after the other.

The job's book-keeping is committed before and after each chunk of commands, so a process that is killed goes on where
it was: of a task that had been begun, its attempt says whether the retry was committed, and a retry that was committed
is never sent by anybody else (see `control`).
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from orakul.errors import JournalUnavailableError, NotPossibleError, OrakulError, TaskNotFoundError, WrongStateError
from orakul.events import Event
from orakul.tasks.control import Control
from orakul.tasks.journal import Journal
from orakul.tasks.reader import Page, TaskQuery, TaskReader
from orakul.tasks.status import Status

__all__ = ["BulkItem", "BulkJob", "BulkJobs", "BulkResult", "BulkWork", "Verdict", "job_events"]

log = logging.getLogger("orakul")

_CHUNK = 100
_AT_ONCE = 8
_GATHERED_AT_ONCE = 500


class BulkJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job. `total` grows until `gathered`; done, failed and skipped are those of its tasks that are through."""

    job_id: str
    author: str
    command: Literal["retry", "cancel"]
    reason: str | None
    status: Literal["running", "completed", "aborted"]
    created_at: datetime
    finished_at: datetime | None
    gathered: bool
    total: int
    done: int
    failed: int
    skipped: int
    note: str | None


class BulkItem(msgspec.Struct, frozen=True, kw_only=True):
    """A task drawn in. `attempt` is the one it was at when it was begun, None where it was not."""

    number: int
    task_id: str
    attempt: int | None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one task."""

    number: int
    result: Literal["done", "failed", "skipped"]
    said: str | None = None


class BulkResult(msgspec.Struct, frozen=True, kw_only=True):
    """A task of a job, and what came of it; `result` is None while it waits."""

    number: int
    task_id: str
    result: str | None
    said: str | None


class BulkJobs(Protocol):
    """Keeps the jobs. Raises TaskNotFoundError for a job that is not there or, with `author` set, not theirs."""

    def begin(
        self,
        command: Literal["retry", "cancel"],
        *,
        author: str,
        owner: str | None,
        reason: str | None = None,
        query: TaskQuery | None = None,
        task_ids: Sequence[str] = (),
    ) -> BulkJob:
        """Begin a job; where the same one of the same author runs, that one is returned."""
        ...

    def job(self, job_id: str, *, author: str | None = None) -> BulkJob:
        """Return a job as it is now."""
        ...

    def jobs(self, *, author: str | None = None, limit: int = 50) -> Sequence[BulkJob]:
        """Return the latest jobs."""
        ...

    def results(self, job_id: str, *, author: str | None = None, after: int = 0, limit: int = 100) -> Page[BulkResult]:
        """Return what came of each task, in order."""
        ...

    def abort(self, job_id: str, by: str, *, author: str | None = None) -> BulkJob:
        """Let the job stop after the commands that it is giving."""
        ...

    def turn(self) -> AbstractContextManager[bool]:
        """Say whether this process is the one that carries jobs out; nobody else is, until it leaves."""
        ...

    def running(self) -> Sequence[tuple[BulkJob, str | None, TaskQuery, str | None]]:
        """Return the running jobs with their owner bound, query and cursor."""
        ...

    def gather(self, job_id: str, task_ids: Sequence[str], cursor: str | None) -> None:
        """Add tasks; with no cursor, they are the last."""
        ...

    def take(self, job_id: str, limit: int) -> Sequence[BulkItem]:
        """Return tasks without a result, and mark them as begun."""
        ...

    def settle(self, job_id: str, verdicts: Sequence[Verdict]) -> BulkJob:
        """Store what came of tasks, and count it."""
        ...

    def finish(self, job_id: str, status: Literal["completed", "aborted"], note: str | None = None) -> BulkJob:
        """End the job."""
        ...


class BulkWork:
    """Carries jobs out, in chunks: call `step` again and again."""

    def __init__(self, jobs: BulkJobs, control: Control, reader: TaskReader, journal: Journal) -> None:
        self._jobs = jobs
        self._control = control
        self._reader = reader
        self._journal = journal

    def step(self) -> float | None:
        """Do a chunk of each running job; return 0.0 where there is more to do at once."""
        if not self._jobs.running():
            return None  # the usual case takes no connection of its own
        with self._jobs.turn() as mine:
            running = self._jobs.running() if mine else []
            for job, owner, query, cursor in running:
                if not job.gathered:
                    self._gather(job, query, cursor)
                else:
                    self._command(job, owner)
        return 0.01 if running else None

    def _gather(self, job: BulkJob, query: TaskQuery, cursor: str | None) -> None:
        asked = msgspec.structs.replace(
            query, until=min(job.created_at, query.until or job.created_at), cursor=cursor, limit=_GATHERED_AT_ONCE
        )
        page = self._reader.tasks(asked)
        if getattr(page, "partial", False):
            note = "the filter takes too long to find all that it fits: narrow it; nothing was commanded"
            self._end(self._jobs.finish(job.job_id, "aborted", note))
            return
        self._jobs.gather(job.job_id, [task.task_id for task in page.items], page.next)

    def _command(self, job: BulkJob, owner: str | None) -> None:
        items = self._jobs.take(job.job_id, _CHUNK)
        if not items:
            self._end(self._jobs.finish(job.job_id, "completed"))
            return
        with ThreadPoolExecutor(_AT_ONCE, "orakul-bulk") as pool:
            verdicts = list(pool.map(lambda item: self._one(job, owner, item), items))
        now = self._jobs.settle(job.job_id, verdicts)
        self._journal.append(job_events(now, "task.progress"))
        if now.status != "running":
            self._end(now)

    def _one(self, job: BulkJob, owner: str | None, item: BulkItem) -> Verdict:
        try:
            if item.attempt is not None and self._through(job, owner, item):
                return Verdict(number=item.number, result="done")
            if job.command == "retry":
                self._control.retry(item.task_id, job.author, owner, job.reason)
            else:
                self._control.cancel(item.task_id, job.author, owner, reason=job.reason)
        except (WrongStateError, NotPossibleError, TaskNotFoundError) as error:
            return Verdict(number=item.number, result="skipped", said=str(error))
        except JournalUnavailableError:
            raise  # nothing is known of it: the chunk is looked at again
        except OrakulError as error:
            return Verdict(number=item.number, result="failed", said=str(error))
        return Verdict(number=item.number, result="done")

    def _through(self, job: BulkJob, owner: str | None, item: BulkItem) -> bool:
        """Say of a task that was begun before this process whether its command was committed."""
        task = self._reader.task(item.task_id, owner=owner)
        if job.command == "retry":
            return task.attempt > (item.attempt or 0)
        return task.status is Status.CANCELLED

    def _end(self, job: BulkJob) -> None:
        self._journal.append(job_events(job, "task.completed" if job.status == "completed" else "task.cancelled"))


def job_events(job: BulkJob, *types: str) -> list[Event]:
    """Return events that tell of the job as of a task."""
    progress = {"done": job.done + job.failed + job.skipped, "total": job.total}
    data: dict[str, Any] = {"kind": "bulk", "name": f"bulk.{job.command}", "attempt": 1, "run": 0, "progress": progress}
    if job.reason:
        data["reason"] = job.reason
    if job.finished_at:
        data["result"] = {"done": job.done, "failed": job.failed, "skipped": job.skipped}
    return [
        Event(event_type=each, task_id=job.job_id, user_id=job.author, data=data, source="control") for each in types
    ]
