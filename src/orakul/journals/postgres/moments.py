"""The room as it was at a moment.

Tasks that had ended by then for good are what their rows say, and are paged and counted by the indexes of the list. The
others lived then: they are few, found by the lengths of their lives (migration 0005), and are what their events up to
the moment say.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import msgspec
import psycopg
from psycopg import errors

from orakul.errors import InvalidQueryError
from orakul.journals.postgres.batch import ALL_QUEUES
from orakul.journals.postgres.connection import SCHEMA, Connections
from orakul.journals.postgres.finding import MOST_COUNTED, Times, count_of, next_cursor, rows_of, tries, with_words
from orakul.journals.postgres.paging import SORTS, Cursor, Searched, Statement, after, check, page_statement
from orakul.journals.postgres.past import MOMENT_BIT, Lived, Living, drafts_at, lived_at
from orakul.journals.postgres.rows import task_from
from orakul.journals.postgres.statements import TASKS_BY_ID
from orakul.journals.postgres.turns import turns
from orakul.tasks import moments as contract
from orakul.tasks.moments import Moment, MomentQueue, MomentRange, Turns
from orakul.tasks.reader import TaskQuery
from orakul.tasks.room import Count
from orakul.tasks.status import FINAL, Status
from orakul.tasks.storable import key_text, long_text
from orakul.tasks.task import Task

__all__ = ["PostgresMoments"]

_PAGE_TIMES: Times = ((500, None), (200, timedelta(days=1)), (100, timedelta(hours=1)))
_COUNT_TIMES: Times = ((200, None), (50, timedelta(hours=1)))
_PAUSES = f"SELECT queue, paused, timestamp, event_id, author, reason FROM {SCHEMA}.paused_queues"  # noqa: S608 (constants)
_PAUSES_BEFORE = " UNION ALL ".join(
    f"(SELECT data ->> 'queue', {paused}, timestamp, event_id, user_id, data ->> 'reason' FROM {SCHEMA}.events"  # noqa: S608 (constants)
    f" WHERE event_type = '{kind}' AND timestamp <= %s ORDER BY seq DESC LIMIT 1000)"
    for kind, paused in (("queue.paused", "true"), ("queue.resumed", "false"))
)
_FIRST_DAYS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'orakul.events'::regclass AND c.relname ~ '_[0-9]{8}$' ORDER BY 1
"""
_FIRST = "SELECT min(created_at) FROM orakul.tasks"
_LATEST = """
SELECT max(greatest(created_at, finished_at, updated_at))
FROM (SELECT * FROM orakul.tasks {where} ORDER BY created_at DESC LIMIT 200) AS latest
"""


