"""Charts and insights from the roll-ups, and the roll-ups' own upkeep.

The append notes what has changed of what is counted (one short row, no arithmetic under the journal's lock); `fold`
adds the notes up, from anywhere, every few seconds. An ordinary user's figures are counted from their own tasks, up
to a bound: roll-ups by owner would be as many as the tasks.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import errors

from orakul.errors import InvalidQueryError
from orakul.journals.postgres.connection import SCHEMA, Connections
from orakul.journals.postgres.finding import rows_of
from orakul.journals.postgres.histograms import SLOTS, Tally
from orakul.journals.postgres.paging import Statement, upper_bound
from orakul.tasks.room import Chart, ChartPoint, QueueFigures
from orakul.tasks.storable import key_text, short_text

__all__ = ["PostgresRollups", "sums_of_owner"]

_CHUNK = 5_000
_DAY = timedelta(days=1)
# How long each width is kept; days are kept for good.
_KEPT = {60: 8 * _DAY, 600: 32 * _DAY, 3600: 400 * _DAY}
# Up to which length of a chart which steps are drawn, and from which width they are made.
_STEPS = (
    (timedelta(hours=2), 60, 60),
    (timedelta(hours=6), 300, 60),
    (timedelta(hours=36), 600, 600),
    (timedelta(days=8), 3600, 3600),
    (timedelta(days=16), 7200, 3600),
    (timedelta(days=32), 14400, 3600),
    (timedelta(days=800), 86400, 86400),
)
# How long an owner's latest so many tasks are looked at, in milliseconds; then the fewer.
_OF_OWNER_TIMES = ((300, 20_000), (400, 2_000), (400, 200))
_SUMS = "sum(n)::bigint, sum(timed)::bigint, sum(micros)::double precision, ARRAY[{}]::bigint[]".format(
    ", ".join(f"sum(histogram[{slot}])" for slot in range(1, SLOTS + 1))
)
# An owner's latest tasks as points in time, counted by slot. Put together from constants; values are parameters.
_OF_OWNER = """
SELECT date_bin(make_interval(secs => %(step)s), p.moment, %(origin)s), t.name, t.queue, p.point,
       width_bucket(p.milliseconds, {schema}.durations()) AS slot, count(*), sum(p.milliseconds) * 1000
