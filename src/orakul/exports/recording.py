"""Exports as tasks: an observer that records run → groups → scripts, with live progress, through the recorder.

| of the export | becomes |
| --- | --- |
| the run | a task of kind `export`, its id the run's |
| a group that was started as one | `export_group`, below the run |
| a script | `export_script`, below its group, else below the run |

The export's own outcome stands beside the status: `Success` and `NoData` are completed, `Failed` failed, `Cancelled`
cancelled. What a script left is in its result, and in those above it. Every other event of the export goes to the
journal as it is. A task appears when its work begins; each keeps its order, sealed, so that it can be run again.
"""

import base64
import time
from collections.abc import Callable
from typing import Any

import msgspec

from orakul.events import Event, utc_now
from orakul.events.trace import current_trace
from orakul.exports.events import (
    AllGroupsStart,
    ExportEvent,
    ExportFailure,
    ExportProgress,
    GroupStart,
    GroupSummary,
    RunFinished,
    ScriptFinished,
    ScriptStart,
    ScriptSummary,
)
from orakul.exports.names import EXPORT, GROUP, SCRIPT, group_task, script_task
from orakul.exports.observer import ExportObserver
from orakul.exports.order import ExportOrder, encode_order
from orakul.exports.plan import Plan
from orakul.exports.run import outcome_of
from orakul.exports.script import Outcome
from orakul.tasks.sealing import Sealer

__all__ = ["ExportTasks"]

_STATUS = {
    Outcome.SUCCESS: "task.completed",
    Outcome.NO_DATA: "task.completed",
    Outcome.FAILED: "task.failed",
    Outcome.CANCELLED: "task.cancelled",
}
_FILES_SHOWN = 500
_EVERY = 0.5


