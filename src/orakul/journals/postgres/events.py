"""How domain events fare, read from the journal and the outbox."""

# ruff: noqa: S608 (statements are put together from constants, here; what is asked for travels as parameters)

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from orakul.delivery.room import (
    DeadQuery,
    DeadTask,
    EventFigures,
    Journey,
    JourneyStep,
    PublishedEvent,
    PublishedPage,
    Tally,
)
from orakul.errors import InvalidQueryError
from orakul.journals.postgres.connection import SCHEMA, Connections
from orakul.tasks.projection import attempt_and_run
from orakul.tasks.storable import long_text, short_text

__all__ = ["PostgresEventRoom"]

_CHUNK = 50_000
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_MOST = 10_000
_MOST_OF_EVENT = 1_000
_MOST_STEPS = 2_000
_LOOKED_AT = 20_000
_DEAD = "kind = 'delivery' AND status = 'failed' AND outcome = 'Dead'"
"""As in the index of migration 0009: a plan uses it only where it sees the same condition."""
_OPEN = "kind = 'delivery' AND status IN ('pending', 'in_progress')"

_SUMS = ", ".join(f"sum({each})::bigint" for each in ("published", "unheard", "delivered", "failed", "retried", "dead"))
_COUNTED = f"SELECT event_type, consumer, {_SUMS} FROM {SCHEMA}.event_counts"
_WAITING = f"""
SELECT name, event_type, count(*), min(created_at) FROM (
    SELECT name, arguments ->> 'event_type' AS event_type, created_at FROM {SCHEMA}.tasks WHERE {_OPEN}
    ORDER BY name, created_at LIMIT {_MOST}
) AS waiting GROUP BY 1, 2
"""
_OUTBOX = f"""
SELECT (SELECT count(*) FROM (SELECT 1 FROM {SCHEMA}.outbox LIMIT {_MOST}) AS waiting),
       (SELECT created_at FROM {SCHEMA}.outbox ORDER BY seq LIMIT 1),
       (SELECT count(*) FROM (SELECT 1 FROM {SCHEMA}.outbox_dead LIMIT {_MOST}) AS aside),
       (SELECT count(*) FROM (SELECT 1 FROM {SCHEMA}.tasks WHERE {_DEAD} LIMIT {_MOST}) AS letters)
"""
_EVENT = "seq, event_id, event_type, user_id, timestamp, data, extra -> 'relayed'"
_DELIVERIES = f"""
SELECT g.group_id, t.status, t.outcome, count(*) FROM unnest(%s::text[]) AS g (group_id) CROSS JOIN LATERAL (
    SELECT status, outcome FROM {SCHEMA}.tasks WHERE kind = 'delivery' AND group_id = g.group_id LIMIT {_MOST_OF_EVENT}
) AS t GROUP BY 1, 2, 3
"""
_STEPS = f"""
SELECT e.timestamp, e.event_type, e.task_id, e.user_id, e.data, t.name
FROM {SCHEMA}.tasks t JOIN {SCHEMA}.events e ON e.task_id = t.task_id
WHERE t.kind = 'delivery' AND t.group_id = %s AND e.timestamp >= %s ORDER BY e.seq LIMIT {_MOST_STEPS}
"""