FROM (
    SELECT * FROM {schema}.tasks WHERE user_id = %(owner)s AND created_at >= %(from)s AND created_at < %(to)s{filters}
    ORDER BY created_at DESC LIMIT {most}
) AS t CROSS JOIN LATERAL (VALUES
    ('pending', created_at, NULL::double precision),
    ('in_progress', started_at, CASE WHEN attempt = 1 AND run = 0
        THEN greatest(extract(epoch FROM started_at - greatest(created_at, eta)) * 1000, 0) END),
    (status, finished_at, CASE WHEN started_at IS NOT NULL AND finished_at IS NOT NULL
        THEN greatest(extract(epoch FROM finished_at - started_at) * 1000, 0) END)
) AS p (point, moment, milliseconds)
WHERE p.moment >= %(since)s AND p.moment < %(to)s
GROUP BY 1, 2, 3, 4, 5
"""


class Sum(NamedTuple):
    """What one step, name, queue and status come to."""

    at: datetime
    name: str | None
    queue: str | None
    status: str
    tally: Tally


class PostgresRollups:
    """Keeps the roll-ups up to date, and reads them."""

    def __init__(self, connections: Connections | str) -> None:
        self.connections = Connections(connections) if isinstance(connections, str) else connections

    def fold(self) -> int:
        """Add up all that appends have noted so far; return how many notes that were.

        In small transactions, outside the journal's lock. Where somebody else is at it, nothing is done.
        """
        statement = f"SELECT {SCHEMA}.fold({_CHUNK})"
        done = 0
        while folded := self.connections.run("write", lambda connection: connection.execute(statement).fetchone()):
            done += folded[0]
            if folded[0] < _CHUNK:
                break
        return done

    def forget(self) -> None:
        """Drop the fine steps of long ago; the coarser ones stay."""
        for width, kept in _KEPT.items():
            statement = f"DELETE FROM {SCHEMA}.rollups WHERE width = {width} AND bucket < %s"  # noqa: S608 (constants)
            values = (datetime.now(UTC) - kept,)
            self.connections.run("write", partial(_execute, statement=statement, values=values))

    def chart(
        self,
        since: datetime,
        until: datetime,
        *,
        name: str | None = None,
        queue: Sequence[str] = (),
        kind: Sequence[str] = (),
        owner: str | None = None,
    ) -> Chart:
        """Return what happened between two times, in steps that suit their distance and age."""
        step, width = _step(since, until)
        first = _floor(since, step)
        last = _floor(until - timedelta(microseconds=1), step) + timedelta(seconds=step)
        cut = False
        if owner is None:
            sums = self._sums((width, step), (first, last), name, queue, kind)
        else:
            sums, cut = sums_of_owner(self.connections, owner, step, first, last, name=name, queue=queue, kind=kind)
        steps: dict[datetime, dict[str, Tally]] = {}
        total: dict[str, Tally] = {}
        for found in sums:
            for tallies in (steps.setdefault(found.at, {}), total):
                tallies.setdefault(found.status, Tally()).join(found.tally)
        moments = [
            first + timedelta(seconds=step) * number for number in range(round((last - first).total_seconds() / step))
        ]
        return Chart(
            since=first,
            until=last,
            step=step,
            points=[_point(moment, steps.get(moment, {})) for moment in moments],
            total=_point(first, total),
            partial=cut,
        )

    def rates(self, queues: Sequence[str]) -> dict[str, QueueFigures]:
        """Return the oldest waiting task of each queue, and its rates of the last five minutes."""
        statement = f"""
        SELECT q.queue,
               (SELECT created_at FROM (
                    SELECT created_at, eta FROM {SCHEMA}.tasks t WHERE t.queue = q.queue AND t.status = 'pending'
                    ORDER BY created_at LIMIT 1000) AS oldest WHERE eta IS NULL OR eta <= now()
                ORDER BY created_at LIMIT 1),
               coalesce(sum(r.n) FILTER (WHERE r.status = 'pending'), 0)::double precision / 5,
               coalesce(sum(r.n) FILTER (WHERE r.status = 'in_progress'), 0)::double precision / 5
        FROM unnest(%s::text[]) AS q (queue)
        LEFT JOIN {SCHEMA}.rollups r ON r.width = 60 AND r.name IS NULL AND r.queue = q.queue
            AND r.bucket > now() - interval '6 minutes' AND r.bucket <= now() - interval '1 minute'
        GROUP BY q.queue
        """  # noqa: S608 (constants)
        rows = self._rows(statement, (list(queues),))
        return {row[0]: QueueFigures(oldest_waiting_at=row[1], rate_in=row[2], rate_out=row[3]) for row in rows}

    def by_name(self, since: datetime, until: datetime, split: datetime) -> list[Sum]:
        """Return the sums of each name and status in whole days, before the split and after it."""
        statement = f"""
        SELECT CASE WHEN bucket < %s THEN %s ELSE %s END::timestamptz, name, NULL, status, {_SUMS} FROM {SCHEMA}.rollups
        WHERE width = 86400 AND name IS NOT NULL AND bucket >= %s AND bucket < %s GROUP BY 1, 2, 4
        """  # noqa: S608 (constants)
        return self._read(statement, (split, since, split, since, until))

    def by_queue(self, since: datetime, until: datetime) -> list[Sum]:
        """Return the sums of each queue and status in whole days."""
        statement = f"""
        SELECT min(bucket), NULL, queue, status, {_SUMS} FROM {SCHEMA}.rollups
        WHERE width = 86400 AND name IS NULL AND kind <> '' AND bucket >= %s AND bucket < %s GROUP BY 3, 4
        """  # noqa: S608 (constants)
        return self._read(statement, (since, until))

    def _sums(
        self,
        steps: tuple[int, int],
        times: tuple[datetime, datetime],
        name: str | None,
        queue: Sequence[str],
        kind: Sequence[str],
    ) -> list[Sum]:
        width, step = steps
        since, until = times
        conditions, values = _filters(name, queue, kind)
        if not name:
            # All names together are kept by kind and queue, and all of those as one (see migration 0005).
            conditions.append("name IS NULL" if queue or kind else "name IS NULL AND kind = ''")
        where = " AND ".join(["width = %s AND bucket >= %s AND bucket < %s", *conditions])
        statement = f"""
        SELECT date_bin(make_interval(secs => %s), bucket, %s), NULL, NULL, status, {_SUMS} FROM {SCHEMA}.rollups
        WHERE {where} GROUP BY 1, status
        """  # noqa: S608 (constants)
        return self._read(statement, (step, since, width, since, until, *values))

    def _read(self, statement: str, values: Sequence[Any]) -> list[Sum]:
        found = []
        for at, name, queue, status, n, timed, micros, histogram in self._rows(statement, values):
            tally = Tally()
            tally.add(n, timed, micros, histogram)
            found.append(Sum(at, name, queue, status, tally))
        return found

    def _rows(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        def read(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
            return connection.execute(statement, values).fetchall()

        return self.connections.run("read", read)


def sums_of_owner(
    connections: Connections,
    owner: str,
    step: int,
    since: datetime,
    until: datetime,
    *,
    name: str | None = None,
    queue: Sequence[str] = (),
    kind: Sequence[str] = (),
) -> tuple[list[Sum], bool]:
    """Return the sums of a user's own tasks, and whether only the latest could be looked at, 20,000 or fewer."""
    conditions, values = _filters(name, queue, kind)
    named = {f"f{number}": value for number, value in enumerate(values)}
    filters = "".join(f" AND {condition}" for condition in conditions)
    for place in named:
        filters = filters.replace("%s", f"%({place})s", 1)
    # A task that ended in these times may have been created before them: looked for a day back.
    given = {"step": step, "origin": since, "owner": key_text(owner), "since": since, "from": since - _DAY, "to": until}

    rows: list[tuple[Any, ...]] = []
    most = 0
    for milliseconds, most in _OF_OWNER_TIMES:
        text = _OF_OWNER.format(schema=SCHEMA, filters=filters, most=most)
        try:
            rows = rows_of(connections, Statement(text, given | named), milliseconds)
        except errors.QueryCanceled:
            continue
        break
    else:
        return [], True
    sums: dict[tuple[datetime, str | None, str | None, str], Tally] = {}
    seen = 0
    for at, named_so, in_queue, status, slot, n, micros in rows:
        sums.setdefault((at, named_so, in_queue, status), Tally()).count(slot, n, micros or 0.0)
        seen += n if status == "pending" else 0
    return [Sum(*key, tally) for key, tally in sums.items()], seen >= most


