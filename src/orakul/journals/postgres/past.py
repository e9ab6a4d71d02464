"""What was: who lived at a moment, and what tasks were then, projected from their events up to it."""

# ruff: noqa: S608 (put together from constants and from the conditions made in `paging`; values are parameters)

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
from psycopg import errors

from orakul.journals.postgres.connection import SCHEMA, Connections
from orakul.journals.postgres.finding import Times, rows_of, tries
from orakul.journals.postgres.paging import Statement, conditions
from orakul.journals.postgres.rows import EVENT_WIDTH, event_from
from orakul.tasks.projection import Draft, in_utc, touches
from orakul.tasks.reader import TaskQuery
from orakul.tasks.status import Status

__all__ = ["END", "MOMENT_BIT", "Lived", "Living", "drafts_at", "lived_at"]

END = "\U0010ffff"
"""An event's id after all others: `(timestamp, END)` is the place after all events of that time."""

MOMENT_BIT = timedelta(microseconds=1)
MOST_LIVING = 20_000
_LIVING_TIMES: Times = ((700, None), (250, timedelta(hours=1)), (100, timedelta(minutes=1)))
_MOST_EVENTS = 50_000
_REPORTS = "('task.pending', 'task.in_progress', 'task.completed', 'task.failed', 'task.cancelled')"
# As in migration 0005: how long at most the tasks of each class lived; of the last one, any time.
_LIVES = ("1 s", "4 s", "15 s", "1 min", "4 min", "15 min", "1 h", "4 h", "24 h", "96 h", "360 h", None)


def _whole(name: str, least: int, most: int) -> str:
    """Return a whole number of an event's data within bounds, the least where it is none: as `attempt_and_run`."""
    return (
        f"CASE WHEN json_typeof(e.data -> '{name}') = 'number' AND e.data ->> '{name}' ~ '^-?[0-9]+$'"
        f" THEN least(greatest((e.data ->> '{name}')::numeric, {least}), {most})::bigint ELSE {least} END"
    )


_ERA = f"(({_whole('attempt', 1, (1 << 18) - 1)}) << 44) | ({_whole('run', 0, (1 << 44) - 1)})"
_RANK = """
CASE e.event_type WHEN 'task.pending' THEN 0 WHEN 'task.in_progress' THEN 2 WHEN 'task.progress' THEN 0
     ELSE CASE e.data ->> 'stage' WHEN 'before_start' THEN 1 WHEN 'lost' THEN 3
          ELSE CASE e.event_type WHEN 'task.failed' THEN 4 WHEN 'task.completed' THEN 5 ELSE 6 END END END
"""
_QUEUE = (
    "CASE WHEN length(e.data ->> 'queue') > 300 THEN left(e.data ->> 'queue', 299) || '…' ELSE e.data ->> 'queue' END"
)
# The projection's rule for status and queue alone (see `tasks.projection`).
_THEN = f"""
SELECT (array_agg(status ORDER BY CASE WHEN silent THEN -1 ELSE era END DESC, rank DESC, timestamp DESC,
                                  event_id DESC))[1] AS status,
       (array_agg(queue ORDER BY era DESC, queue COLLATE "C" DESC) FILTER (WHERE queue <> ''))[1] AS queue
FROM (
    SELECT e.timestamp, e.event_id, e.event_type = 'task.progress' AS silent, {_ERA} AS era, {_RANK} AS rank,
           CASE e.event_type WHEN 'task.progress' THEN 'in_progress' ELSE substr(e.event_type, 6) END AS status,
           {_QUEUE} AS queue
    FROM {SCHEMA}.events e
    WHERE e.task_id = a.task_id AND e.timestamp >= a.created_at AND e.timestamp <= %s
      AND (e.event_type IN {_REPORTS} OR e.event_type = 'task.progress')
) AS told
"""
_LIVING = "task_id, created_at, name, kind, queue, status, started_at, updated_at"
# What is long is of no use in a list; attempt, stage and the like are kept.
_EVENT = (
    "e.seq, e.timestamp, e.event_id, e.event_type, e.task_id, e.user_id, e.user_is_number, e.trace_id, e.source,"
    " CASE WHEN octet_length(e.data::text) > 4000 THEN (e.data::jsonb - 'arguments' - 'result')::json ELSE e.data END,"
    " NULL"
)
_EVENTS_OF = f"""
SELECT e.* FROM unnest(%s::text[], %s::timestamptz[]) AS t (task_id, created_at)
CROSS JOIN LATERAL (
    (SELECT {_EVENT} FROM {SCHEMA}.events e
     WHERE e.task_id = t.task_id AND e.timestamp >= t.created_at AND e.timestamp <= %s
       AND (e.timestamp, e.event_id) <= (%s, %s) AND e.event_type IN {_REPORTS} ORDER BY e.seq LIMIT 1000)
    UNION ALL
    (SELECT {_EVENT} FROM {SCHEMA}.events e
     WHERE e.task_id = t.task_id AND e.timestamp >= t.created_at AND e.timestamp <= %s
       AND (e.timestamp, e.event_id) <= (%s, %s) AND e.event_type = 'task.progress' ORDER BY e.seq DESC LIMIT 100)
) AS e LIMIT {_MOST_EVENTS}
"""


