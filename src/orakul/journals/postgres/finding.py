"""Answers that keep to a time: lists, counts and groups of errors, of the latest tasks only where time runs out.

A filter that hardly anything fits may have to look at everything. It gets its time, then the same is asked of the last
day, then of the last hour: the answer says that it is partial.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import msgspec
import psycopg
from psycopg import errors

from orakul.errors import InvalidQueryError
from orakul.journals.postgres import statements as sql
from orakul.journals.postgres.bounded import (
    TREND_STEPS,
    count_statement,
    failures_statement,
    groups_statement,
    trends_statement,
)
from orakul.journals.postgres.connection import Connections
from orakul.journals.postgres.paging import (
    Cursor,
    Searched,
    Statement,
    after,
    check,
    cursor_of,
    page_statement,
    sample_statement,
    search_statement,
)
from orakul.journals.postgres.rows import task_from
from orakul.tasks.reader import Page, TaskQuery
from orakul.tasks.room import Count, Counts, ErrorGroup, ErrorGroups
from orakul.tasks.status import Status
from orakul.tasks.storable import short_text
from orakul.tasks.task import Task

__all__ = [
    "MOST_COUNTED",
    "Times",
    "count_of",
    "find",
    "find_counts",
    "find_errors",
    "next_cursor",
    "rows_of",
    "tries",
    "with_words",
]

MOST_COUNTED = 10_000
_MOST_FAILURES = 20_000
Times = Sequence[tuple[int, timedelta | None]]
# What the whole gets, and what the last day and the last hour get after it, in milliseconds.
_PAGE_TIMES = ((300, None), (300, timedelta(days=1)), (200, timedelta(hours=1)))
_COUNT_TIMES = ((300, None), (60, timedelta(hours=1)))
_ALL_COUNTS_TIME, _LEAST_TIME = 500, 30
_GROUP_TIMES = ((300, None),)
_FAILURE_TIMES = ((300, None), (200, timedelta(hours=1)))
_TREND_TIME = 200
_WORDS = "SELECT string_agg(quote_literal(lexeme) || ':*', ' & ') FROM unnest(to_tsvector('simple', %s))"
_MOST_RARE = 2_000
_SAMPLE, _SAMPLE_TIME = 10_000, 100
_SEARCH_TIME = 300
_BY_INDEX_OF_WORDS = "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off"


def find(connections: Connections, query: TaskQuery) -> Page[Task]:
    """Return one page of tasks."""
    check(query)
    cursor = after(query)
    if not _filtered(query):
        return _page(connections, query, cursor, None)
    query = with_words(connections, query)
    for milliseconds, asked, narrowed in tries(query, _PAGE_TIMES, cursor):
        try:
            page = _page(connections, asked, cursor, milliseconds)
        except errors.QueryCanceled:
            continue
        if not narrowed:
            return page
        following = page.next
        if following is None and page.items and query.sort == "-created_at":
            following = next_cursor(query.sort, page.items[-1])  # older ones were not looked at
        return msgspec.structs.replace(page, next=following, partial=True)
    return Page(items=[], partial=True)


def find_counts(connections: Connections, query: TaskQuery) -> Counts:
    """Return how many tasks of each status the other filters leave.

    The completed are counted as all but the others where those are known: all of a name, a queue or an owner are
    counted in an index alone, while to count the completed each of their rows must be looked at.
    """
    query = with_words(connections, msgspec.structs.replace(query, status=(), cursor=None))
    end = time.monotonic() + _ALL_COUNTS_TIME / 1000
    counts: dict[Status, Count] = {}
    for status in sorted(Status, key=Status.COMPLETED.__eq__):
        left = max(_LEAST_TIME, round((end - time.monotonic()) * 1000))
        times = tuple((min(most, left), window) for most, window in _COUNT_TIMES)
        completed = None
        if status is Status.COMPLETED and not any(count.partial or count.capped for count in counts.values()):
            completed = _completed(connections, query, sum(count.count for count in counts.values()), times[0][0])
        counts[status] = completed or count_of(connections, query, status, times)
    return Counts(items=[counts[status] for status in Status], partial=any(each.partial for each in counts.values()))


def _completed(connections: Connections, query: TaskQuery, others: int, milliseconds: int) -> Count | None:
    """Return how many have completed, by how many there are of any status; None where that takes too long."""
    try:
        rows = rows_of(connections, count_statement(query, None, MOST_COUNTED + 1 + others), milliseconds)
    except errors.QueryCanceled:
        return None
    count = max(0, rows[0][0] - others)
    return Count(status=Status.COMPLETED, count=min(count, MOST_COUNTED), capped=count > MOST_COUNTED, partial=False)


def find_errors(connections: Connections, query: TaskQuery) -> ErrorGroups:
    """Return the failures in groups: group by group, or where that takes too long, out of the latest 20,000."""
    query = with_words(connections, msgspec.structs.replace(query, status=(), cursor=None))
    if query.owner is None and not query.user:
        for milliseconds, asked, _ in tries(query, _GROUP_TIMES):
            try:
                rows = rows_of(connections, groups_statement(asked, MOST_COUNTED + 1), milliseconds)
            except errors.QueryCanceled:
                break
            return _with_trends(connections, query, ErrorGroups(items=_groups(rows, query.limit), partial=False))
    for milliseconds, asked, narrowed in tries(query, _FAILURE_TIMES):
        try:
            rows = rows_of(connections, failures_statement(asked, _MOST_FAILURES), milliseconds)
        except errors.QueryCanceled:
            continue
        partial = narrowed or sum(row[4] for row in rows) >= _MOST_FAILURES
        return _with_trends(connections, asked, ErrorGroups(items=_groups(rows, query.limit), partial=partial))
    return ErrorGroups(items=[], partial=True)


def _with_trends(connections: Connections, query: TaskQuery, found: ErrorGroups) -> ErrorGroups:
    """Return the groups with how they went over time, where there is time to count it."""
    if not found.items:
        return found
    until = query.until or datetime.now(UTC)
    since = query.since or min(group.first_seen for group in found.items)
    until = max(until, since + timedelta(seconds=1))
    found = msgspec.structs.replace(found, since=since, until=until)
    keys = {_signed(group.key): group.key for group in found.items}
    try:
        rows = rows_of(connections, trends_statement(query, list(keys), since, until), _TREND_TIME)
    except errors.QueryCanceled:
        return found
    trends = {key: [0] * TREND_STEPS for key in keys.values()}
    for key, step, count in rows:
        trends[keys[key]][min(max(step, 1), TREND_STEPS) - 1] += count
    items = [msgspec.structs.replace(group, trend=trends[group.key]) for group in found.items]
    return msgspec.structs.replace(found, items=items)


def _signed(key: str) -> int:
    number = int(key, 16)
    return number - (1 << 64) if number >> 63 else number


def _page(connections: Connections, query: TaskQuery, cursor: Cursor | None, milliseconds: int | None) -> Page[Task]:
    column, _ = check(query)
    rows: list[tuple[Any, ...]] = []
    wanted = query.limit + 1
    in_missing = cursor is not None and cursor.values[0] is None
    if not in_missing:
        rows = rows_of(connections, page_statement(query, cursor, missing=False, limit=wanted), milliseconds)
    if len(rows) < wanted and column in {"started_at", "finished_at", "user_id", "queue"}:
        start = cursor if in_missing else None
        statement = page_statement(query, start, missing=True, limit=wanted - len(rows))
        rows += rows_of(connections, statement, milliseconds)
    tasks = [task_from(row) for row in rows[: query.limit]]
    return Page(items=tasks, next=next_cursor(query.sort, tasks[-1]) if len(rows) > query.limit else None)


def next_cursor(sort: str, last: Task) -> str:
    """Return the cursor of the page after this task."""
    return cursor_of(sort, {name: getattr(last, name) for name in sql.SORTED})


def count_of(connections: Connections, query: TaskQuery, status: Status, times: Times = _COUNT_TIMES) -> Count:
    """Return how many tasks have a status, of the latest only where the time runs out."""
    for milliseconds, asked, narrowed in tries(query, times):
        try:
            rows = rows_of(connections, count_statement(asked, status, MOST_COUNTED + 1), milliseconds)
        except errors.QueryCanceled:
            continue
        count = rows[0][0]
        return Count(status=status, count=min(count, MOST_COUNTED), capped=count > MOST_COUNTED, partial=narrowed)
    return Count(status=status, count=0, capped=False, partial=True)


def _groups(rows: Sequence[tuple[Any, ...]], limit: int) -> list[ErrorGroup]:
    groups = [
        ErrorGroup(
            key=f"{key & (1 << 64) - 1:016x}",
            type=kind,
            place=place,
            message=None if message is None else message[:2_000],
            count=min(count, MOST_COUNTED),
            capped=count > MOST_COUNTED,
            first_seen=first_seen.astimezone(UTC),
            last_seen=last_seen.astimezone(UTC),
            names=sorted(names),
            task_id=task_id,
        )
        for key, kind, place, message, count, first_seen, last_seen, names, task_id in rows
        if count
    ]
    return sorted(groups, key=lambda group: group.last_seen, reverse=True)[:limit]


def _filtered(query: TaskQuery) -> bool:
    # An owner's tasks are read in order by their creation alone; for another order all of them are sorted.
    owner = query.owner if query.sort.removeprefix("-") == "created_at" else None
    plain = TaskQuery(sort=query.sort, cursor=query.cursor, limit=query.limit, owner=owner)
    return query != plain


def with_words(connections: Connections, query: TaskQuery) -> TaskQuery:
    """Return the query with the words of its text as what PostgreSQL searches by: all of them, each a beginning."""
    if query.text is None:
        return query
    words = rows_of(connections, Statement(_WORDS, [short_text(query.text)]), None)[0][0]
    if words is None:
        raise InvalidQueryError("`text` has no word in it that could be searched for")
    query = msgspec.structs.replace(query, text=words)
    # Of rare words all tasks are taken from the words' index; of frequent ones the tasks are looked through, the newest
    # first. PostgreSQL cannot know which a beginning of a word is; and it cannot be stopped while it collects from the
    # index what ten million tasks have. So what one in a hundred of the newest has is frequent.
    try:
        if rows_of(connections, sample_statement(query, _SAMPLE), _SAMPLE_TIME)[0][0] >= _SAMPLE // 100:
            return query
        rows = rows_of(connections, search_statement(query, _MOST_RARE + 1), _SEARCH_TIME, _BY_INDEX_OF_WORDS)
    except errors.QueryCanceled:
        return query
    if len(rows) > _MOST_RARE:
        return query
    facts = {name: getattr(query, name) for name in TaskQuery.__struct_fields__}
    return Searched(**facts, task_ids=[row[0] for row in rows])


def tries(query: TaskQuery, times: Times, cursor: Cursor | None = None) -> Iterator[tuple[int, TaskQuery, bool]]:
    """Yield how long to try, what, and whether it is narrowed to the latest of what was asked for."""
    newest = query.until or datetime.now(UTC)
    if cursor is not None and query.sort == "-created_at" and cursor.values[0] is not None:
        newest = min(newest, datetime.fromisoformat(cursor.values[0]))
    for milliseconds, window in times:
        if window is None:
            yield milliseconds, query, False
        elif query.since is None or query.since < newest - window:
            yield milliseconds, msgspec.structs.replace(query, since=newest - window), True


def rows_of(
    connections: Connections, statement: Statement, milliseconds: int | None, settings: LiteralString = "SELECT"
) -> list[tuple[Any, ...]]:
    """Run a statement; where a time is given, QueryCanceled is raised when it is over."""

    def read(connection: psycopg.Connection) -> list[tuple[Any, ...]] | errors.QueryCanceled:
        if milliseconds is None:
            return connection.execute(statement.text, statement.values or None).fetchall()
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL statement_timeout = {milliseconds}; {settings}")
                return connection.execute(statement.text, statement.values or None).fetchall()
        except errors.QueryCanceled as late:
            return late  # not an outage: the caller asks for less

    found = connections.run("read", read)
    if isinstance(found, errors.QueryCanceled):
        raise found
    return found