class ExportTasks(ExportObserver):
    """Records one attempt of one order. It is told at once, in the export's own thread: it takes microseconds."""

    immediate = True
    name = "the control room"

    def __init__(
        self, record: Callable[[Event], None], order: ExportOrder, *, worker: str | None, sealer: Sealer | None = None
    ) -> None:
        self._record = record
        self._order = order
        self._worker = worker
        self._sealer = sealer
        self._plan = order.plan_name()
        self._scripts = 0
        self._open: dict[str, set[str]] = {}
        """The scripts that a group still waits for."""
        self._ended: dict[tuple[str, str], ScriptFinished] = {}
        self._running: dict[tuple[str, str], tuple[int, int, float | None]] = {}
        self._begun: set[str] = set()
        self._said = 0.0
        self._trace = current_trace()

    # -- the task that was asked for

    def begin(self) -> None:
        """Say that the work has begun, before there is anything to tell of the export."""
        order = self._order
        asked = {"plan": order.plan, "group": order.group, "script": order.script, "columns": order.columns}
        arguments = {name: value for name, value in asked.items() if value is not None}
        self._begin(order.task_id, self._kind(), order.title(self._plan), order, arguments=arguments)

    def knows(self, plan: Plan) -> None:
        """Take note of the plan when it has been read."""
        self._plan = plan.name
        self._scripts = sum(len(group.scripts) for group in self._order.choice(plan).groups)

    def fail(self, error: BaseException) -> None:
        """Say that it failed before there was a run, or in a way that no observer was told of."""
        failure = {"type": type(error).__name__, "message": str(error) or repr(error)}
        self._end(self._order.task_id, self._kind(), Outcome.FAILED, error=failure)

    def cancel(self) -> None:
        """Say that it was stopped before there was a run."""
        self._end(self._order.task_id, self._kind(), Outcome.CANCELLED)

    def _kind(self) -> str:
        if self._order.is_run:
            return EXPORT
        return SCRIPT if self._order.script is not None else GROUP

    # -- what the export tells

    def on_all_groups_start(self, event: AllGroupsStart) -> None:
        """Pass it on."""
        self._record(event.envelope)

    def on_group_start(self, event: GroupStart) -> None:
        """Begin the task of a group."""
        self._record(event.envelope)
        self._open[event.group_id] = set(event.script_ids)
        order = self._below(group_task(event.run_id, event.group_id), event.group_id)
        self._begin(order.task_id, GROUP, order.title(self._plan), order, moment=event)

    def on_script_start(self, event: ScriptStart) -> None:
        """Begin the task of a script, unless its progress did."""
        self._record(event.envelope)
        self._begin_script(event, event.group_id, event.script_id)

    def on_progress(self, event: ExportProgress) -> None:
        """Record how far a script is, and with it the run."""
        self._begin_script(event, event.group_id, event.script_id)
        progress = _progress(rows=event.rows, bytes=event.bytes, share=event.share)
        self._say(script_task(event.run_id, event.group_id, event.script_id), progress)
        self._running[event.group_id, event.script_id] = (event.rows, event.bytes, event.share)
        now = time.monotonic()
        if now - self._said >= _EVERY:
            self._said = now
            self._say_all()

    def on_script_finished(self, event: ScriptFinished) -> None:
        """End the task of a script, and of its group where that was the last."""
        self._record(event.envelope)
        key = event.group_id, event.script_id
        self._ended[key] = event
        if self._running.pop(key, None) is not None and event.outcome is Outcome.SUCCESS:
            whole = _progress(rows=event.rows_exported, bytes=event.bytes_written, share=1.0)
            self._say(script_task(event.run_id, *key), whole)
        result = {
            "outcome": event.outcome,
            "rows_exported": event.rows_exported,
            "bytes_written": event.bytes_written,
            "files": event.files[:_FILES_SHOWN],
        }
        if len(event.files) > _FILES_SHOWN:
            result["files_left_out"] = len(event.files) - _FILES_SHOWN
        error = _failure(event.error)
        self._end(script_task(event.run_id, *key), SCRIPT, event.outcome, result=result, error=error, moment=event)
        self._say_all()
        waits = self._open.get(event.group_id)
        if waits is not None:
            waits.discard(event.script_id)
            if not waits:
                self._end_group(event, event.group_id)

    def on_run_finished(self, event: RunFinished) -> None:
        """End what is open, the run last."""
        for summary in event.summary:
            if summary.group_id in self._open:
                self._end_group(event, summary.group_id, summary)
        self._record(event.envelope)
        if self._order.is_run:
            files = [file for each in self._ended.values() for file in each.files]
            result = {
                **_totals(event, files),
                "groups": [msgspec.to_builtins(group) for group in event.summary],
            }
            error = _failure(event.error) or _failed([s for group in event.summary for s in group.scripts])
            self._end(self._order.run_id, EXPORT, event.outcome, result=result, error=error, moment=event)

    # -- the tasks

    def _end_group(self, event: ExportEvent, group_id: str, summary: GroupSummary | None = None) -> None:
        del self._open[group_id]
        ended = [each for (group, _), each in self._ended.items() if group == group_id]
        outcome = summary.outcome if summary is not None else outcome_of(each.outcome for each in ended)
        totals = {
            "outcome": outcome,
            "rows_exported": sum(each.rows_exported for each in ended),
            "bytes_written": sum(each.bytes_written for each in ended),
        }
        files = [file for each in ended for file in each.files]
        result = {**totals, "files": files[:_FILES_SHOWN]}
        task = group_task(event.run_id, group_id)
        self._end(task, GROUP, outcome, result=result, error=_failed(ended), moment=event)

    def _begin_script(self, event: ExportEvent, group_id: str, script_id: str) -> None:
        task = script_task(event.run_id, group_id, script_id)
        if task not in self._begun:
            order = self._below(task, group_id, script_id)
            self._begin(task, SCRIPT, order.title(self._plan), order, moment=event)

    def _below(self, task: str, group_id: str, script_id: str | None = None) -> ExportOrder:
        """Return the order of a task below, for when it is to be run again by itself."""
        return msgspec.structs.replace(
            self._order, task_id=task, group=group_id, script=script_id, attempt=1, run=0, attempts={}
        )

    def _begin(
        self,
        task: str,
        kind: str,
        name: str,
        order: ExportOrder,
        *,
        arguments: Any = None,
        moment: ExportEvent | None = None,
    ) -> None:
        if task in self._begun:
            return
        self._begun.add(task)
        if self._sealer is not None:
            sealed = base64.b64encode(self._sealer.seal(encode_order(order), task)).decode("ascii")
            self._record(self._event("task.message", task, {"attempt": self._attempt(task), "sealed": sealed}, moment))
        data = {
            **self._facts(task),
            "kind": kind,
            "name": name,
            "worker": self._worker,
            "root_id": self._order.run_id,
            "arguments": arguments,
        }
        if kind != EXPORT:
            grouped = kind == SCRIPT and (order.group in self._open or self._order.script is None)
            data["parent_id"] = group_task(order.run_id, order.group or "") if grouped else order.run_id
        if task == self._order.task_id and not self._order.is_run:
            del data["root_id"]  # known since the first attempt, as is the parent
            data.pop("parent_id", None)
        self._record(self._event("task.in_progress", task, _said(data), moment))

    def _end(
        self,
        task: str,
        kind: str,
        outcome: Outcome,
        *,
        result: Any = None,
        error: dict[str, Any] | None = None,
        moment: ExportEvent | None = None,
    ) -> None:
        data = {**self._facts(task), "kind": kind, "outcome": str(outcome), "result": result}
        if outcome is Outcome.FAILED:
            data["error"] = error or {"type": "ExportFailed", "message": "the export failed"}
        self._record(self._event(_STATUS[outcome], task, _said(data), moment))

    def _say(self, task: str, progress: dict[str, Any]) -> None:
        self._record(self._event("task.progress", task, {**self._facts(task), "progress": progress}, None))

    def _say_all(self) -> None:
        """Tell how far the run is: of all scripts, those that ended and the shares of those that run."""
        if not self._order.is_run or not self._scripts:
            return
        running = self._running.values()
        done = len(self._ended)
        progress = _progress(
            done=done,
            total=self._scripts,
            rows=sum(each.rows_exported for each in self._ended.values()) + sum(each[0] for each in running),
            bytes=sum(each.bytes_written for each in self._ended.values()) + sum(each[1] for each in running),
            share=(done + sum(each[2] or 0.0 for each in running)) / self._scripts,
        )
        self._say(self._order.run_id, progress)

    def _facts(self, task: str) -> dict[str, Any]:
        return {"attempt": self._attempt(task), "run": self._order.run}

    def _attempt(self, task: str) -> int:
        return self._order.attempts.get(task, self._order.attempt)

    def _event(self, event_type: str, task: str, data: dict[str, Any], moment: ExportEvent | None) -> Event:
        return Event(
            event_type=event_type,
            task_id=task,
            user_id=self._order.user_id,
            data=data,
            trace_id=self._trace,
            source="exports",
            timestamp=utc_now() if moment is None else moment.envelope.timestamp,
        )