class Lived(NamedTuple):
    """A task that was there at a moment and had not ended for good: what it was then."""

    task_id: str
    created_at: datetime
    name: str
    kind: str
    queue: str | None
    """Its queue as it is known now: what is filtered by."""
    status: Status
    queue_then: str | None


class Living(NamedTuple):
    """All of them; `partial`: not all, or not surely what they were."""

    tasks: list[Lived]
    partial: bool


def lived_at(connections: Connections, at: datetime, query: TaskQuery) -> Living:
    """Return the tasks that lived at a moment, of those that the query's filters leave, the newest first.

    All others that were there had ended by then, and are what their rows say.
    """
    query = msgspec.structs.replace(query, status=(), until=min(query.until or at + MOMENT_BIT, at + MOMENT_BIT))
    for milliseconds, asked, narrowed in tries(query, _LIVING_TIMES):
        try:
            rows = rows_of(connections, _living_statement(asked, at), milliseconds)
        except errors.QueryCanceled:
            continue
        partial = narrowed or len(rows) > MOST_LIVING
        tasks = []
        for task_id, created_at, name, kind, queue, status, started_at, updated_at, then, queue_then in rows:
            was = Status(then or _guess(status, started_at, updated_at, at))
            # One that one event tells of, of its end and its start, has none from before: it ran from the start on.
            told_at_its_end = created_at == started_at
            partial = partial or (then is None and updated_at > at and not told_at_its_end)
            tasks.append(Lived(task_id, created_at.astimezone(UTC), name, kind, queue, was, queue_then or queue))
        return Living(tasks[:MOST_LIVING], partial)
    return Living([], partial=True)


def drafts_at(
    connections: Connections, tasks: Sequence[tuple[str, datetime]], at: datetime, event_id: str = END
) -> tuple[dict[str, Draft], bool]:
    """Return what the events of these tasks (and when each was created), up to a place in time, come to.

    A task whose events are gone has no draft. The second value is whether there were too many events to hear.
    """
    if not tasks:
        return {}, False
    place = (at, at, event_id)
    values = [[task_id for task_id, _ in tasks], [created for _, created in tasks], *place, *place]
    try:
        rows = rows_of(connections, Statement(_EVENTS_OF, values), 1_500)
    except errors.QueryCanceled:
        return {}, True
    drafts: dict[str, Draft] = {}
    for row in rows:
        event = in_utc(event_from(row[:EVENT_WIDTH]))
        if event.task_id is not None and touches(event):
            drafts.setdefault(event.task_id, Draft(event.task_id)).hear(event)
    return drafts, len(rows) >= _MOST_EVENTS


def _guess(status: str, started_at: datetime | None, updated_at: datetime, at: datetime) -> str:
    """Return what a task was whose events are gone."""
    if updated_at <= at:
        return status
    return "in_progress" if started_at is not None and started_at <= at else "pending"


def _living_statement(query: TaskQuery, at: datetime) -> Statement:
    where, given = conditions(query)
    limit = MOST_LIVING + 1
    branches, values = [], []
    for status in ("pending", "in_progress"):
        branches.append(f"status = '{status}' AND {where}")
        values += given
    for number, longest in enumerate(_LIVES):
        branch = f"finished_at IS NOT NULL AND {SCHEMA}.life(created_at, finished_at) = {number} AND finished_at > %s"
        values.append(at)
        if longest is not None:
            branch += f" AND created_at > %s::timestamptz - interval '{longest}'"
            values.append(at)
        branches.append(f"{branch} AND {where}")
        values += given
    union = " UNION ALL ".join(
        f"(SELECT {_LIVING} FROM {SCHEMA}.tasks WHERE {branch} ORDER BY created_at DESC LIMIT {limit})"
        for branch in branches
    )
    text = f"""
    WITH alive AS MATERIALIZED (SELECT * FROM ({union}) AS each_life ORDER BY created_at DESC LIMIT {limit})
    SELECT a.*, was.status, was.queue FROM alive a CROSS JOIN LATERAL ({_THEN}) AS was
    """
    return Statement(text, [*values, at])
