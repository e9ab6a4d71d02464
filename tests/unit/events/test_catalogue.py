"""The catalogue says what the data of each type hold, at the publisher, to typed observers, and in documentation."""

import asyncio
from typing import Any

import msgspec
import pytest

from orakul.errors import InvalidEventError
from orakul.events import CATALOGUE, Catalogue, Dispatcher, Event, EventType, TaskObserver, TypedObserver, event_type
from orakul.events.types import TaskCompleted, TaskFailed, TaskFailure, TaskLogged, TaskPending
from orakul.tasks.status import EVENT_RANKS


def test_every_type_that_reports_a_status_is_known() -> None:
    assert {kind.type_name for kind in CATALOGUE} >= set(EVENT_RANKS)


def test_data_and_envelope_are_read_and_written() -> None:
    event = TaskFailed(attempt=2, error=TaskFailure(type="ValueError", message="no")).event(task_id="t", user_id="7")
    assert event.event_type == "task.failed"
    assert event.data == {
        "attempt": 2,
        "error": {"type": "ValueError", "message": "no", "traceback": None, "place": None},
    }
    read = TaskFailed.of(event)
    assert read.error == TaskFailure(type="ValueError", message="no")
    assert read.envelope is event
    with pytest.raises(AttributeError, match="made by hand"):
        _ = TaskPending(attempt=1).envelope


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "data: Object missing required field `attempt`"),
        ({"attempt": 1.5}, r"data\.attempt"),
        ({"attempt": 1, "error": {"message": 5}}, r"data\.error\.message"),
        ({"attempt": 1, "retrying": "yes"}, r"data\.retrying"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(data: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidEventError, match=rf"task\.failed: {said}"):
        CATALOGUE.check(Event(event_type="task.failed", data=data))


def test_unknown_types_and_unknown_fields_pass() -> None:
    CATALOGUE.check(Event(event_type="project.created", data={"anything": object()}))
    CATALOGUE.check(Event(event_type="task.pending", data={"attempt": 1, "from_the_future": True}))


def test_catalogue_describes_each_field() -> None:
    described = {each.event_type: each for each in CATALOGUE.describe()}
    failed = described["task.failed"]
    assert failed.summary.startswith("A task has failed")
    fields = {field.name: field for field in failed.fields}
    assert fields["attempt"].required
    assert fields["attempt"].type == "int"
    assert "from 1" in fields["attempt"].description
    assert fields["queue"].type == "str | null"
    assert fields["retrying"].description


def test_json_schema_is_whole() -> None:
    schema = CATALOGUE.json_schema()
    assert len(schema["properties"]) == len(CATALOGUE)
    msgspec.json.encode(schema)
    assert "TaskFailure" in schema["$defs"]


def test_names_are_given_once_and_documented() -> None:
    catalogue = Catalogue()

    @event_type("order.paid", catalogue)
    class Paid(EventType):
        """An order was paid."""

        amount: int

    with pytest.raises(ValueError, match="already"):

        @event_type("order.paid", catalogue)
        class Other(EventType):
            """Another."""

    with pytest.raises(ValueError, match="docstring"):

        @event_type("order.lost", catalogue)
        class Lost(EventType):
            pass

    with pytest.raises(ValueError, match="dotted"):
        event_type("not a name")
    assert catalogue.get("order.paid") is Paid


class Noting(TaskObserver):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_completed(self, event: TaskCompleted) -> None:
        self.seen.append((event.result, event.envelope.task_id))

    async def on_failed(self, event: TaskFailed) -> None:
        await asyncio.sleep(0)
        self.seen.append(event.reason)


def test_typed_observer_is_told_what_its_methods_name() -> None:
    observer = Noting()
    assert observer.event_types == {"task.completed", "task.failed"}
    with Dispatcher([observer]) as dispatcher:
        dispatcher.publish(TaskPending(attempt=1).event(task_id="a"))
        dispatcher.publish(TaskCompleted(attempt=1, result=5).event(task_id="a"))
        dispatcher.publish(TaskFailed(attempt=1, reason="no").event(task_id="b"))
    assert observer.seen == [(5, "a"), "no"]


def test_method_that_names_nothing_known_is_an_error_at_once() -> None:
    with pytest.raises(TypeError, match=r"on_complete names no known event; is it on_completed\?"):

        class Typo(TaskObserver):
            def on_complete(self, event: TaskCompleted) -> None: ...


def test_prefix_is_free() -> None:
    class Logs(TypedObserver):
        def __init__(self) -> None:
            self.seen: list[str] = []

        def on_task_log(self, event: TaskLogged) -> None:
            self.seen.append(event.message)

    logs = Logs()
    logs.observe(TaskLogged(attempt=1, message="hello").event())
    assert logs.seen == ["hello"]
