"""What the control room shows of pipelines: the last run of each, how fresh it is, what came before."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from orakul.pipelines.message import Verdict
from orakul.pipelines.rhythm import usual_of

__all__ = ["PipelineList", "PipelineRoom", "PipelineState", "RunPoint", "state_of"]

_LATE_TIMES = 2.0


class RunPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One run, for a chart. Times are aware, UTC; durations milliseconds."""

    task_id: str
    status: str
    """The producer's own word."""
    task_status: str
    verdict: Verdict
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: float | None = None
    rows_loaded: int | None = None
    rows_exported: int | None = None
    error: str | None = None
    data_quality: list[dict[str, Any]] = msgspec.field(default_factory=list)


class PipelineState(msgspec.Struct, frozen=True, kw_only=True):
    """The last word on a result, and how fresh it is."""

    result_name: str
    pipeline_name: str
    status: str
    task_id: str
    task_status: str
    verdict: Verdict
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: float | None = None
    rows_loaded: int | None = None
    rows_exported: int | None = None
    error: str | None = None
    data_quality: list[dict[str, Any]] = msgspec.field(default_factory=list)
    usual_seconds: float | None = None
    """The usual distance of runs, the median; null until four runs are known."""
    silent_seconds: float | None = None
    """How long ago the last run ended."""
    late_seconds: float | None = None
    """By how much the next run is overdue against twice the usual distance; null where it is not."""
    runs: list[RunPoint] = msgspec.field(default_factory=list)
    """The last runs, newest first."""


class PipelineList(msgspec.Struct, frozen=True, kw_only=True):
    """Pipelines, by the name of their result; `partial` where there are more than are shown."""

    items: list[PipelineState]
    partial: bool


class PipelineRoom(Protocol):
    """Answers from the journal. `owner` narrows to the tasks of one user."""

    def states(self, *, owner: str | None = None, limit: int = 500) -> list[PipelineState]:
        """Return the state of each result, by name."""
        ...

    def state(self, result_name: str, *, owner: str | None = None, runs: int = 100) -> PipelineState | None:
        """Return the state of one result with its last runs, None where no run of it is known."""
        ...


def state_of(result_name: str, pipeline_name: str, runs: Sequence[RunPoint], now: datetime) -> PipelineState:
    """Return the state that these runs (newest first, at least one) tell."""
    last = runs[0]
    ends = [run.finished_at for run in runs if run.finished_at is not None]
    usual = usual_of(ends, [run.rows_loaded for run in runs if run.rows_loaded is not None])
    silent = (now - max(ends)).total_seconds() if ends else None
    late = None
    if silent is not None and usual.seconds and silent > usual.seconds * _LATE_TIMES:
        late = silent - usual.seconds
    facts = {name: getattr(last, name) for name in last.__struct_fields__}
    return PipelineState(
        result_name=result_name,
        pipeline_name=pipeline_name,
        usual_seconds=usual.seconds,
        silent_seconds=silent,
        late_seconds=late,
        runs=list(runs),
        **facts,
    )
