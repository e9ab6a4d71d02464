"""What happened between two moments, in order: each change of a task's status, each pause.

Events come in nearly in the order of time, so a stretch of it is read by a summary of blocks (migration 0005), in
windows that grow until a page is full: a busy stretch is never read whole for its first page. What a task was before is
projected from its own earlier events.
"""

# ruff: noqa: S608 (put together from constants and from the conditions made in `paging`; values are parameters)

import base64
import binascii
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from psycopg import errors

from orakul.errors import InvalidQueryError
from orakul.events import Event
from orakul.journals.postgres.connection import SCHEMA, Connections
from orakul.journals.postgres.finding import rows_of, with_words
from orakul.journals.postgres.paging import Statement, conditions
from orakul.journals.postgres.past import END, MOMENT_BIT, drafts_at
from orakul.journals.postgres.rows import EVENT_COLUMNS, EVENT_WIDTH, event_from
from orakul.tasks.moments import Turn, Turns
from orakul.tasks.projection import Draft, in_utc
from orakul.tasks.reader import TaskQuery
from orakul.tasks.status import EVENT_RANKS, Status
from orakul.tasks.storable import key_text, short_text

__all__ = ["turns"]

_REPORTS = ", ".join(f"'{name}'" for name in EVENT_RANKS)
_MOST = 1_000
_MOST_TASKS = 20_000
_SECONDS = 1.2
_WINDOW = timedelta(seconds=1)
_BETWEEN = "e.timestamp >= %s AND e.timestamp <= %s AND (e.timestamp, e.event_id) > (%s, %s)"
# Progress says something of the status only where nothing was said before it.
_REPORTED = f"(e.event_type IN ({_REPORTS}) OR (e.event_type = 'task.progress' AND e.timestamp = t.created_at))"
_COLUMNS = ", ".join(f"e.{column}" for column in EVENT_COLUMNS.split(", "))
_OF_ALL = f"""
SELECT {_COLUMNS}, t.created_at FROM {SCHEMA}.events e JOIN {SCHEMA}.tasks t ON t.task_id = e.task_id
WHERE {_BETWEEN} AND (e.event_type IN ({_REPORTS}) OR e.event_type = 'task.progress') AND {_REPORTED}
ORDER BY e.timestamp, e.event_id LIMIT %s
"""
_OF_SOME = f"""
WITH chosen AS MATERIALIZED (
    SELECT task_id, created_at FROM {SCHEMA}.tasks
    WHERE created_at <= %s AND (finished_at >= %s OR finished_at IS NULL) AND {{where}} LIMIT {_MOST_TASKS}
)
SELECT {_COLUMNS}, t.created_at FROM chosen t JOIN {SCHEMA}.events e ON e.task_id = t.task_id
WHERE {_BETWEEN} AND {_REPORTED}
ORDER BY e.timestamp, e.event_id LIMIT %s
"""
_PAUSES = f"""
SELECT {_COLUMNS}, e.timestamp FROM {SCHEMA}.events e
WHERE {_BETWEEN} AND e.event_type IN ('queue.paused', 'queue.resumed') ORDER BY e.timestamp, e.event_id LIMIT %s
"""

Place = tuple[datetime, str]
Found = list[tuple[Any, ...]]


def turns(connections: Connections, since: datetime, until: datetime, query: TaskQuery) -> Turns:
    """Return what happened after `since`, until `until`."""
    if until <= since:
        raise InvalidQueryError("`from` must be before `to`")
    if not 1 <= query.limit <= _MOST:
        raise InvalidQueryError(f"limit is {query.limit}; it goes from 1 to {_MOST}")
    place = _place(query.cursor) if query.cursor else (since, END)
    query = with_words(connections, msgspec.structs.replace(query, status=(), cursor=None))
    plain = TaskQuery(sort=query.sort, limit=query.limit)
    read = _of_all if query == plain else _of_some
    rows, reached, partial = read(connections, place, until, query)
    rows += rows_of(connections, Statement(_PAUSES, _between(place, reached, query.limit + 1)), None)
    rows.sort(key=lambda row: (row[1], row[2]))
    page = rows[: query.limit]
    following: Place | None = None
    if len(rows) > query.limit:
        following = (page[-1][1], page[-1][2])
    elif reached < until:
        following = (reached, END)
    items = _played(connections, place, page)
    return Turns(items=items, next=None if following is None else _cursor(following), partial=partial)