class PostgresEventRoom:
    """Fulfils `delivery.room.EventRoom`, and keeps its counts."""

    def __init__(self, connections: Connections | str) -> None:
        self.connections = Connections(connections) if isinstance(connections, str) else connections
        self._closed: tuple[datetime, dict[tuple[str, str], list[int]]] = (_BEGINNING, {})

    def fold(self) -> int:
        """Add up what the journal has taken in; return how many numbers of it that were."""
        statement = f"SELECT {SCHEMA}.count_events({_CHUNK})".encode()
        done = 0
        while True:
            row = self.connections.run("write", lambda connection: connection.execute(statement).fetchone())
            done += (folded := row[0] if row else 0)
            if folded < _CHUNK:
                return done

    # -- figures

    def figures(self, since: datetime) -> EventFigures:
        """Return the figures since a time."""
        both = {
            (row[0], row[1]): list(row[2:])
            for row in self._rows(f"{_COUNTED} WHERE hour >= date_trunc('hour', %s, 'UTC') GROUP BY 1, 2", [since])
        }
        waiting = {
            (event_type or "", name): (count, oldest) for name, event_type, count, oldest in self._rows(_WAITING)
        }
        for key in waiting:
            both.setdefault(key, [0] * 6)
        outbox, oldest, aside, dead = self._rows(_OUTBOX)[0]
        return EventFigures(
            since=since,
            types=_grouped(both, waiting, by_type=True),
            consumers=_grouped(both, waiting, by_type=False),
            deliveries=[
                _tally(key[0], key[1], counts, waiting.get(key)) for key, counts in sorted(both.items()) if key[1]
            ],
            outbox_waiting=outbox,
            outbox_capped=outbox >= _MOST,
            outbox_oldest=oldest,
            outbox_dead=aside,
            dead_letters=dead,
        )

    def totals(self) -> list[Tally]:
        """Return the counts since the beginning."""
        waiting = {
            (event_type or "", name): (count, oldest) for name, event_type, count, oldest in self._rows(_WAITING)
        }
        both = self._counted()
        for key in waiting:
            both.setdefault(key, [0] * 6)
        return [_tally(key[0], key[1], counts, waiting.get(key)) for key, counts in sorted(both.items())]

    def _counted(self) -> dict[tuple[str, str], list[int]]:
        """Return all counts; the hours that are over are added up once, as they are many after a year."""
        until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
        since, known = self._closed
        if until > since:
            closed = self._rows(f"{_COUNTED} WHERE hour >= %s AND hour < %s GROUP BY 1, 2", [since, until])
            self._closed = (until, _added(known, closed))
        return _added(self._closed[1], self._rows(f"{_COUNTED} WHERE hour >= %s GROUP BY 1, 2", [self._closed[0]]))

    # -- events

    def published(self, *, types: Sequence[str] = (), before: int | None = None, limit: int = 50) -> PublishedPage:
        """Return domain events, the newest first."""
        conditions, values = ["extra IS NOT NULL AND extra -> 'relayed' IS NOT NULL"], list[Any]()
        if before is not None:
            conditions.append("seq < %s")
            values.append(before)
        if types:
            conditions.append("event_type ~ ANY(%s)")
            values.append([_regex(each) for each in types])
        exact = [each for each in types if "*" not in each and "#" not in each]
        if exact and len(exact) == len(types):
            conditions[-1], values[-1] = "event_type = ANY(%s)", exact
        statement = (
            f"SELECT {_EVENT} FROM {SCHEMA}.events WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT {limit + 1}"
        )
        rows = self._rows(statement, values)
        items = self._with_deliveries([_published(row) for row in rows[:limit]])
        return PublishedPage(items=items, next=items[-1].seq if len(rows) > limit else None)

    def _with_deliveries(self, items: list[PublishedEvent]) -> list[PublishedEvent]:
        if not items:
            return items
        found: dict[str, dict[str, int]] = {}
        for group, status, outcome, count in self._rows(_DELIVERIES, [[each.event_id for each in items]]):
            stands = "dead" if outcome == "Dead" and status == "failed" else status
            counts = found.setdefault(group, {})
            counts[stands] = counts.get(stands, 0) + count
        for each in items:
            each.deliveries.update(found.get(each.event_id, {}))
        return items

    def journey(self, event_id: str) -> Journey | None:
        """Return the way of an event."""
        # A domain event may have been relayed more than once, after a crash: its first entry is the one that counts.
        rows = self._rows(
            f"SELECT {_EVENT} FROM {SCHEMA}.events WHERE event_id = %s ORDER BY seq LIMIT 1",
            [event_id],
        )
        if not rows:
            return None
        [event] = self._with_deliveries([_published(rows[0])])
        note = rows[0][6] or {}
        steps = [JourneyStep(at=_moment(note.get("published_at")) or event.timestamp, step="published")]
        if relayed := _moment(note.get("at")):
            refused = note.get("refused") or 0
            said = f"refused {refused} times before" if refused else None
            steps.append(
                JourneyStep(at=relayed, step="relayed", note=said, outcome=None if note.get("heard") else "unheard")
            )
        # A quick consumer has begun before the relay has the broker's answer: it was relayed first all the same.
        reports = [_step(row) for row in self._rows(_STEPS, [event_id, event.timestamp])]
        return Journey(event=event, steps=[*steps, *sorted(reports, key=lambda step: step.at)])

    # -- dead letters

    def dead(self, query: DeadQuery) -> tuple[list[DeadTask], str | None]:
        """Return dead letters, the latest first."""
        if not 1 <= query.limit <= _MOST:
            raise InvalidQueryError(f"limit is {query.limit}; it goes from 1 to {_MOST}")
        conditions, values = [_DEAD], list[Any]()
        wanted: list[tuple[str, Any]] = [
            ("name = ANY(%s)", list(query.consumer) or None),
            ("arguments ->> 'event_type' ~ ANY(%s)", [_regex(each) for each in query.types] or None),
            ("error_type = %s", query.error or None),
            ("finished_at >= %s", query.since),
            ("finished_at < %s", query.until),
            ("task_id = ANY(%s)", list(query.task_ids) if query.task_ids is not None else None),
        ]
        for condition, value in wanted:
            if value is not None:
                conditions.append(condition)
                values.append(value)
        if query.cursor:
            moment, _, task_id = query.cursor.partition(" ")
            if (at := _moment(moment)) is None:
                raise InvalidQueryError("the cursor is none of this list's: begin without one")
            conditions.append("(finished_at, task_id) < (%s, %s)")
            values += [at, task_id]
        statement = (
            "SELECT task_id, name, group_id, arguments ->> 'event_type', user_id, attempt, finished_at, error_type, "
            f"error_message FROM {SCHEMA}.tasks WHERE {' AND '.join(conditions)} "
            f"ORDER BY finished_at DESC, task_id DESC LIMIT {query.limit + 1}"
        )
        rows = self._rows(statement, values)
        items = [
            DeadTask(
                task_id=row[0],
                consumer=row[1],
                event_id=row[2],
                event_type=row[3],
                user_id=row[4],
                attempt=row[5],
                died_at=row[6],
                error_type=row[7],
                error_message=long_text(row[8], 2_000),
            )
            for row in rows[: query.limit]
        ]
        last = items[-1] if len(rows) > query.limit else None
        return items, f"{last.died_at.isoformat()} {last.task_id}" if last else None

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        def read(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
            return connection.execute(statement.encode(), values or None).fetchall()

        return self.connections.run("read", read)


def _added(
    known: dict[tuple[str, str], list[int]], rows: Sequence[tuple[Any, ...]]
) -> dict[tuple[str, str], list[int]]:
    both = dict(known)
    for event_type, consumer, *counts in rows:
        key = (event_type, consumer)
        both[key] = [one + other for one, other in zip(both.get(key, [0] * 6), counts, strict=True)]
    return both


def _grouped(
    both: dict[tuple[str, str], list[int]], waiting: dict[tuple[str, str], tuple[int, datetime]], *, by_type: bool
) -> list[Tally]:
    sums: dict[str, list[int]] = {}
    late: dict[str, tuple[int, datetime]] = {}
    for key, counts in both.items():
        name = key[0] if by_type else key[1]
        if not name:
            continue
        sums[name] = [one + other for one, other in zip(sums.get(name, [0] * 6), counts, strict=True)]
        if key in waiting:
            count, oldest = waiting[key]
            known = late.get(name, (0, oldest))
            late[name] = (known[0] + count, min(known[1], oldest))
    return [
        _tally(name if by_type else None, None if by_type else name, counts, late.get(name))
        for name, counts in sorted(sums.items())
    ]


def _tally(
    event_type: str | None, consumer: str | None, counts: Sequence[int], waiting: tuple[int, datetime] | None
) -> Tally:
    published, unheard, delivered, failed, retried, dead = counts
    return Tally(
        event_type=event_type or None,
        consumer=consumer or None,
        published=published,
        unheard=unheard,
        delivered=delivered,
        failed=failed,
        retried=retried,
        dead=dead,
        waiting=waiting[0] if waiting else 0,
        oldest=waiting[1] if waiting else None,
    )


def _published(row: Sequence[Any]) -> PublishedEvent:
    note = row[6] or {}
    return PublishedEvent(
        seq=row[0],
        event_id=row[1],
        event_type=row[2],
        user_id=row[3],
        timestamp=row[4],
        data=row[5],
        relayed_at=short_text(note.get("at")),
        heard=note.get("heard") if isinstance(note.get("heard"), bool) else None,
        subject=short_text(note.get("subject")),
    )


def _step(row: Sequence[Any]) -> JourneyStep:
    timestamp, event_type, task_id, user_id, data, name = row
    error = data.get("error")
    told = error if isinstance(error, dict) else {}
    kind = event_type.removeprefix("task.")
    return JourneyStep(
        at=timestamp,
        step=kind,
        consumer=name,
        task_id=task_id,
        attempt=attempt_and_run(data)[0],
        outcome=short_text(data.get("outcome")),
        retrying=data.get("retrying") is True,
        author=short_text(user_id if kind.endswith("requested") else data.get("author")),
        error=f"{told.get('type', '')}: {long_text(told.get('message'), 1_000) or ''}".strip(": ") or None,
        note=short_text(data.get("eta")),
    )


def _regex(pattern: str) -> str:
    """Return a pattern of types as PostgreSQL's regular expression."""
    if not all(
        part.replace("_", "").replace("-", "").isalnum() or part in {"*", "#", ""} for part in pattern.split(".")
    ):
        raise InvalidQueryError(f"{pattern!r} is no pattern of types; patterns are like defect.created, defect.*, #")
    if pattern in {"#", "*"}:
        return "."
    parts = [r"[^.]+" if part == "*" else ".*" if part == "#" else part for part in pattern.split(".")]
    return "^" + r"\.".join(parts) + "$"


def _moment(said: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(said) if isinstance(said, str) else None
    except ValueError:
        return None
