"""Operations told to a recorder are tasks: a tree, owned, with steps and errors, and the same when told twice."""

import pytest

from orakul.events import Event
from orakul.operations import OperationContext, collector, operation, step
from orakul.operations.recording import OperationRecorder
from orakul.tasks.projection import project


def recorded(work: object) -> list[Event]:
    events: list[Event] = []
    recorder = OperationRecorder(events.append)
    collector.flush()
    collector.sinks.append(recorder)
    try:
        with OperationContext(user=7, session="s"):
            work()  # type: ignore[operator]
        collector.flush()
    finally:
        collector.sinks.remove(recorder)
    return events


def test_a_tree_of_operations_is_a_tree_of_tasks() -> None:
    def work() -> None:
        with operation("outer"), operation("inner"):
            step("read", target="file", result=[1, 2])

    events = recorded(work)
    tasks = [project([event for event in events if event.task_id == one]) for one in {each.task_id for each in events}]
    by_name = {task.name: task for task in tasks if task is not None}
    outer, inner = by_name["outer"], by_name["inner"]
    assert (outer.kind, outer.status, outer.user_id, outer.parent_id) == ("operation", "completed", "7", None)
    assert (inner.parent_id, inner.root_id, outer.root_id) == (outer.task_id, outer.task_id, outer.task_id)
    assert inner.result["steps"][0]["result"] == "list[2]"
    assert inner.trace_id == outer.trace_id


def test_a_failed_operation_is_a_failed_task() -> None:
    def work() -> None:
        with pytest.raises(OSError, match="gone"), operation("broken"):
            raise OSError("gone")

    task = project(recorded(work))
    assert task is not None
    assert task.error is not None
    assert (task.status, task.error.type, task.error.message, task.outcome) == ("failed", "OSError", "gone", "error")


def test_what_runs_is_there_before_it_ends_and_once() -> None:
    events: list[Event] = []
    recorder = OperationRecorder(events.append)
    collector.flush()
    collector.sinks.append(recorder)
    try:
        block = operation("long")
        block.__enter__()
        collector.running[next(iter(collector.running))].start -= 2_000_000_000
        collector.flush()
        assert [event.event_type for event in events] == ["task.in_progress"]
        block.__exit__(None, None, None)
        collector.flush()
    finally:
        collector.sinks.remove(recorder)
    assert len({event.event_id for event in events}) == 2
