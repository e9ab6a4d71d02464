"""Reading the journal's tables: pages of tasks, one task with its history and log, the header's figures, the events."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import psycopg

from orakul.errors import InvalidQueryError, TaskNotFoundError
from orakul.journals.postgres import statements as sql
from orakul.journals.postgres.batch import ALL_QUEUES
from orakul.journals.postgres.connection import Connections
from orakul.journals.postgres.finding import find
from orakul.journals.postgres.history import HISTORY_TYPES, changes
from orakul.journals.postgres.paging import upper_bound
from orakul.journals.postgres.rows import event_from, log_from, task_from
from orakul.tasks.journal import StoredEvent
from orakul.tasks.reader import Change, LogLine, Page, PausedQueue, Summary, TaskQuery
from orakul.tasks.storable import key_text, short_text
from orakul.tasks.task import Task

__all__ = ["PostgresReader"]

_MOST_COUNTED = 10_000
_MOST_CHILDREN = 1_000
_MOST_CHANGES = 5_000
_MOST_LINES = 10_000
_MOST_TYPES = 200
_MOST_QUEUES = 500
_LARGEST_SEQ = (1 << 63) - 1


class PostgresReader:
    """Fulfils `tasks.TaskReader`. Each call is bounded: in rows by its statement, in time by the connection."""

    def __init__(self, connections: Connections | str) -> None:
        self.connections = Connections(connections) if isinstance(connections, str) else connections

    def tasks(self, query: TaskQuery) -> Page[Task]:
        """Return one page of tasks; of the latest only, and said to be partial, where a filter takes too long."""
        return find(self.connections, query)

    def task(self, task_id: str, *, owner: str | None = None) -> Task:
        """Return one task, whole."""
        rows = self._rows(sql.TASK, (key_text(task_id),))
        task = task_from(rows[0], whole=True) if rows else None
        if task is None or (owner is not None and task.user_id != owner):
            raise TaskNotFoundError(f"there is no task {short_text(task_id)}")
        return task

    def history(self, task_id: str, *, owner: str | None = None) -> Page[Change]:
        """Return the task's changes of status and commands, oldest first."""
        since = self._must_exist(task_id, owner)
        rows = self._rows(sql.HISTORY, (key_text(task_id), since, list(HISTORY_TYPES), _MOST_CHANGES))
        return Page(items=changes([_stored(row) for row in rows]))

    def logs(self, task_id: str, *, owner: str | None = None, after: int = 0, limit: int = 1000) -> Page[LogLine]:
        """Return log lines with `seq > after`, oldest first."""
        _check_bounds(after, limit, _MOST_LINES)
        since = self._must_exist(task_id, owner)
        rows = self._rows(sql.LOGS, (key_text(task_id), since, after, limit + 1))
        lines = [log_from(row) for row in rows[:limit]]
        return Page(items=lines, next=str(lines[-1].seq) if len(rows) > limit else None)

    def children(self, task_id: str, *, owner: str | None = None) -> Page[Task]:
        """Return the task's subtree, parents before children, the task itself left out; at most 1,000."""
        self._must_exist(task_id, owner)
        key = key_text(task_id)
        if owner is None:
            rows = self._rows(sql.CHILDREN, (key, key, _MOST_CHILDREN))
        else:
            rows = self._rows(sql.CHILDREN_OF_OWNER, (key, owner, key, owner, _MOST_CHILDREN))
        return Page(items=[task_from(row) for row in rows])

    def summary(self, *, owner: str | None = None) -> Summary:
        """Return the header's figures."""
        if owner is None:
            (counts,) = self._rows(sql.SUMMARY, (_MOST_COUNTED + 1, _MOST_COUNTED + 1, ""))
        else:
            key = key_text(owner)
            (counts,) = self._rows(sql.SUMMARY_OF_OWNER, (key, _MOST_COUNTED + 1, key, _MOST_COUNTED + 1, key))
        queued, active, completed, failed, timed, micros, seq = counts
        ended = max(completed, 0) + max(failed, 0)
        return Summary(
            queued=min(queued, _MOST_COUNTED),
            active=min(active, _MOST_COUNTED),
            capped=max(queued, active) > _MOST_COUNTED,
            failure_rate_24h=max(failed, 0) / ended if ended else None,
            mean_duration_24h=float(micros) / timed / 1_000_000 if timed > 0 else None,
            paused_queues=self._paused(),
            seq=seq,
        )

    def events(self, *, types: Sequence[str] = (), after: int = 0, limit: int = 100) -> Page[StoredEvent]:
        """Return events in the order of `seq`; `types` takes patterns (`task.*`)."""
        _check_bounds(after, limit, 1_000)
        if not types or "*" in types:
            rows = self._rows(sql.EVENTS, (after, limit + 1))
        else:
            known = [row[0] for row in self._rows(sql.EVENT_TYPES, (_MOST_TYPES,))]
            wanted = [name for name in known if any(fnmatchcase(name, pattern) for pattern in types)]
            if not wanted:
                return Page(items=[])
            values = [value for name in wanted for value in (name, after, limit + 1)]
            rows = self._rows(sql.events_of_types(len(wanted)), [*values, limit + 1])
        items = [_stored(row) for row in rows[:limit]]
        return Page(items=items, next=str(items[-1].seq) if len(rows) > limit else None)

    def names(self, prefix: str = "", *, owner: str | None = None, limit: int = 20) -> list[str]:
        """Return task names that begin with `prefix`; an owner's are those of their latest 5,000 tasks."""
        begin = short_text(prefix) or ""
        end = upper_bound(begin)
        if owner is None:
            rows = self._rows(sql.NAMES, (begin, end, end, limit))
        else:
            rows = self._rows(sql.NAMES_OF_OWNER, (key_text(owner), begin, end, limit))
        return [row[0] for row in rows]

    def queues(self) -> list[dict[str, Any]]:
        """Return the queues seen, with what waits and runs in each (counted up to 10,000)."""
        paused = {queue.queue: queue for queue in self._paused()}
        counts = self._rows(sql.QUEUES, (_MOST_QUEUES, _MOST_COUNTED, _MOST_COUNTED))
        found = []
        for queue, pending, in_progress in counts:
            order = paused.get(queue) or paused.get(ALL_QUEUES)
            found.append(
                {
                    "queue": queue,
                    "pending": pending,
                    "in_progress": in_progress,
                    "paused": order is not None,
                    "paused_by": order.paused_by if order else None,
                    "paused_at": order.paused_at if order else None,
                }
            )
        return found

    def _paused(self) -> list[PausedQueue]:
        rows = self._rows(sql.PAUSED)
        return [PausedQueue(queue=row[0], paused_by=row[1], paused_at=row[2], reason=row[3]) for row in rows]

    def _must_exist(self, task_id: str, owner: str | None) -> Any:
        """Return since when there can be events about the task."""
        rows = self._rows(sql.OWNER, (key_text(task_id),))
        if not rows or (owner is not None and rows[0][0] != owner):
            raise TaskNotFoundError(f"there is no task {short_text(task_id)}")
        return rows[0][1]

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        def read(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
            return connection.execute(statement, values or None).fetchall()

        return self.connections.run("read", read)


def _stored(row: Sequence[Any]) -> StoredEvent:
    return StoredEvent(seq=row[0], event=event_from(row))


def _check_bounds(after: int, limit: int, most: int) -> None:
    if not 0 <= after <= _LARGEST_SEQ:
        raise InvalidQueryError(f"after is {after}; it is a seq, 0 or greater")
    if not 1 <= limit <= most:
        raise InvalidQueryError(f"limit is {limit}; it goes from 1 to {most}")
