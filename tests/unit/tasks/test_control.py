"""Commands, over a journal in memory: what is allowed, what is stored, in which order."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from orakul.errors import BrokerUnavailableError, NotPossibleError, TaskNotFoundError, WrongStateError
from orakul.events import Event, utc_now
from orakul.tasks import Cancellation, Page, PausedQueue, Status, StoredEvent, Task, TaskError
from orakul.tasks.control import Control
from orakul.tasks.status import Rank, rank_of


class Memory:
    """Journal, reader and orders in one; projects as much as a command needs."""

    def __init__(self, *tasks: Task) -> None:
        self.rows = {task.task_id: task for task in tasks}
        self.ranks: dict[str, int] = {}
        self.stored: list[Event] = []
        self.messages: dict[str, bytes] = {task.task_id: b"sealed" for task in tasks}
        self.paused: dict[str, PausedQueue] = {}
        self.orders: dict[str, Cancellation] = {}

    def append(self, events: Sequence[Event]) -> int:
        for event in events:
            self.stored.append(event)
            self._project(event)
        return len(self.stored)

    def _project(self, event: Event) -> None:
        data = event.data
        if event.event_type == "task.cancel_requested":
            self.orders[event.task_id or ""] = Cancellation(
                task_id=event.task_id or "",
                attempt=data["attempt"],
                requested_at=event.timestamp,
                author=str(event.user_id),
                grace_seconds=data.get("grace_seconds", 10.0),
            )
        elif event.event_type == "queue.paused":
            pause = PausedQueue(queue=data["queue"], paused_by=str(event.user_id), paused_at=event.timestamp)
            self.paused[data["queue"]] = pause
        elif event.event_type == "queue.resumed":
            self.paused.pop(data["queue"], None)
        said = rank_of(event.event_type, data.get("stage"))
        if said is not None and event.task_id in self.rows:
            task = self.rows[event.task_id]
            if (data["attempt"], said[1]) >= (task.attempt, self.ranks.get(task.task_id, Rank.PENDING)):
                self.ranks[task.task_id] = said[1]
                error = msgspec.convert(data["error"], TaskError) if "error" in data else None
                self.rows[task.task_id] = msgspec.structs.replace(
                    task, status=said[0], attempt=data["attempt"], error=error
                )

    def transition(self, task_id: str, decide: Callable[[Task], Sequence[Event]], *, owner: str | None = None) -> Task:
        self.append(decide(self.task(task_id, owner=owner)))
        return self.rows[task_id]

    def task(self, task_id: str, *, owner: str | None = None) -> Task:
        task = self.rows.get(task_id)
        if task is None or (owner is not None and task.user_id != owner):
            raise TaskNotFoundError(task_id)
        return task

    def events(self, *, types: Sequence[str] = (), after: int = 0, limit: int = 100) -> Page[StoredEvent]:
        found = [StoredEvent(seq=n, event=e) for n, e in enumerate(self.stored, 1) if n > after]
        return Page(items=[each for each in found if each.event.event_type in types][:limit])

    def pauses(self) -> Sequence[PausedQueue]:
        return list(self.paused.values())

    def cancellations(self, task_ids: Sequence[str] | None = None) -> Sequence[Cancellation]:
        return [order for order in self.orders.values() if task_ids is None or order.task_id in task_ids]

    def message(self, task_id: str) -> bytes | None:
        return self.messages.get(task_id)

    @property
    def types(self) -> list[str]:
        return [event.event_type for event in self.stored]


class Told:
    """A runner that notes what it was told, and fails where it is to."""

    kind = "celery"

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.error: Exception | None = None

    def _hear(self, *what: Any) -> None:
        if self.error is not None:
            raise self.error
        self.heard.append(what)

    def retry(self, task: Task, sealed: bytes) -> None:
        self._hear("retry", task.task_id, task.attempt, sealed)

    def cancel(self, task: Task, order: Cancellation) -> None:
        self._hear("cancel", task.task_id, order.attempt, order.grace_seconds)

    def pause(self, queue: str) -> None:
        self._hear("pause", queue)

    def resume(self, queue: str) -> None:
        self._hear("resume", queue)

    def repeat(self, pauses: Sequence[PausedQueue], cancellations: Sequence[Cancellation]) -> None:
        self._hear("repeat", [p.queue for p in pauses], [c.task_id for c in cancellations])


def a_task(status: Status, **facts: Any) -> Task:
    now = utc_now()
    defaults = {"task_id": "t", "kind": "celery", "user_id": "7", "created_at": now, "updated_at": now}
    return Task(status=status, **{**defaults, **facts})


@pytest.fixture
def told() -> Iterator[Told]:
    return Told()


def control_over(told: Told, *tasks: Task) -> tuple[Control, Memory]:
    memory = Memory(*tasks)
    return Control(memory, memory, memory, {"celery": told}), memory  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.FAILED])
def test_only_a_failed_task_is_retried(told: Told, status: Status) -> None:
    control, memory = control_over(told, a_task(status))
    with pytest.raises(WrongStateError, match=status.value):
        control.retry("t", author="ann")
    assert (memory.stored, told.heard) == ([], [])
    why = control.why_not_retry(memory.task("t"))
    assert why is not None
    assert (why.code, status.value in why) == ("state", True)


def test_a_retry_is_committed_then_sent_then_marked_as_sent(told: Told) -> None:
    control, memory = control_over(told, a_task(Status.FAILED, attempt=3))
    answer = control.retry("t", author="ann", owner="7")
    assert memory.types == ["task.retry_requested", "task.pending", "task.retry_sent"]
    assert told.heard == [("retry", "t", 4, b"sealed")]
    assert (answer.task.status, answer.task.attempt) == (Status.PENDING, 4)
    asked, pending, _ = memory.stored
    assert asked.user_id == "ann"
    assert (pending.user_id, pending.data["author"]) == ("7", "ann"), "the owner stays the owner"
    with pytest.raises(WrongStateError, match="pending"):
        control.retry("t", author="bob")


def test_a_retry_that_cannot_be_sent_is_a_failed_attempt_and_may_be_tried_again(told: Told) -> None:
    control, memory = control_over(told, a_task(Status.FAILED))
    told.error = BrokerUnavailableError("redis://… did not answer")
    with pytest.raises(BrokerUnavailableError):
        control.retry("t", author="ann")
    task = memory.task("t")
    assert (task.status, task.attempt) == (Status.FAILED, 2)
    assert task.error is not None
    assert "did not answer" in task.error.message
    told.error = ValueError("what is this")
    with pytest.raises(NotPossibleError, match="what is this"):
        control.retry("t", author="ann")
    told.error = None
    assert control.retry("t", author="ann").task.attempt == 4
    # Nobody knows whether the broker had taken the attempt it did not confirm: no worker is to run it beside this one.
    assert memory.orders["t"].attempt in (2, 3)


def test_a_retry_needs_the_kept_message_and_a_runner(told: Told) -> None:
    control, memory = control_over(told, a_task(Status.FAILED), a_task(Status.FAILED, task_id="e", kind="export"))
    del memory.messages["t"]
    with pytest.raises(NotPossibleError, match="not kept"):
        control.retry("t", author="ann")
    with pytest.raises(NotPossibleError, match="export"):
        control.retry("e", author="ann")
    assert memory.stored == []


def test_what_waits_is_cancelled_at_once_and_what_runs_is_asked(told: Told) -> None:
    waiting, running = a_task(Status.PENDING), a_task(Status.IN_PROGRESS, task_id="r", attempt=2)
    control, memory = control_over(told, waiting, running)
    memory.ranks["r"] = Rank.IN_PROGRESS
    assert control.cancel("t", author="ann").task.status is Status.CANCELLED
    assert memory.types == ["task.cancel_requested", "task.cancelled"]
    assert memory.stored[1].data["stage"] == "before_start"
    answer = control.cancel("r", author="ann", grace=3)
    assert answer.task.status is Status.IN_PROGRESS
    again = control.cancel("r", author="bob", grace=99)
    assert again.note == "ann has asked for it already"
    assert memory.types[2:] == ["task.cancel_requested"], "asked once"
    assert told.heard == [("cancel", "t", 1, 10.0), ("cancel", "r", 2, 3), ("cancel", "r", 2, 3)]


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
def test_what_has_ended_is_not_cancelled(told: Told, status: Status) -> None:
    control, memory = control_over(told, a_task(status))
    with pytest.raises(WrongStateError, match=status.value):
        control.cancel("t", author="ann")
    assert memory.stored == []
    assert control.why_not_cancel(memory.task("t"))


def test_an_order_that_the_broker_does_not_take_is_stored_and_said_to_be(told: Told) -> None:
    control, memory = control_over(told, a_task(Status.PENDING))
    told.error = BrokerUnavailableError("no answer")
    for answer in (control.cancel("t", author="ann"), control.pause("q", author="ann")):
        assert not answer.delivered
        assert "no answer" in (answer.note or "")
    told.error = None
    control.repeat_orders()
    assert told.heard == [("repeat", ["q"], ["t"])]
    assert memory.task("t").status is Status.CANCELLED


def test_another_users_task_is_not_there(told: Told) -> None:
    control, _ = control_over(told, a_task(Status.FAILED))
    for command in (control.retry, control.cancel):
        with pytest.raises(TaskNotFoundError):
            command("t", author="8", owner="8")
        with pytest.raises(TaskNotFoundError):
            command("u", author="ann")


def test_recover_reads_each_retry_once_and_fails_only_what_is_still_pending(told: Told) -> None:
    tasks = [a_task(Status.FAILED, task_id=name) for name in ("sent", "dead", "ran")]
    control, memory = control_over(told, *tasks)
    control.retry("sent", author="ann")
    for name in ("dead", "ran"):
        asked = {"attempt": 2}
        memory.append([Event(event_type="task.retry_requested", task_id=name, user_id="ann", data=asked)])
        memory.append([Event(event_type="task.pending", task_id=name, data=asked)])
    memory.append([Event(event_type="task.in_progress", task_id="ran", data={"attempt": 2})])
    assert control.recover() == []
    assert control.recover(utc_now() + timedelta(minutes=1)) == [("dead", 2), ("ran", 2)]
    assert [memory.task(name).status for name in ("sent", "dead", "ran")] == [
        Status.PENDING,
        Status.FAILED,
        Status.IN_PROGRESS,
    ]
    assert control.recover(utc_now() + timedelta(minutes=1)) == []