def _execute(connection: psycopg.Connection, statement: LiteralString, values: Sequence[Any]) -> None:
    connection.execute(statement, values)


def _filters(name: str | None, queue: Sequence[str], kind: Sequence[str]) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    if name and name.endswith("*"):
        prefix = short_text(name[:-1]) or ""
        conditions.append("name >= %s AND name < %s")
        values += [prefix, upper_bound(prefix)]
    elif name:
        conditions.append("name = %s")
        values.append(short_text(name))
    for column, wanted in (("queue", queue), ("kind", kind)):
        if wanted:
            conditions.append(f"{column} = ANY(%s)")
            values.append([short_text(value) for value in wanted])
    return conditions, values


def _step(since: datetime, until: datetime) -> tuple[int, int]:
    """Return the step of a chart and the width of roll-ups that it is made of, such as are still kept."""
    if until <= since:
        raise InvalidQueryError("`from` must be before `to`")
    age = datetime.now(UTC) - since
    for longest, step, width in _STEPS:
        if until - since <= longest and age <= _KEPT.get(width, timedelta.max) - _DAY / 24:
            return step, width
    if until - since <= _STEPS[-1][0]:
        return _STEPS[-1][1:]
    raise InvalidQueryError(f"a chart goes over {_STEPS[-1][0].days} days at most")


def _floor(moment: datetime, step: int) -> datetime:
    seconds = int(moment.timestamp()) // step * step
    return datetime.fromtimestamp(seconds, UTC)


def _point(at: datetime, tallies: dict[str, Tally]) -> ChartPoint:
    def n(status: str) -> int:
        return max(tallies[status].n, 0) if status in tallies else 0

    ended = n("completed") + n("failed")
    return ChartPoint(
        at=at,
        created=n("pending"),
        started=n("in_progress"),
        completed=n("completed"),
        failed=n("failed"),
        cancelled=n("cancelled"),
        failure_rate=round(n("failed") / ended, 4) if ended else None,
        duration=together(tallies.get(status) for status in ("completed", "failed")).spread(),
        waiting=together([tallies.get("in_progress")]).spread(),
    )


def together(tallies: Iterable[Tally | None]) -> Tally:
    """Return the tallies added up."""
    whole = Tally()
    for tally in tallies:
        if tally is not None:
            whole.join(tally)
    return whole
