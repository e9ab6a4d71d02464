"""The jobs that command many tasks, in PostgreSQL."""

# ruff: noqa: S608 (statements are put together from constants, here; what is asked for travels as parameters)

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import msgspec
import psycopg

from orakul.errors import InvalidQueryError, TaskNotFoundError
from orakul.journals.postgres.connection import SCHEMA, Connections
from orakul.tasks.bulk import BulkItem, BulkJob, BulkResult, Verdict
from orakul.tasks.reader import Page, TaskQuery
from orakul.tasks.storable import key_text, long_text, short_text

__all__ = ["PostgresBulkJobs"]

_TURN = 7813586411420706159
_FIELDS = BulkJob.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_JOBS = f"SELECT {_COLUMNS} FROM {SCHEMA}.bulk_jobs"
_BEGIN = f"""
INSERT INTO {SCHEMA}.bulk_jobs (job_id, author, owner, command, reason, filter, sameness, gathered, total)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (sameness) WHERE status = 'running' DO NOTHING
RETURNING {_COLUMNS}
"""
_ADD = f"""
INSERT INTO {SCHEMA}.bulk_items (job_id, number, task_id)
SELECT %(job)s, %(from)s + n, task_id FROM unnest(%(ids)s::text[]) WITH ORDINALITY AS given (task_id, n)
ON CONFLICT DO NOTHING
"""
_TAKE = f"""
SELECT number, task_id, attempt FROM {SCHEMA}.bulk_items WHERE job_id = %s AND result IS NULL ORDER BY number LIMIT %s
"""
_MARK = f"""
UPDATE {SCHEMA}.bulk_items i SET begun = true, attempt = t.attempt FROM {SCHEMA}.tasks t
WHERE i.job_id = %s AND i.number = ANY(%s) AND NOT i.begun AND t.task_id = i.task_id
"""
_SETTLE = f"""
WITH told AS (
    UPDATE {SCHEMA}.bulk_items i SET result = v.result, said = v.said
    FROM unnest(%s::integer[], %s::text[], %s::text[]) AS v (number, result, said)
    WHERE i.job_id = %s AND i.number = v.number AND i.result IS NULL RETURNING i.result
)
UPDATE {SCHEMA}.bulk_jobs SET done = done + (SELECT count(*) FROM told WHERE result = 'done'),
    failed = failed + (SELECT count(*) FROM told WHERE result = 'failed'),
    skipped = skipped + (SELECT count(*) FROM told WHERE result = 'skipped')
WHERE job_id = %s RETURNING {_COLUMNS}
"""