class PostgresMoments:
    """Fulfils `tasks.moments.Moments`."""

    def __init__(self, connections: Connections | str) -> None:
        self.connections = Connections(connections) if isinstance(connections, str) else connections

    def moment(self, at: datetime, query: TaskQuery) -> Moment:
        """Return the room at a moment; the query's `status` is the status then."""
        column, _ = check(query)
        if column not in contract.SORTS:
            known = ", ".join(contract.SORTS)
            raise InvalidQueryError(f"cannot sort a moment by {query.sort!r}; sorts are {known}, with - in front")
        cursor = after(query)
        until = min(query.until or at + MOMENT_BIT, at + MOMENT_BIT)
        query = with_words(self.connections, msgspec.structs.replace(query, until=until))
        first = cursor is None
        living = Living([], partial=False)
        if first or query.status:
            # Of all queues: they are counted whatever the filter says of them.
            living = lived_at(self.connections, at, msgspec.structs.replace(query, queue=() if first else query.queue))
        mine = [each for each in living.tasks if not query.queue or each.queue in query.queue]
        tasks, following, cut = self._page(at, query, cursor, mine)
        items, unsure = self._as_they_were(tasks, at)
        counts = self._counts(at, query, mine, cut=living.partial) if first else None
        partial = living.partial or cut or unsure or any(count.partial for count in counts or ())
        queues = self._queues(at, living.tasks) if first else None
        return Moment(at=at, counts=counts, queues=queues, items=items, next=following, partial=partial)

    def range(self, *, owner: str | None = None) -> MomentRange:
        """Return the oldest and the newest moment."""
        where, values = ("", ()) if owner is None else (" WHERE user_id = %s", (key_text(owner),))

        def read(connection: psycopg.Connection) -> tuple[datetime | None, datetime | None, datetime]:
            first = connection.execute(_FIRST + where, values).fetchone()
            latest = connection.execute(_LATEST.format(where=where), values).fetchone()
            now = connection.execute("SELECT now()").fetchone()
            return (first[0] if first else None, latest[0] if latest else None, now[0] if now else datetime.now(UTC))

        oldest, newest, now = self.connections.run("read", read)
        kept = self._kept_since()
        if oldest is not None and kept is not None:
            oldest = max(oldest, kept)
        return MomentRange(oldest=oldest, newest=newest and max(newest, oldest or newest), now=now)

    def turns(self, since: datetime, until: datetime, query: TaskQuery) -> Turns:
        """Return what happened after `since`, until `until`."""
        return turns(self.connections, since, until, query)

    def _kept_since(self) -> datetime | None:
        """Return the first day of which events are kept: what was before it is only known as far as rows say it."""

        def read(connection: psycopg.Connection) -> str | None:
            for (part,) in connection.execute(_FIRST_DAYS).fetchall():
                if connection.execute(f"SELECT 1 FROM {SCHEMA}.{part} LIMIT 1").fetchone():  # noqa: S608 (a name of the catalogue's)
                    return str(part[-8:])
            return None

        day = self.connections.run("read", read)
        return None if day is None else datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)

    def _page(
        self, at: datetime, query: TaskQuery, cursor: Cursor | None, living: Sequence[Lived]
    ) -> tuple[list[Task], str | None, bool]:
        """Return the rows of a page, as they are now; the cursor after it; and whether time ran out."""
        wanted = set(query.status)
        found: list[Task] = []
        cut = False
        if not wanted:
            found, cut = self._rows(query, cursor)
        elif ended := wanted & FINAL:
            found, cut = self._rows(_ended(query, at, ended), cursor)
        if wanted:
            found += self._rows_of(query, cursor, [each for each in living if each.status in wanted])
        columns = SORTS[query.sort.removeprefix("-")]
        unique = {task.task_id: task for task in found}
        tasks = sorted(unique.values(), key=attrgetter(*columns), reverse=query.sort.startswith("-"))
        page = tasks[: query.limit]
        more = len(tasks) > query.limit or (cut and query.sort == "-created_at" and page)
        return page, next_cursor(query.sort, page[-1]) if more else None, cut

    def _rows(self, query: TaskQuery, cursor: Cursor | None) -> tuple[list[Task], bool]:
        for milliseconds, asked, narrowed in tries(query, _PAGE_TIMES, cursor):
            statement = page_statement(asked, cursor, missing=False, limit=query.limit + 1)
            try:
                return [task_from(row) for row in rows_of(self.connections, statement, milliseconds)], narrowed
            except errors.QueryCanceled:
                continue
        return [], True

    def _rows_of(self, query: TaskQuery, cursor: Cursor | None, living: Sequence[Lived]) -> list[Task]:
        """Return the rows of so many of those that lived then as come next."""
        columns = SORTS[query.sort.removeprefix("-")]
        down = query.sort.startswith("-")
        keyed = sorted(((attrgetter(*columns)(each), each.task_id) for each in living), reverse=down)
        if cursor is not None:
            place = _place(cursor, columns)
            keyed = [pair for pair in keyed if (pair[0] < place if down else pair[0] > place)]
        ids = [task_id for _, task_id in keyed[: query.limit + 1]]
        if not ids:
            return []
        return [task_from(row) for row in rows_of(self.connections, Statement(TASKS_BY_ID, [ids]), None)]

    def _as_they_were(self, tasks: Sequence[Task], at: datetime) -> tuple[list[Task], bool]:
        drafts, unsure = drafts_at(self.connections, [(task.task_id, task.created_at) for task in tasks], at)
        items = []
        for task in tasks:
            draft = drafts.get(task.task_id)
            was = None if draft is None else draft.task()
            if was is not None:
                error = was.error and msgspec.structs.replace(was.error, traceback=None)
                items.append(
                    msgspec.structs.replace(
                        was, created_at=task.created_at, arguments=None, result=None, error=error or None
                    )
                )
                continue
            unsure = unsure or task.updated_at > at
            items.append(task if task.updated_at <= at else _guessed(task, at))
        return items, unsure

    def _counts(self, at: datetime, query: TaskQuery, living: Sequence[Lived], *, cut: bool) -> list[Count]:
        lived = Counter(each.status for each in living)
        counts = []
        for status in Status:
            count, capped, partial = lived[status], False, cut
            if status in FINAL:
                ended = count_of(self.connections, _ended(query, at, {status}), status, _COUNT_TIMES)
                count, capped, partial = count + ended.count, ended.capped, partial or ended.partial
            capped = capped or count > MOST_COUNTED
            counts.append(Count(status=status, count=min(count, MOST_COUNTED), capped=capped, partial=partial))
        return counts

    def _queues(self, at: datetime, living: Sequence[Lived]) -> list[MomentQueue]:
        waited = Counter(each.queue_then for each in living if each.status is Status.PENDING)
        ran = Counter(each.queue_then for each in living if each.status is Status.IN_PROGRESS)
        pauses = {queue: said for queue, said in self._pauses(at).items() if said[0]}
        named = {queue for queue in (*waited, *ran, *pauses) if queue is not None}
        found = []
        for queue in sorted(named):
            said = pauses.get(queue) or pauses.get(ALL_QUEUES)
            found.append(
                MomentQueue(
                    queue=queue,
                    pending=waited[queue],
                    in_progress=ran[queue],
                    paused=said is not None,
                    paused_by=said[3] if said else None,
                    paused_at=said[1] if said else None,
                    reason=said[4] if said else None,
                )
            )
        return found

    def _pauses(self, at: datetime) -> dict[str, tuple[bool, datetime, str, str | None, str | None]]:
        """Return the last word on each queue's pause that had been said by then."""
        last = rows_of(self.connections, Statement(_PAUSES, []), None)
        said = [row for row in last if row[2] <= at]
        if len(said) < len(last):
            said += rows_of(self.connections, Statement(_PAUSES_BEFORE, [at, at]), None)
        found: dict[str, tuple[bool, datetime, str, str | None, str | None]] = {}
        for queue, paused, timestamp, event_id, author, reason in said:
            name = key_text(queue) or ALL_QUEUES
            if name not in found or found[name][1:3] < (timestamp, event_id):
                found[name] = (paused, timestamp, event_id, author, long_text(reason, 1_000))
        return found


def _ended(query: TaskQuery, at: datetime, statuses: set[Status]) -> Searched:
    """Return the question for tasks that had ended so by then, for good."""
    facts: dict[str, Any] = {name: getattr(query, name) for name in query.__struct_fields__}
    return Searched(**facts | {"ended_by": at, "status": sorted(statuses)})


def _guessed(task: Task, at: datetime) -> Task:
    """Return what is left to say of a task whose events of then are gone."""
    began = task.started_at is not None and task.started_at <= at
    return msgspec.structs.replace(
        task,
        status=Status.IN_PROGRESS if began else Status.PENDING,
        outcome=None,
        started_at=task.started_at if began else None,
        finished_at=None,
        progress=None,
        error=None,
    )


def _place(cursor: Cursor, columns: Sequence[str]) -> Any:
    values = [
        datetime.fromisoformat(value) if column == "created_at" and value else value
        for column, value in zip(columns, cursor.values, strict=True)
    ]
    return values[0] if len(values) == 1 else tuple(values)
