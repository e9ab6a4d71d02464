"""Pipelines, from the tasks of their runs: an index of those alone, by result and time."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from orakul.errors import UnavailableError
from orakul.journals.postgres.connection import SCHEMA, Connections
from orakul.pipelines.message import Verdict
from orakul.pipelines.recording import WITH_ERRORS
from orakul.pipelines.room import PipelineState, RunPoint, state_of
from orakul.tasks.storable import key_text

__all__ = ["PostgresPipelines"]

_RUNS = 30
_RESULT = f'{SCHEMA}.result_name(t.arguments) COLLATE "C"'
_COLUMNS = (
    "t.task_id, t.name, t.status, t.outcome, t.started_at, t.finished_at, t.error_message, t.error_type,"
    " t.result, t.created_at"
)
# A walk from one result to the next through the index, then the last runs of each.
_STATES = f"""
WITH RECURSIVE results AS (
    (SELECT {_RESULT} AS name FROM {SCHEMA}.tasks t
     WHERE t.kind = 'pipeline' AND {_RESULT} IS NOT NULL ORDER BY {_RESULT} LIMIT 1)
    UNION ALL
    SELECT (SELECT {_RESULT} FROM {SCHEMA}.tasks t WHERE t.kind = 'pipeline' AND {_RESULT} > r.name
            ORDER BY {_RESULT} LIMIT 1)
    FROM results r WHERE r.name IS NOT NULL
)
SELECT r.name, runs.* FROM (SELECT name FROM results WHERE name IS NOT NULL LIMIT %(limit)s) r
CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM {SCHEMA}.tasks t
    WHERE t.kind = 'pipeline' AND {_RESULT} = r.name AND (%(owner)s::text IS NULL OR t.user_id = %(owner)s)
    ORDER BY t.created_at DESC LIMIT %(runs)s
) runs
"""  # noqa: S608 (constants)
_ONE = f"""
SELECT {_RESULT}, {_COLUMNS} FROM {SCHEMA}.tasks t
WHERE t.kind = 'pipeline' AND {_RESULT} = %(name)s AND (%(owner)s::text IS NULL OR t.user_id = %(owner)s)
ORDER BY t.created_at DESC LIMIT %(runs)s
"""  # noqa: S608 (constants)


class PostgresPipelines:
    """Fulfils `pipelines.PipelineRoom`."""

    def __init__(self, connections: Connections | str) -> None:
        self.connections = Connections(connections) if isinstance(connections, str) else connections

    def states(self, *, owner: str | None = None, limit: int = 500) -> list[PipelineState]:
        """Return the state of each result, by name."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        for row in self._rows(_STATES, owner=owner, limit=limit, runs=_RUNS):
            found.setdefault(row[0], []).append(row)
        now = datetime.now(UTC)
        return [_state(rows, now) for rows in found.values()]

    def state(self, result_name: str, *, owner: str | None = None, runs: int = 100) -> PipelineState | None:
        """Return the state of one result with its last runs, None where no run of it is known."""
        rows = self._rows(_ONE, name=key_text(result_name), owner=owner, runs=runs)
        return _state(rows, datetime.now(UTC)) if rows else None

    def known(self, result_name: str) -> list[tuple[datetime, int | None]]:
        """Return when the last runs of a result ended and what they loaded; nothing where the journal is away."""
        try:
            state = self.state(result_name, runs=_RUNS)
        except UnavailableError:
            return []
        runs: Iterable[RunPoint] = state.runs if state is not None else ()
        return [(run.finished_at, run.rows_loaded) for run in runs if run.finished_at is not None]

    def _rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        return self.connections.run("read", lambda connection: connection.execute(statement, values).fetchall())


def _state(rows: Sequence[Sequence[Any]], now: datetime) -> PipelineState:
    return state_of(rows[0][0], rows[0][2], [_run(row) for row in rows], now)


def _run(row: Sequence[Any]) -> RunPoint:
    _, task_id, _, status, outcome, started, finished, error, error_type, result, _ = row
    said: dict[str, Any] = result if isinstance(result, dict) else {}
    took = said.get("duration_ms")
    if took is None and started is not None and finished is not None:
        took = (finished - started).total_seconds() * 1000
    return RunPoint(
        task_id=task_id,
        status=outcome or status,
        task_status=status,
        verdict=_verdict(status, error_type),
        started_at=_utc(started),
        finished_at=_utc(finished),
        duration_ms=took,
        rows_loaded=said.get("rows_loaded"),
        rows_exported=said.get("rows_exported"),
        error=error,
        data_quality=said.get("data_quality") or [],
    )


def _verdict(status: str, error_type: str | None) -> Verdict:
    if status == "completed":
        return "success"
    if status != "failed":
        return "running"
    return "with_errors" if error_type == WITH_ERRORS else "failed"


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