class PostgresBulkJobs:
    """Fulfils `tasks.bulk.BulkJobs`."""

    def __init__(self, connections: Connections | str) -> None:
        self.connections = Connections(connections) if isinstance(connections, str) else connections

    def begin(
        self,
        command: Literal["retry", "cancel"],
        *,
        author: str,
        owner: str | None,
        reason: str | None = None,
        query: TaskQuery | None = None,
        task_ids: Sequence[str] = (),
    ) -> BulkJob:
        """Begin a job; where the same one of the same author runs, that one is returned."""
        ids = list(dict.fromkeys(key_text(each) or "" for each in task_ids))
        asked = msgspec.json.encode(query or TaskQuery()).decode()
        same = msgspec.json.encode([author, owner, command, asked, sorted(ids)])
        sameness = hashlib.sha256(same).hexdigest()
        job_id = str(uuid.uuid4())
        values = (
            *(job_id, author, owner, command, long_text(reason, 1_000), asked, sameness, query is None, len(ids)),
        )

        def work(connection: psycopg.Connection) -> Any:
            with connection.transaction():
                row = connection.execute(_BEGIN, values).fetchone()
                if row and ids:
                    connection.execute(_ADD, {"job": job_id, "from": 0, "ids": ids})
                return (
                    row
                    or connection.execute(
                        f"{_JOBS} WHERE sameness = %s ORDER BY created_at DESC LIMIT 1", (sameness,)
                    ).fetchone()
                )

        return _job(self.connections.run("write", work, again=False))

    def job(self, job_id: str, *, author: str | None = None) -> BulkJob:
        """Return a job as it is now."""
        rows = self._rows(f"{_JOBS} WHERE job_id = %s", (key_text(job_id),))
        if not rows or (author is not None and rows[0][1] != author):
            raise TaskNotFoundError(f"there is no bulk job {short_text(job_id)}")
        return _job(rows[0])

    def jobs(self, *, author: str | None = None, limit: int = 50) -> Sequence[BulkJob]:
        """Return the latest jobs."""
        condition, values = (" WHERE author = %s", [author]) if author is not None else ("", [])
        return [_job(row) for row in self._rows(f"{_JOBS}{condition} ORDER BY created_at DESC LIMIT {limit:d}", values)]

    def results(self, job_id: str, *, author: str | None = None, after: int = 0, limit: int = 100) -> Page[BulkResult]:
        """Return what came of each task, in order."""
        if not 1 <= limit <= 1_000:  # noqa: PLR2004 (said in the message)
            raise InvalidQueryError(f"limit is {limit}; it goes from 1 to 1,000")
        self.job(job_id, author=author)
        rows = self._rows(
            f"SELECT number, task_id, result, said FROM {SCHEMA}.bulk_items "
            f"WHERE job_id = %s AND number > %s ORDER BY number LIMIT {limit + 1:d}",
            (job_id, after),
        )
        items = [BulkResult(number=n, task_id=task, result=result, said=said) for n, task, result, said in rows[:limit]]
        return Page(items=items, next=str(items[-1].number) if len(rows) > limit else None)

    def abort(self, job_id: str, by: str, *, author: str | None = None) -> BulkJob:
        """Let the job stop after the commands that it is giving."""
        self.job(job_id, author=author)
        return self.finish(job_id, "aborted", f"aborted by {by}")

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Hold a lock of the session's, which ends with the process, however that ends."""
        connection = self.connections.open("write")
        try:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_TURN,)).fetchone()
            yield bool(row and row[0])
        finally:
            connection.close()

    def running(self) -> Sequence[tuple[BulkJob, str | None, TaskQuery, str | None]]:
        """Return the running jobs with their owner bound, query and cursor."""
        rows = self._rows(
            f"SELECT {_COLUMNS}, owner, filter, cursor FROM {SCHEMA}.bulk_jobs WHERE status = 'running' "
            "ORDER BY created_at LIMIT 20"
        )
        return [(_job(row), row[-3], msgspec.convert(row[-2], TaskQuery), row[-1]) for row in rows]

    def gather(self, job_id: str, task_ids: Sequence[str], cursor: str | None) -> None:
        """Add tasks; with no cursor, they are the last."""

        def work(connection: psycopg.Connection) -> None:
            with connection.transaction():
                row = connection.execute(
                    f"SELECT total FROM {SCHEMA}.bulk_jobs WHERE job_id = %s FOR UPDATE", (job_id,)
                ).fetchone()
                begin = row[0] if row else 0
                added = connection.execute(_ADD, {"job": job_id, "from": begin, "ids": list(task_ids)}).rowcount
                connection.execute(
                    f"UPDATE {SCHEMA}.bulk_jobs SET total = total + %s, cursor = %s, gathered = %s WHERE job_id = %s",
                    (added, cursor, cursor is None, job_id),
                )

        self.connections.run("write", work)

    def take(self, job_id: str, limit: int) -> Sequence[BulkItem]:
        """Return tasks without a result, and mark them as begun."""

        def work(connection: psycopg.Connection) -> list[Any]:
            with connection.transaction():
                rows = connection.execute(_TAKE.encode(), (job_id, limit)).fetchall()
                connection.execute(_MARK, (job_id, [row[0] for row in rows]))
                return rows

        rows = self.connections.run("write", work, again=False)
        return [BulkItem(number=number, task_id=task_id, attempt=attempt) for number, task_id, attempt in rows]

    def settle(self, job_id: str, verdicts: Sequence[Verdict]) -> BulkJob:
        """Store what came of tasks, and count it, in one transaction."""
        values = (
            [each.number for each in verdicts],
            [each.result for each in verdicts],
            [long_text(each.said, 1_000) for each in verdicts],
            job_id,
            job_id,
        )
        return _job(self.connections.run("write", lambda c: c.execute(_SETTLE, values).fetchone()))

    def finish(self, job_id: str, status: Literal["completed", "aborted"], note: str | None = None) -> BulkJob:
        """End the job; one that has ended stays as it is."""

        def work(connection: psycopg.Connection) -> None:
            connection.execute(
                f"UPDATE {SCHEMA}.bulk_jobs SET status = %s, note = %s, finished_at = now() "
                "WHERE job_id = %s AND status = 'running'",
                (status, note, job_id),
            )

        self.connections.run("write", work)
        return self.job(job_id)

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.connections.run("read", lambda c: c.execute(statement.encode(), values or None).fetchall())


def _job(row: Any) -> BulkJob:
    return BulkJob(**dict(zip(_FIELDS, row, strict=False)))
