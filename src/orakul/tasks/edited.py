"""Running an ended task again with other arguments: a new task, which names the one that it came of.

As with a retry, what is commanded is committed first, then sent, at most once; a process that dies in between leaves
a task that `Control.recover` marks as failed.
"""

import base64
import uuid
from collections.abc import Mapping
from typing import Any, Protocol, cast

import msgspec

from orakul.errors import NotPossibleError, OrakulError, WrongStateError
from orakul.events import Event
from orakul.tasks.journal import Journal
from orakul.tasks.orders import StandingOrders
from orakul.tasks.reader import TaskReader
from orakul.tasks.runner import Runner
from orakul.tasks.status import OPEN
from orakul.tasks.task import Task

__all__ = ["EditedRuns", "EditingRunner", "Prepared"]

SOURCE = "control"
_NO_MESSAGE = (
    "its original message is not kept: the task has completed, it was published without Orakul's `install(app)`, or "
    "keeping messages is switched off (ORAKUL_CELERY_KEEP_MESSAGES)"
)


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A message ready to be sent: sealed for the new task, where it goes, and its arguments as they may be shown."""

    sealed: bytes
    queue: str | None
    arguments: dict[str, Any]


class EditingRunner(Runner, Protocol):
    """A runner that can send a task's original message with other arguments, as another task."""

    def editable(self, task: Task, sealed: bytes) -> dict[str, Any]:
        """Return `{"args": [...], "kwargs": {...}}` of the original, secrets masked.

        Raises NotPossibleError, which says why, where the arguments cannot be edited.
        """
        ...

    def prepare(
        self, task: Task, sealed: bytes, new_id: str, arguments: Mapping[str, Any], queue: str | None
    ) -> Prepared:
        """Return the original with these arguments; a masked value that was left alone is what it was."""
        ...


class EditedRuns:
    """Runs ended tasks again with other arguments. Safe to call from several threads."""

    def __init__(
        self, journal: Journal, reader: TaskReader, orders: StandingOrders, runners: Mapping[str, Runner]
    ) -> None:
        self._journal = journal
        self._reader = reader
        self._orders = orders
        self._runners = dict(runners)

    def arguments(self, task_id: str, owner: str | None = None) -> dict[str, Any]:
        """Return the arguments of a task for editing: `{"args": [...], "kwargs": {...}}`, secrets masked."""
        task = self._reader.task(task_id, owner=owner)
        runner, sealed = self._able(task)
        return runner.editable(task, sealed)

    def run(
        self,
        task_id: str,
        arguments: Mapping[str, Any],
        *,
        author: str,
        owner: str | None = None,
        queue: str | None = None,
        reason: str | None = None,
    ) -> Task:
        """Send an ended task's message with these arguments, as a new task of the same owner; return that task.

        Raises WrongStateError where the task has not ended, NotPossibleError where this cannot be done,
        BrokerUnavailableError where the broker does not take it: then the new task is failed, and may be retried.
        """
        before = self._reader.task(task_id, owner=owner)
        runner, sealed = self._able(before)
        new_id = str(uuid.uuid4())
        prepared = runner.prepare(before, sealed, new_id, arguments, queue)
        said = {"reason": reason} if reason else {}

        def decide(task: Task) -> list[Event]:
            _refuse_open(task)
            asked = {"attempt": task.attempt, "task": new_id, **said}
            begin = {
                "kind": task.kind,
                "name": task.name,
                "attempt": 1,
                "run": 0,
                "queue": prepared.queue,
                "parent_id": task.parent_id,
                "arguments": prepared.arguments,
                "origin": task_id,
                "author": author,
            }
            kept = {"attempt": 1, "sealed": base64.b64encode(prepared.sealed).decode()}
            return [
                _event("task.run_requested", task_id, author, asked),
                _event("task.pending", new_id, task.user_id, {**_present(begin), **said}),
                _event("task.message", new_id, task.user_id, kept),
            ]

        self._journal.transition(task_id, decide, owner=owner)
        made = self._reader.task(new_id)
        try:
            runner.retry(made, prepared.sealed)
        except OrakulError as error:
            self._unsendable(new_id, author, error)
            raise
        except Exception as error:
            self._unsendable(new_id, author, error)
            raise NotPossibleError(f"the edited message could not be sent: {error}") from error
        self._journal.append([_event("task.retry_sent", new_id, author, {"attempt": 1})])
        return made

    def _able(self, task: Task) -> tuple[EditingRunner, bytes]:
        _refuse_open(task)
        runner = self._runners.get(task.kind)
        if runner is None or not hasattr(runner, "prepare"):
            raise NotPossibleError(f"tasks of kind {task.kind!r} cannot be run with other arguments from here")
        sealed = self._orders.message(task.task_id)
        if sealed is None:
            raise NotPossibleError(_NO_MESSAGE)
        return cast("EditingRunner", runner), sealed

    def _unsendable(self, task_id: str, author: str, error: Exception) -> None:
        said = {"type": type(error).__name__.removesuffix("Error"), "message": f"the task could not be sent: {error}"}

        def decide(task: Task) -> list[Event]:
            if task.attempt != 1 or task.status not in OPEN:
                return []
            data = {"attempt": 1, "run": 0, "stage": "before_start", "error": said, "author": author}
            return [_event("task.failed", task_id, task.user_id, data)]

        self._journal.transition(task_id, decide)


def _refuse_open(task: Task) -> None:
    if task.status in OPEN:
        raise WrongStateError(f"only an ended task can be run with other arguments; this one is {task.status.value}")


def _present(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value is not None}


def _event(event_type: str, task_id: str, user: Any, data: dict[str, Any]) -> Event:
    return Event(event_type=event_type, task_id=task_id, user_id=user, data=data, source=SOURCE)