def _progress(**facts: Any) -> dict[str, Any]:
    share = facts.pop("share", None)
    return facts | ({} if share is None else {"share": round(share, 4)})


def _totals(event: RunFinished, files: list[dict[str, Any]]) -> dict[str, Any]:
    found = {
        "outcome": event.outcome,
        "rows_exported": event.rows_exported,
        "bytes_written": event.bytes_written,
        "files": files[:_FILES_SHOWN],
    }
    return found | ({"files_left_out": len(files) - _FILES_SHOWN} if len(files) > _FILES_SHOWN else {})


def _failure(error: ExportFailure | None) -> dict[str, Any] | None:
    if error is None:
        return None
    where = f" (variant {error.variant})" if error.variant else ""
    return {"type": error.type or "ExportFailed", "message": f"{error.message}{where}"}


def _failed(scripts: list[Any]) -> dict[str, Any] | None:
    """Return the error of a group or a run: which of its scripts failed, and why the first did."""
    failed: list[ScriptSummary | ScriptFinished] = [each for each in scripts if each.outcome == Outcome.FAILED]
    if not failed:
        return None
    names = ", ".join(each.script_id for each in failed[:5]) + (", …" if failed[5:] else "")
    why = f": {failed[0].error.message}" if failed[0].error else ""
    return {"type": "ExportFailed", "message": f"{len(failed)} of {len(scripts)} scripts failed ({names}){why}"}


def _said(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value is not None}
