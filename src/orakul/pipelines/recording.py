"""A run as events: of its task (kind `pipeline`), and of each rule that it broke."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec

from orakul.events import Event, utc_now
from orakul.events.trace import current_trace
from orakul.pipelines.message import PipelineRun
from orakul.pipelines.rules import Broken
from orakul.pipelines.words import Language, sentence_of

__all__ = ["FAILED", "KIND", "SOURCE", "WITH_ERRORS", "broken_event", "events_of"]

KIND = "pipeline"
SOURCE = "tdtp"
FAILED = "PipelineFailed"
WITH_ERRORS = "PipelineEndedWithErrors"


def events_of(
    run: PipelineRun, broken: Sequence[Broken] = (), *, task_id: str | None = None, language: Language = "ru"
) -> list[Event]:
    """Return what the journal is to hold of the run; the same run gives the same events, whenever it is told."""
    made, start_id, end_id = run.ids()
    task_id = task_id or made
    began, ended = _times(run)
    data: dict[str, Any] = {
        "kind": KIND,
        "attempt": 1,
        "name": run.pipeline_name,
        "arguments": {"args": [], "kwargs": {"result_name": run.result_name}},
    }
    events = []
    trace = run.trace_id or current_trace()
    if not run.ended:
        events.append(_event("task.in_progress", start_id, began, task_id, data, trace=trace))
    else:  # one event tells of the whole run: a second one for its start would cost the journal as much again
        data |= {"started_at": began.isoformat(), "outcome": run.status, "result": _result(run, broken, language)}
        if run.verdict != "success":
            data["error"] = {"type": FAILED if run.verdict == "failed" else WITH_ERRORS}
            data["error"]["message"] = run.error or f"The pipeline ended with the status {run.status!r}."
        kind = "task.completed" if run.verdict == "success" else "task.failed"
        events.append(_event(kind, end_id, ended, task_id, data, trace=trace))
    events.extend(broken_event(run, each, language, task_id=task_id, moment=ended) for each in broken)
    return events


def broken_event(run: PipelineRun, broken: Broken, language: Language, *, task_id: str, moment: datetime) -> Event:
    """Return the event of a rule that a run broke, or that is broken as no run came after this one."""
    told = f"{task_id} {broken.rule} {broken.kind}".encode()
    return _event(
        "pipeline.rule_broken",
        str(UUID(bytes=blake2b(told, digest_size=16).digest(), version=5)),
        moment,
        task_id,
        {
            "pipeline_name": run.pipeline_name,
            "result_name": run.result_name,
            **_told(broken, language),
        },
    )


def _event(
    kind: str, event_id: str, moment: datetime, task_id: str, data: dict[str, Any], *, trace: str | None = None
) -> Event:
    return Event(
        event_type=kind,
        event_id=event_id,
        timestamp=moment,
        task_id=task_id,
        data=data,
        trace_id=trace,
        source=SOURCE,
    )


def _told(broken: Broken, language: Language) -> dict[str, Any]:
    return {**msgspec.to_builtins(broken), "message": sentence_of(broken, language)}


def _times(run: PipelineRun) -> tuple[datetime, datetime]:
    """Return when it began and ended; what was not said is the present moment."""
    now = utc_now()
    ended = run.finished_at or now
    began = run.started_at
    if began is None:
        try:
            began = ended - timedelta(milliseconds=run.duration_ms or 0)
        except OverflowError:  # ended in the first years of the calendar
            began = ended
    return began, max(ended, began)


def _result(run: PipelineRun, broken: Sequence[Broken], language: Language) -> dict[str, Any]:
    result: dict[str, Any] = {
        "result_name": run.result_name,
        "rows_loaded": run.rows_loaded,
        "rows_exported": run.rows_exported,
        "duration_ms": run.duration_ms,
    }
    if broken:
        result["data_quality"] = [_told(each, language) for each in broken]
    if run.extra:
        result["extra"] = run.extra
    if run.oddities:
        result["oddities"] = list(run.oddities)
    return result
