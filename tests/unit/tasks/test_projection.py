"""Laws of the rule that makes a task from its events."""

import random
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from task_events import BEGIN, events_about

from orakul.events import Event
from orakul.tasks.projection import Draft, project
from orakul.tasks.status import Status
from orakul.tasks.task import Task


def at(seconds: float, event_type: str, user_id: str | None = None, **data: Any) -> Event:
    """Return an event of the task `t`, that many seconds after the beginning."""
    moment = BEGIN + timedelta(seconds=seconds)
    return Event(event_type=f"task.{event_type}", task_id="t", timestamp=moment, user_id=user_id, data=data)


def told(*events: Event) -> Task:
    """Return the task that the events tell of, in whatever order."""
    task = project(events)
    assert task is not None
    shuffled = list(events) * 2
    random.Random(len(events)).shuffle(shuffled)  # noqa: S311 (no secret)
    assert project(shuffled) == task
    return task


@given(events_about(st.just("t"), starts=True), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_changes_the_task(events: list[Event], order: random.Random) -> None:
    again = [*events, *order.choices(events, k=order.randint(0, 5))]
    order.shuffle(again)
    assert project(again) == project(events)


@given(events_about(st.just("t"), starts=True))
def test_a_draft_that_says_it_changed_shows_another_state(events: list[Event]) -> None:
    draft = Draft("t")
    for event in events:
        if not event.event_type.startswith("task.") or event.event_type in ("task.log", "task.retry_requested"):
            continue
        before = draft.state
        changed = draft.hear(event)
        assert changed == (draft.state is not before)


def test_a_task_goes_from_pending_over_in_progress_to_its_end() -> None:
    task = told(
        at(0, "pending", "7", name="shop.send", queue="mail", arguments={"args": [1]}),
        at(2, "in_progress", worker="w1"),
        at(5, "completed", result={"sent": True}),
    )
    assert task.status is Status.COMPLETED
    assert (task.name, task.user_id, task.queue, task.worker) == ("shop.send", "7", "mail", "w1")
    assert task.started_at == BEGIN + timedelta(seconds=2)
    assert task.finished_at == task.updated_at == BEGIN + timedelta(seconds=5)
    assert (task.arguments, task.result) == ({"args": [1]}, {"sent": True})


def test_one_event_tells_of_a_whole_run() -> None:
    end = at(5, "completed", started_at=(BEGIN + timedelta(seconds=2)).isoformat())
    task = told(end)
    assert (task.created_at, task.started_at) == (BEGIN + timedelta(seconds=2),) * 2
    assert task.finished_at == BEGIN + timedelta(seconds=5)
    assert told(end, at(1, "in_progress")).started_at == BEGIN + timedelta(seconds=1)
    assert told(end, at(9, "pending", attempt=2)).started_at is None


def test_a_retry_is_the_next_attempt_and_forgets_the_start_and_the_error_of_the_last() -> None:
    task = told(
        at(0, "pending"),
        at(1, "in_progress", worker="w1"),
        at(2, "failed", error={"type": "E", "message": "m"}),
        at(3, "pending", attempt=2),
    )
    assert (task.status, task.attempt, task.error) == (Status.PENDING, 2, None)
    assert (task.started_at, task.finished_at) == (None, None)
    assert (task.worker, task.created_at) == ("w1", BEGIN)


def test_a_redelivery_is_a_new_run_of_the_same_attempt() -> None:
    task = told(
        at(0, "pending"),
        at(1, "in_progress", worker="w1"),
        at(2, "failed", stage="lost", error={"message": "worker lost"}),
        at(3, "in_progress", run=1_772_000_000_000, worker="w2"),
    )
    assert (task.status, task.attempt, task.run, task.worker) == (Status.IN_PROGRESS, 1, 1_772_000_000_000, "w2")
    assert task.started_at == BEGIN + timedelta(seconds=3)


def test_what_was_observed_outranks_what_was_concluded_from_silence() -> None:
    task = told(at(0, "in_progress"), at(9, "failed", stage="lost"), at(5, "completed"))
    assert (task.status, task.finished_at) == (Status.COMPLETED, BEGIN + timedelta(seconds=5))


def test_a_start_outranks_an_end_before_the_start() -> None:
    assert told(at(0, "cancelled", stage="before_start"), at(1, "in_progress")).status is Status.IN_PROGRESS


def test_an_earlier_attempt_that_reports_late_changes_nothing_of_the_state() -> None:
    task = told(at(0, "in_progress", attempt=2, name="new"), at(9, "completed", attempt=1, name="old", result=1))
    assert (task.status, task.attempt, task.name, task.result) == (Status.IN_PROGRESS, 2, "new", None)


def test_a_task_of_which_only_progress_was_heard_is_in_progress() -> None:
    task = told(at(1, "progress", attempt=2, progress={"done": 1}), at(2, "progress", attempt=2, progress={"done": 2}))
    assert (task.status, task.attempt, task.progress) == (Status.IN_PROGRESS, 2, {"done": 2})
    assert task.started_at is None
    assert told(at(1, "progress", progress={}), at(0, "pending")).status is Status.PENDING


def test_events_that_report_no_status_make_no_task() -> None:
    assert project([at(0, "log", level="INFO"), at(1, "retry_requested", "admin")]) is None


def test_the_author_of_a_command_is_not_the_owner() -> None:
    assert told(at(0, "pending", "7"), at(1, "cancel_requested", "admin"), at(2, "retry_requested", "9")).user_id == "7"


def test_what_cannot_be_stored_is_shown_and_bounded() -> None:
    task = told(
        at(0, "pending", name="x" * 10_000, arguments={"args": ["\x00", "\ud800", float("nan"), 1 << 20_000]}),
        at(1, "failed", error={"type": "E", "message": "m" * 50_000_000}, result=[[]] * 5_000_000),
    )
    assert len(task.name) == 300
    assert task.arguments["args"][:3] == ["␀", "\ufffd", "nan"]
    assert task.error is not None
    assert "characters left out" in task.error.message
    assert len(task.error.message) < 11_000
    assert "items left out" in str(task.result)


def test_a_deeply_nested_result_is_cut_with_a_note() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert "deeper levels left out" in str(told(at(0, "completed", result=deep)).result)


def test_an_object_that_is_no_json_is_named() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    task = told(at(0, "completed", result={"odd": Odd(), ("a", 1): {2, 3}}))
    assert task.result["odd"] == "<Odd>"
    assert sorted(task.result["('a', 1)"]) == [2, 3]