def _between(place: Place, until: datetime, limit: int) -> list[Any]:
    return [place[0], until, *place, limit]


def _of_all(connections: Connections, place: Place, until: datetime, query: TaskQuery) -> tuple[Found, datetime, bool]:
    """Return a page of events and how far in time it reaches."""
    rows: Found = []
    window, reached = _WINDOW, place[0]
    begin = time.monotonic()
    while reached < until and len(rows) <= query.limit and (left := _SECONDS - (time.monotonic() - begin)) > 0:
        end = min(reached + window, until)
        start = place if reached == place[0] else (reached, END)
        statement = Statement(_OF_ALL, _between(start, end, query.limit + 1 - len(rows)))
        try:
            rows += rows_of(connections, statement, max(50, round(left * 1000)))
        except errors.QueryCanceled:
            window /= 8
            if window < MOMENT_BIT * 1000:
                break
            continue
        reached = end
        window *= 4
    if reached == place[0]:
        return [], until, True  # so much happened at once that none of it can be told
    return rows, reached, False


def _of_some(connections: Connections, place: Place, until: datetime, query: TaskQuery) -> tuple[Found, datetime, bool]:
    """Return a page of the events of tasks that a filter leaves, and how far in time it reaches."""
    where, given = conditions(query)
    text = _OF_SOME.format(where=where)
    for end in (until, place[0] + timedelta(hours=1), place[0] + timedelta(minutes=1)):
        reached = min(end, until)
        values = [reached, place[0], *given, *_between(place, reached, query.limit + 1)]
        try:
            return rows_of(connections, Statement(text, values), 600), reached, False
        except errors.QueryCanceled:
            continue
    return [], until, True


def _played(connections: Connections, place: Place, rows: Found) -> list[Turn]:
    """Return what of these events changed something, knowing what was before them."""
    known = {row[4]: row[EVENT_WIDTH] for row in rows if row[3].startswith("task.")}
    earlier = [(task_id, created) for task_id, created in known.items() if created <= place[0]]
    drafts, _ = drafts_at(connections, earlier, *place)
    items = []
    for row in rows:
        event = in_utc(event_from(row[:EVENT_WIDTH]))
        if event.task_id is None or not event.event_type.startswith("task."):
            items.append(_pause(row[0], event))
            continue
        draft = drafts.setdefault(event.task_id, Draft(event.task_id))
        before = None if draft.state is None else draft.state.status
        draft.hear(event)
        if draft.state is not None and draft.state.status != before:
            items.append(_turn(row[0], event, draft, before))
    return items


def _turn(seq: int, event: Event, draft: Draft, before: str | None) -> Turn:
    task = draft.task()
    assert task is not None  # noqa: S101 (a draft that has heard an event is a task)
    return Turn(
        at=event.timestamp,
        seq=seq,
        task_id=task.task_id,
        status=task.status,
        previous=None if before is None else Status(before),
        attempt=task.attempt,
        name=task.name,
        kind=task.kind,
        queue=task.queue,
        user_id=task.user_id,
        author=short_text(event.data.get("author")),
    )


def _pause(seq: int, event: Event) -> Turn:
    return Turn(
        at=event.timestamp,
        seq=seq,
        queue=key_text(event.data.get("queue")) or "*",
        paused=event.event_type == "queue.paused",
        author=key_text(event.user_id),
    )


def _cursor(place: Place) -> str:
    raw = msgspec.json.encode([place[0].astimezone(UTC).isoformat(), place[1]])
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _place(cursor: str) -> Place:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        moment, event_id = msgspec.json.decode(raw, type=tuple[str, str])
        at = datetime.fromisoformat(moment)
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise InvalidQueryError("the cursor is not one of ours; begin without it") from error
    if at.tzinfo is None or "\0" in event_id:
        raise InvalidQueryError("the cursor is not one of ours; begin without it")
    return at, event_id
