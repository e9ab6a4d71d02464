"""Commands: retry, cancel, pause, resume; each an event with its author, each with a clear answer.

What is commanded is first committed to the journal, then told to the runner. The journal is the truth: a
cancellation or a pause that nobody heard still holds (workers read the standing orders), and of two people who press
at once the second sees what the first one did.

A retry is published at most once for each attempt. Only the process that committed the attempt publishes it, and it
says so afterwards (`task.retry_sent`). If it dies in between, nobody can know whether the message went out, so nobody
sends it again: `recover` marks the attempt failed before its start, with an error that says so, and the owner
may retry. Should the message have gone out after all, its run outranks that mark and the state becomes true again.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Self

import msgspec

from orakul.errors import BrokerUnavailableError, NotPossibleError, OrakulError, UnavailableError, WrongStateError
from orakul.events import Event, utc_now
from orakul.tasks.journal import Journal
from orakul.tasks.orders import ALL_QUEUES, Cancellation, StandingOrders
from orakul.tasks.reader import PausedQueue, TaskReader
from orakul.tasks.runner import Runner
from orakul.tasks.status import OPEN, Status
from orakul.tasks.task import Task

__all__ = ["Control", "QueueCommand", "TaskCommand", "Why"]

logger = logging.getLogger(__name__)

SOURCE = "control"
_ELSEWHERE = {
    "pipeline": "a pipeline runs where its loader runs: Orakul watches it, and cannot run it again or stop it",
    "operation": "an operation is a call inside a program of its own: Orakul watches it, and cannot make that call "
    "again or stop it. Run it there again; or let it recover by itself, with orakul.operations.recovery.retrying",
}
UNSENT_AFTER = timedelta(seconds=30)
"""How long a retry may take from its commit to `task.retry_sent`: several times what a publish may take."""


class Why(str):
    """Why a command cannot be given, in words for people; the code is for those who have words of their own."""

    __slots__ = ("code",)
    code: Literal["state", "elsewhere", "no_runner", "no_message"]

    def __new__(cls, code: Literal["state", "elsewhere", "no_runner", "no_message"], words: str) -> Self:
        """Return the words with their code."""
        made = super().__new__(cls, words)
        made.code = code
        return made


class TaskCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a retry or a cancellation: the task as it is after the command.

    `delivered` is False where the order is stored but the broker did not answer: it holds, and it is repeated
    until the workers hear of it; `note` says so in words.
    """

    task: Task
    delivered: bool = True
    note: str | None = None


class QueueCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a pause or a resumption. `queue` is `*` for all; `changed` is False where it was so before."""

    queue: str
    paused: bool
    changed: bool
    delivered: bool = True
    note: str | None = None
    paused_by: str | None = None
    paused_at: datetime | None = None


class Control:
    """Carries commands out. Safe to call from several threads.

    Every method raises JournalUnavailableError where PostgreSQL does not answer (nothing was commanded then), and
    TaskNotFoundError where there is no such task or, with `owner` set, it is not that user's.
    """

    def __init__(
        self, journal: Journal, reader: TaskReader, orders: StandingOrders, runners: Mapping[str, Runner]
    ) -> None:
        self._journal = journal
        self._reader = reader
        self._orders = orders
        self._runners = dict(runners)
        self._unsent: dict[tuple[str, int], datetime] = {}
        self._seen = 0
        self._recovering = threading.Lock()

    # -- what may be done -------------------------------------------------------------------------------------------

    def why_not_retry(self, task: Task) -> Why | None:
        """Return why this task cannot be retried now, in words for people, or None where it can."""
        if task.status is not Status.FAILED:
            return Why("state", f"only a failed task can be retried; this one is {task.status.value}")
        if task.kind not in self._runners:
            return self._no_runner(task.kind)
        if not self._keeps(task.kind) and self._orders.message(task.task_id) is None:
            return Why("no_message", _NO_MESSAGE)
        return None

    def _keeps(self, kind: str) -> bool:
        """Return whether the runner has the original messages itself, so that none is kept here."""
        return bool(getattr(self._runners[kind], "keeps_messages", False))

    def why_not_cancel(self, task: Task) -> Why | None:
        """Return why this task cannot be cancelled now, in words for people, or None where it can."""
        if task.status not in OPEN:
            return Why("state", f"only a pending or running task can be cancelled; this one is {task.status.value}")
        return None if task.kind in self._runners else self._no_runner(task.kind)

    def _no_runner(self, kind: str) -> Why:
        if kind in _ELSEWHERE:
            return Why("elsewhere", _ELSEWHERE[kind])
        known = ", ".join(sorted(self._runners)) or "none; set up a broker, e.g. ORAKUL_CELERY_BROKER"
        return Why("no_runner", f"Orakul cannot command tasks of kind {kind!r} here (kinds that it can: {known})")

    # -- retry ------------------------------------------------------------------------------------------------------

    def retry(self, task_id: str, author: str, owner: str | None = None, reason: str | None = None) -> TaskCommand:
        """Run a failed task again as its next attempt, with its original message.

        Raises WrongStateError where it is not failed, NotPossibleError where it cannot be sent again,
        BrokerUnavailableError where the broker does not take it: then the attempt is failed, and may be retried.
        """
        sealed = self._orders.message(task_id)

        def decide(task: Task) -> Sequence[Event]:
            if task.status is not Status.FAILED:
                raise WrongStateError(f"only a failed task can be retried; this one is {task.status.value}")
            if task.kind not in self._runners:
                raise NotPossibleError(self._no_runner(task.kind))
            if sealed is None and not self._keeps(task.kind):
                raise NotPossibleError(_NO_MESSAGE)
            data = {"attempt": task.attempt + 1, "author": author, **_given(reason=reason)}
            requested = Event(
                event_type="task.retry_requested", task_id=task_id, user_id=author, data=data, source=SOURCE
            )
            return [*superseded(task), requested, self._status(task, "task.pending", task.attempt + 1, data)]

        def superseded(task: Task) -> list[Event]:
            if not _may_have_been_sent(task):
                return []
            # Should the earlier attempt's message be in the queue after all, no worker is to run it beside this one.
            order = {"attempt": task.attempt, "author": author, "reason": "superseded by a retry"}
            return [
                Event(event_type="task.cancel_requested", task_id=task_id, user_id=author, data=order, source=SOURCE)
            ]

        task = self._journal.transition(task_id, decide, owner=owner)
        try:
            self._runners[task.kind].retry(task, sealed or b"")
        except OrakulError as error:
            self._unsendable(task, author, error)
            raise
        except Exception as error:
            self._unsendable(task, author, error)
            raise NotPossibleError(f"the original message could not be sent again: {error}") from error
        self._sent(task, author)
        return TaskCommand(task=task)

    def _sent(self, task: Task, author: str) -> None:
        event = Event(
            event_type="task.retry_sent",
            task_id=task.task_id,
            user_id=author,
            data={"attempt": task.attempt},
            source=SOURCE,
        )
        try:
            self._journal.append([event])
        except UnavailableError:
            # The message is out, the task will run and report; at worst `recover` says in between that it is unsure.
            logger.warning("The retry of task %s was sent, but the journal could not be told", task.task_id)

    def _unsendable(self, task: Task, author: str, error: Exception) -> None:
        kind = type(error).__name__.removesuffix("Error")
        self._fail_unsent(task, author, kind, f"the retry could not be sent: {error}")

    def _fail_unsent(self, task: Task, author: str | None, kind: str, message: str) -> None:
        def decide(now: Task) -> Sequence[Event]:
            if now.attempt != task.attempt or now.status is not Status.PENDING:
                return []
            data = {
                "attempt": now.attempt,
                "run": now.run,
                "stage": "before_start",
                "error": {"type": kind, "message": message},
                **_given(author=author),
            }
            return [self._status(now, "task.failed", now.attempt, data)]

        try:
            self._journal.transition(task.task_id, decide)
        except UnavailableError:
            logger.warning("Task %s: %s; the journal could not be told yet", task.task_id, message)

    # -- cancel -----------------------------------------------------------------------------------------------------

    def cancel(
        self, task_id: str, author: str, owner: str | None = None, grace: float = 10.0, reason: str | None = None
    ) -> TaskCommand:
        """Cancel a task: a waiting one will not run; a running one is asked to stop, and killed after `grace` seconds.

        The status of a running one changes when it has really stopped. Raises WrongStateError where the task has ended.
        """
        order = Cancellation(task_id=task_id, attempt=0, requested_at=utc_now(), author=author, grace_seconds=grace)

        def decide(task: Task) -> Sequence[Event]:
            nonlocal order
            if task.status not in OPEN:
                raise WrongStateError(
                    f"only a pending or running task can be cancelled; this one is {task.status.value}"
                )
            if task.kind not in self._runners:
                raise NotPossibleError(self._no_runner(task.kind))
            earlier = [c for c in self._orders.cancellations([task_id]) if c.attempt == task.attempt]
            if earlier and task.status is Status.IN_PROGRESS:
                order = earlier[0]
                return []  # asked already; asking again only repeats the order
            order = msgspec.structs.replace(order, attempt=task.attempt)
            data = {
                "attempt": task.attempt,
                "run": task.run,
                "author": author,
                "grace_seconds": grace,
                **_given(reason=reason),
            }
            asked = Event(event_type="task.cancel_requested", task_id=task_id, user_id=author, data=data, source=SOURCE)
            if task.status is Status.IN_PROGRESS:
                return [asked]
            ended = {**data, "stage": "before_start"}
            del ended["grace_seconds"]
            return [asked, self._status(task, "task.cancelled", task.attempt, ended)]

        task = self._journal.transition(task_id, decide, owner=owner)
        notes = []
        if order.author != author:
            notes.append(f"{order.author or 'somebody'} has asked for it already")
        undelivered = self._tell(lambda: self._runners[task.kind].cancel(task, order))
        notes.extend(undelivered)
        return TaskCommand(task=task, delivered=not undelivered, note="; ".join(notes) or None)

    # -- queues -----------------------------------------------------------------------------------------------------

    def pause(self, queue: str | None, author: str, reason: str | None = None) -> QueueCommand:
        """Stop the workers from taking from a queue, from all queues with None; what they took already still runs."""
        name = queue or ALL_QUEUES
        paused = {p.queue: p for p in self._orders.pauses()}
        covering = paused.get(name) or paused.get(ALL_QUEUES)
        if covering is None:
            event = self._queue_event("queue.paused", name, author, reason)
            self._journal.append([event])
            covering = PausedQueue(queue=name, paused_by=author, paused_at=event.timestamp, reason=reason)
            changed = True
        else:
            changed = False
        undelivered = self._tell_all(lambda runner: runner.pause(name))
        return QueueCommand(
            queue=name,
            paused=True,
            changed=changed,
            delivered=not undelivered,
            note="; ".join(undelivered) or None,
            paused_by=covering.paused_by,
            paused_at=covering.paused_at,
        )

    def resume(self, queue: str | None, author: str, reason: str | None = None) -> QueueCommand:
        """Let the workers take from a queue again; with None, from every paused queue.

        Raises WrongStateError for one queue while all are paused: resume all instead.
        """
        name = queue or ALL_QUEUES
        paused = {p.queue: p for p in self._orders.pauses()}
        if name != ALL_QUEUES and ALL_QUEUES in paused:
            by = paused[ALL_QUEUES].paused_by or "somebody"
            raise WrongStateError(f"all queues are paused, by {by}; resume all of them rather than {name!r} alone")
        names = sorted(paused) if name == ALL_QUEUES else [name] if name in paused else []
        if names:
            self._journal.append([self._queue_event("queue.resumed", each, author, reason) for each in names])
        undelivered = self._tell_all(lambda runner: runner.resume(name))
        return QueueCommand(
            queue=name,
            paused=False,
            changed=bool(names),
            delivered=not undelivered,
            note="; ".join(undelivered) or None,
        )

    # -- upkeep -----------------------------------------------------------------------------------------------------

    def repeat_orders(self) -> None:
        """Tell the runners all standing orders again, for workers that missed them or cannot read them themselves."""
        pauses, cancellations = self._orders.pauses(), self._orders.cancellations()
        for runner in self._runners.values():
            runner.repeat(pauses, cancellations)

    def recover(self, now: datetime | None = None) -> list[tuple[str, int]]:
        """Fail the retries whose process died between commit and publish; return their `(task_id, attempt)`.

        Reads on from where the last call ended, so it may be called every few seconds, and at the start.
        """
        with self._recovering:
            self._read_retries()
            overdue = (now or utc_now()) - UNSENT_AFTER
            late = [key for key, since in self._unsent.items() if since < overdue]
            for task_id, attempt in late:
                task = self._reader.task(task_id)
                if task.attempt == attempt and task.status is Status.PENDING:
                    self._fail_unsent(task, None, _INTERRUPTED, "the retry was interrupted; retry again")
                self._unsent.pop((task_id, attempt), None)
            return late

    def _read_retries(self) -> None:
        while True:
            page = self._reader.events(
                types=("task.retry_requested", "task.run_requested", "task.retry_sent"),
                after=self._seen,
                limit=_RETRIES_A_PAGE,
            )
            for stored in page.items:
                event = stored.event
                key = (event.task_id or "", int(event.data.get("attempt", 0)))
                if event.event_type == "task.run_requested":
                    key = (str(event.data.get("task")), 1)
                if event.event_type == "task.retry_sent":
                    self._unsent.pop(key, None)
                else:
                    self._unsent[key] = event.timestamp
                self._seen = max(self._seen, stored.seq)
            if len(page.items) < _RETRIES_A_PAGE:
                return

    # -- inner ------------------------------------------------------------------------------------------------------

    def _tell(self, call: Callable[[], None]) -> list[str]:
        """Make an order prompt; return what to say where the broker does not answer."""
        try:
            call()
        except BrokerUnavailableError as error:
            logger.warning("An order is stored but could not be sent yet: %s", error)
            return [f"the order is stored and will be repeated, as the broker does not answer now: {error}"]
        return []

    def _tell_all(self, call: Callable[[Runner], None]) -> list[str]:
        notes: list[str] = []
        for runner in self._runners.values():
            notes.extend(self._tell(lambda each=runner: call(each)))  # type: ignore[misc]
        return notes

    @staticmethod
    def _status(task: Task, event_type: str, attempt: int, data: dict[str, Any]) -> Event:
        """Return a status event of a command: owner as it is, the author in the data."""
        run = task.run if attempt == task.attempt else 0
        return Event(
            event_type=event_type,
            task_id=task.task_id,
            user_id=task.user_id,
            data={"kind": task.kind, **data, "attempt": attempt, "run": run},
            source=SOURCE,
        )

    @staticmethod
    def _queue_event(event_type: str, queue: str, author: str, reason: str | None) -> Event:
        return Event(
            event_type=event_type, user_id=author, data={"queue": queue, **_given(reason=reason)}, source=SOURCE
        )


_RETRIES_A_PAGE = 500
_RETRY_TYPES = ("task.retry_requested", "task.run_requested", "task.retry_sent")
_INTERRUPTED = "RetryInterrupted"
_NO_MESSAGE = (
    "its original message was not kept: it was published without Orakul's `install(app)`, or keeping messages is "
    "switched off (ORAKUL_CELERY_KEEP_MESSAGES)"
)


def _may_have_been_sent(task: Task) -> bool:
    """Return whether this failed attempt is a retry of which nobody knows whether its message went out."""
    return task.attempt > 1 and task.error is not None and task.error.type in (_INTERRUPTED, "BrokerUnavailable")


def _given(**facts: Any) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}
