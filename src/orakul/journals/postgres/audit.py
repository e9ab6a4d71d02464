"""The audit, read from the journal's events: no second book is kept, so none can disagree."""

# ruff: noqa: S608 (statements are put together from constants, here; what is asked for travels as parameters)

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg

from orakul.errors import InvalidQueryError
from orakul.journals.postgres.connection import SCHEMA, Connections
from orakul.tasks.audit import COMMANDS, SETTINGS_COMMANDS, AuditEntry
from orakul.tasks.projection import attempt_and_run
from orakul.tasks.reader import Page
from orakul.tasks.storable import key_text, long_text, short_text

__all__ = ["PostgresAudit"]

_MOST = 500
_MOST_RESULTS = 10_000
_IS_COMMAND = f"event_type IN ({', '.join(repr(each) for each in COMMANDS)})"
"""As in the indexes of migration 0003: a plan uses them only where it sees the same condition."""

_RESULTS = f"""
SELECT task_id, event_type, data FROM {SCHEMA}.events
WHERE task_id = ANY(%s) AND timestamp >= %s
  AND event_type IN ('task.retry_sent', 'task.completed', 'task.failed', 'task.cancelled')
ORDER BY seq LIMIT {_MOST_RESULTS}
"""
_OUTCOMES = {
    "task.retry_sent": "sent",
    "task.completed": "completed",
    "task.failed": "failed",
    "task.cancelled": "cancelled",
}
_PLAIN = {
    "queue.paused": "paused",
    "queue.resumed": "resumed",
    "retention.changed": "changed",
    "reaction.rule_created": "changed",
    "reaction.rule_changed": "changed",
    "reaction.rule_deleted": "changed",
}

Ends = dict[tuple[str, int], str]


class PostgresAudit:
    """Fulfils `tasks.audit.Audit`."""

    def __init__(self, connections: Connections | str) -> None:
        self.connections = Connections(connections) if isinstance(connections, str) else connections

    def entries(
        self,
        *,
        author: str | None = None,
        types: Sequence[str] = (),
        task_id: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> Page[AuditEntry]:
        """Return commands that fit, the newest first."""
        if not 1 <= limit <= _MOST:
            raise InvalidQueryError(f"limit is {limit}; it goes from 1 to {_MOST}")
        known = (*COMMANDS, *SETTINGS_COMMANDS)
        unknown = sorted(set(types) - set(known))
        if unknown:
            raise InvalidQueryError(f"{unknown[0]!r} is no command; there are: {', '.join(known)}")
        conditions: list[str] = []
        values: list[Any] = []
        wanted: list[tuple[str, Any]] = [
            ("user_id = %s", key_text(author) if author else None),
            ("task_id = %s", key_text(task_id) if task_id else None),
            ("event_type = ANY(%s)", list(types) or None),
            ("seq < %s", after or None),
        ]
        for condition, value in wanted:
            if value is not None:
                conditions.append(condition)
                values.append(value)
        branches = [_IS_COMMAND, *(f"event_type = '{name}'" for name in SETTINGS_COMMANDS)]
        union = " UNION ALL ".join(
            f"(SELECT seq, timestamp, event_type, user_id, task_id, data FROM {SCHEMA}.events "
            f"WHERE {' AND '.join([branch, *conditions])} ORDER BY seq DESC LIMIT {limit + 1})"
            for branch in branches
        )
        statement = f"SELECT * FROM ({union}) AS each_kind ORDER BY seq DESC LIMIT {limit + 1}"
        rows = self._rows(statement, values * len(branches))
        ends = self._ends(rows[:limit])
        items = [_entry(row, ends) for row in rows[:limit]]
        return Page(items=items, next=str(items[-1].seq) if len(rows) > limit else None)

    def _ends(self, rows: Sequence[Sequence[Any]]) -> Ends:
        """Return what came of the attempts that these commands speak of."""
        told: set[str] = set()
        for _seq, _timestamp, _type, _author, task_id, data in rows:
            told.update(each for each in (task_id, data.get("task")) if isinstance(each, str))
        if not told:
            return {}
        since: datetime = min(row[1] for row in rows) - timedelta(days=1)  # clocks may differ a little
        ends: Ends = {}
        for task_id, event_type, data in self._rows(_RESULTS, [sorted(told), since]):
            key = (task_id, attempt_and_run(data)[0])
            if event_type != "task.retry_sent" or key not in ends:
                ends[key] = _OUTCOMES[event_type]
        return ends

    def _rows(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        def read(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
            return connection.execute(statement.encode(), values).fetchall()

        return self.connections.run("read", read)


def _entry(row: Sequence[Any], ends: Ends) -> AuditEntry:
    seq, timestamp, event_type, author, task_id, data = row
    made = short_text(data.get("task"))
    attempt = attempt_and_run(data)[0] if task_id else None
    result = _PLAIN.get(event_type)
    if result is None:
        result = ends.get((made, 1) if made else (task_id or "", attempt or 1), "requested")
    return AuditEntry(
        seq=seq,
        timestamp=timestamp,
        command=event_type,
        author=author,
        reason=long_text(data.get("reason"), 1_000),
        task_id=task_id,
        queue=short_text(data.get("queue")),
        attempt=attempt,
        made=made,
        result=result,
    )
