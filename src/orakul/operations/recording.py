"""Operations as tasks: with a recorder, what a program did is in the control room beside everything else."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from orakul.events import Event
from orakul.operations.collection import Call
from orakul.operations.formatters.table import duration_text, result_text
from orakul.operations.record import OperationLog, Outcome, SubOperationLog

__all__ = ["OperationRecorder"]

KEPT_STEPS = 200

_ENDS = {
    Outcome.SUCCESS: "task.completed",
    Outcome.ERROR: "task.failed",
    Outcome.CANCELLED: "task.cancelled",
    Outcome.CLOSED: "task.completed",
    Outcome.ABORTED: "task.cancelled",
}


class OperationRecorder:
    """A sink of the collector that records each operation as a task of kind `operation`.

    `record` takes an event and must not block (`Recorder.record`). Nested operations are tasks below it; steps stand
    in its result, the first 200 of them. The owner is the `user` of the operation's context. An operation that runs
    for more than a second appears before it has ended.
    """

    def __init__(self, record: Callable[[Event], None]) -> None:
        self._record = record

    def on_calls(self, calls: list[Call]) -> None:
        """Pass over single calls: they come as trees."""

    def on_running(self, log: OperationLog) -> None:
        """Record the start of what has not ended."""
        self._record(self._event("task.in_progress", log, log.started_at, {}))

    def on_tree(self, log: OperationLog) -> None:
        """Record an operation and those under it."""
        self._record_tree(log, log.operation_id)

    def _record_tree(self, log: OperationLog, root: str) -> None:
        self._record(self._event("task.in_progress", log, log.started_at, {"root_id": root}))
        self._record(self._event(_ENDS[log.outcome], log, log.ended_at, {"root_id": root, **_end(log)}))
        for child in log.children:
            if isinstance(child, OperationLog):
                self._record_tree(child, root)

    @staticmethod
    def _event(event_type: str, log: OperationLog, moment: datetime, more: dict[str, Any]) -> Event:
        user = log.context.get("user")
        data = {
            "kind": "operation",
            "name": log.name,
            "attempt": 1,
            "run": 0,
            "worker": f"{log.thread_name or log.thread_id}@{log.process_id}",
            "parent_id": log.parent_id or log.context.get("task_id"),
            **more,
        }
        given = {"target": log.target, "context": log.context, "facts": log.facts}
        if arguments := {name: value for name, value in given.items() if value}:
            data["arguments"] = arguments
        return Event(
            event_type=event_type,
            # The same end told twice is one event.
            event_id=f"{log.operation_id}-{log.process_id}-{event_type}",
            data=data,
            user_id=user if isinstance(user, str | int) else None,
            timestamp=moment,
            task_id=log.operation_id,
            trace_id=log.root_id,
            source="operations",
        )


def _end(log: OperationLog) -> dict[str, Any]:
    end: dict[str, Any] = {"outcome": str(log.outcome)}
    if log.error_message is not None:
        end["error"] = {"type": log.error_type or "", "message": log.error_message, "traceback": log.traceback}
    steps = [child for child in log.children if isinstance(child, SubOperationLog)]
    result: dict[str, Any] = {}
    if log.result_type is not None:
        result["result"] = result_text(log)
    if steps:
        result["steps"] = [_step(each) for each in steps[:KEPT_STEPS]]
        if len(steps) > KEPT_STEPS:
            result["steps_left_out"] = len(steps) - KEPT_STEPS
    if result:
        end["result"] = result
    return end


def _step(step: SubOperationLog) -> dict[str, Any]:
    form = {
        "step": step.name,
        "target": step.target,
        "result": result_text(step) or None,
        "status": str(step.outcome),
        "time": duration_text(step.duration_ns),
        "error": step.error_message,
        "count": step.count if step.count > 1 else None,
    }
    return {name: value for name, value in form.items() if value is not None}
