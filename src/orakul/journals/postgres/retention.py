"""What is older than its retention goes: events and logs by whole days, ended tasks in small batches.

What is open stays, however old: before a day of events or logs is dropped, the lines of open tasks go to the partition
of the rest, from where they get a small day of their own again (`orakul.maintain`). A day in which only such are left
is held, and goes when they have ended.
"""

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, LiteralString

import msgspec
import psycopg
from psycopg import errors, sql

from orakul.journals.postgres.connection import SCHEMA, Connections
from orakul.tasks.retention import Going, Preview, Rules, RulesChange
from orakul.tasks.storable import key_text

__all__ = ["PostgresRetention", "forget"]

_log = logging.getLogger("orakul.postgres")

_BATCH = 2_000
_AT_ONCE = 100
"""So many tasks are deleted under the journal's lock at a time."""
_BREATH = 0.02
"""Between two deletes of tasks, in seconds: lists and appends go first."""

_MOST_COUNTED = 200_000
_MOST_HELD = 1_000
_COUNT_TIMES = ((1_500, _MOST_COUNTED), (400, 10_000))
_DAYS = """
SELECT c.relname, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = %s::regclass AND c.relname ~ '_[0-9]{8}$' AND right(c.relname, 8) < %s ORDER BY 1
"""
_OPEN = "SELECT task_id FROM orakul.tasks WHERE status IN ('pending', 'in_progress') AND created_at < %(end)s"
_LEFT_ONLY = (
    "SELECT NOT EXISTS (SELECT FROM {part} AS e WHERE e.task_id IS NULL OR NOT EXISTS (SELECT FROM orakul.tasks t"
    " WHERE t.task_id = e.task_id AND t.status IN ('pending', 'in_progress')) LIMIT 1)"
)
_FOUND: LiteralString = """
SELECT task_id, finished_at, (SELECT w.created_at FROM orakul.task_words w WHERE w.task_id = t.task_id)
FROM orakul.tasks t
WHERE finished_at < %(before)s AND finished_at >= %(from)s AND {kinds}
  AND NOT EXISTS (SELECT FROM orakul.tasks above WHERE above.task_id IN (t.parent_id, t.root_id)
                  AND above.status IN ('pending', 'in_progress'))
ORDER BY finished_at LIMIT %(batch)s
"""
"""Ended tasks; not those below what is still open. Their words go with them: looked at, so that they are in memory."""
_DELETED: LiteralString = """
WITH old AS MATERIALIZED (
    SELECT task_id FROM orakul.tasks t WHERE task_id = ANY(%(ids)s) AND finished_at < %(before)s AND NOT EXISTS (
        SELECT FROM orakul.tasks above WHERE above.task_id IN (t.parent_id, t.root_id)
        AND above.status IN ('pending', 'in_progress'))
    FOR UPDATE OF t SKIP LOCKED
), unsent AS (DELETE FROM orakul.messages USING old WHERE messages.task_id = old.task_id)
DELETE FROM orakul.tasks USING old WHERE tasks.task_id = old.task_id
"""
"""Those of them that have still ended, and the messages kept for their retry."""
_LOCK: LiteralString = """
SELECT set_config('synchronous_commit', 'off', true);
SELECT pg_advisory_xact_lock(orakul.lock_key())
"""
"""The disk is not waited for with the lock in hand: what a crash brings back goes the next time."""

_COUNT_TASKS: LiteralString = """
SELECT kind, (finished_at AT TIME ZONE 'UTC')::date, count(*) FROM (
    SELECT kind, finished_at FROM orakul.tasks WHERE finished_at < %(before)s AND {kinds}
    ORDER BY finished_at LIMIT %(limit)s
) AS old GROUP BY 1, 2 ORDER BY 2, 1
"""
_BEGINNING = datetime(1, 1, 2, tzinfo=UTC)


class PostgresRetention:
    """Fulfils `tasks.retention.Retention`: the settings' rules, under those that were set here."""

    def __init__(self, connections: Connections, settings: Rules) -> None:
        self._connections = connections
        self._settings = settings

    def rules(self) -> Rules:
        """Return the rules in force."""
        statement = f"SELECT what, kind, days, changed_by, changed_at FROM {SCHEMA}.retention ORDER BY changed_at"  # noqa: S608 (constants)
        rows = self._connections.run("read", lambda connection: connection.execute(statement).fetchall())
        changed: dict[str, Any] = {}
        kinds = dict(self._settings.kinds)
        for what, kind, days, author, moment in rows:
            if what == "tasks" and kind:
                kinds[kind] = days
            else:
                changed[f"{what}_days"] = days
            changed |= {"changed_by": author, "changed_at": moment.astimezone(UTC)}
        return msgspec.structs.replace(self._settings, kinds=kinds, **changed)

    def change(self, change: RulesChange, author: str) -> Rules:
        """Keep other rules from now on."""
        said = {"tasks": change.tasks_days, "events": change.events_days, "logs": change.logs_days}
        rows = [(what, "", days, key_text(author)) for what, days in said.items() if days is not None]
        rows += [("tasks", key_text(kind) or "", days, key_text(author)) for kind, days in change.kinds.items()]

        def keep(connection: psycopg.Connection) -> None:
            with connection.transaction():
                connection.execute(f"DELETE FROM {SCHEMA}.retention")  # noqa: S608 (constants)
                for row in rows:
                    connection.execute(
                        f"INSERT INTO {SCHEMA}.retention (what, kind, days, changed_by) VALUES (%s, %s, %s, %s)",  # noqa: S608 (constants)
                        row,
                    )

        self._connections.run("write", keep)
        return self.rules()

    def preview(self, change: RulesChange | None = None, now: datetime | None = None) -> Preview:
        """Return what would go by the rules in force, or by others."""
        rules = self.rules() if change is None else self._with(change)
        now = now or datetime.now(UTC)
        items: list[Going] = []
        partial_ = False
        for kinds, values, before in _of_kinds(rules, now):
            found, all_of_it = self._connections.run(
                "read", partial(_count_tasks, kinds=kinds, values=values, before=before)
            )
            items += found
            partial_ = partial_ or not all_of_it
        for parent, days in (("events", rules.events_days), ("logs", rules.logs_days)):
            items += self._connections.run("read", partial(_going_days, parent=parent, before=_midnight(now, days)))
        return Preview(rules=rules, items=sorted(items, key=lambda each: (each.what, each.day)), partial=partial_)

    def forget(self, now: datetime | None = None) -> int:
        """Let go what is past its retention; return how many days of events and logs."""
        rules = self.rules()
        return _forget(self._connections, rules, now or datetime.now(UTC))

    def _with(self, change: RulesChange) -> Rules:
        rules = self.rules()
        given = {
            name: getattr(change, name)
            for name in ("tasks_days", "events_days", "logs_days")
            if getattr(change, name) is not None
        }
        return msgspec.structs.replace(rules, kinds=rules.kinds | change.kinds, **given)


def forget(
    connections: Connections,
    *,
    events_days: int,
    logs_days: int,
    tasks_days: int | None = None,
    now: datetime | None = None,
) -> int:
    """Drop the days of events and logs that are past their retention, and ended tasks with them; return how many days.

    Never waits long for a lock: what cannot go now goes the next time.
    """
    rules = Rules(tasks_days=tasks_days or events_days, events_days=events_days, logs_days=logs_days)
    return _forget(connections, rules, now or datetime.now(UTC))


def _forget(connections: Connections, rules: Rules, now: datetime) -> int:
    dropped = 0
    for parent, days in (("events", rules.events_days), ("logs", rules.logs_days)):
        dropped += connections.run("write", partial(_drop_days, parent=parent, before=_midnight(now, days)))
    for kinds, values, before in _of_kinds(rules, now):
        after: datetime | None = _BEGINNING
        while after is not None:
            delete = partial(_delete_tasks, kinds=kinds, values=values, before=before, after=after)
            after = connections.run("write", delete)
    return dropped


def _midnight(now: datetime, days: int) -> datetime:
    return (now - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)


def _of_kinds(rules: Rules, now: datetime) -> Iterator[tuple[LiteralString, dict[str, Any], datetime]]:
    """Yield which tasks are kept equally long, and before when they must have ended to go."""
    for kind, days in rules.kinds.items():
        yield "kind = %(kind)s", {"kind": key_text(kind)}, now - timedelta(days=days)
    own = {"own": [key_text(kind) for kind in rules.kinds]}
    rest: LiteralString = "NOT kind = ANY(%(own)s)" if rules.kinds else "true"
    yield rest, own, now - timedelta(days=rules.tasks_days)


def _drop_days(connection: psycopg.Connection, parent: str, before: datetime) -> int:
    dropped = 0
    rest = sql.Identifier(SCHEMA, f"{parent}_rest")
    for name, _, _ in connection.execute(_DAYS, (f"{SCHEMA}.{parent}", f"{before:%Y%m%d}")).fetchall():
        part = sql.Identifier(SCHEMA, name)
        end = {"end": _day_of(name) + timedelta(days=1)}
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '5s'")
            row = connection.execute(sql.SQL(_LEFT_ONLY).format(part=part)).fetchone()
            if row and row[0] and _has_rows(connection, part):
                continue  # held: only open tasks' lines are left in it
            held = f"CREATE TEMPORARY TABLE held ON COMMIT DROP AS SELECT * FROM {{}} WHERE task_id IN ({_OPEN})"  # noqa: S608 (constants)
            connection.execute(sql.SQL(held).format(part), end)
            connection.execute(sql.SQL("DROP TABLE {}").format(part))
            connection.execute(sql.SQL("INSERT INTO {} SELECT * FROM held").format(rest))
        _log.info("Dropped %s, past its retention", name)
        dropped += 1
    of_nobody = f"DELETE FROM {{}} WHERE timestamp < %(end)s AND (task_id IS NULL OR task_id NOT IN ({_OPEN}))"  # noqa: S608 (constants)
    connection.execute(sql.SQL(of_nobody).format(rest), {"end": before})
    return dropped


def _has_rows(connection: psycopg.Connection, part: sql.Identifier) -> bool:
    return connection.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(part)).fetchone() is not None


def _delete_tasks(
    connection: psycopg.Connection, kinds: LiteralString, values: dict[str, Any], before: datetime, after: datetime
) -> datetime | None:
    """Delete a batch; return where the next one begins, None after the last.

    Looked for without the journal's lock and deleted with it, a few at a time: an append that is under way must not
    change rows which go at that moment, or what it says of them would be lost.
    """
    given = {**values, "before": before, "from": after, "batch": _BATCH}
    rows = connection.execute(_FOUND.format(kinds=kinds), given).fetchall()
    for first in range(0, len(rows), _AT_ONCE):
        ids = [row[0] for row in rows[first : first + _AT_ONCE]]
        with connection.transaction():
            connection.execute(_LOCK)
            connection.execute(_DELETED, {"ids": ids, "before": before})
        time.sleep(_BREATH)
    if len(rows) < _BATCH:
        return None
    last: datetime = rows[-1][1]
    return last


def _count_tasks(
    connection: psycopg.Connection, kinds: LiteralString, values: dict[str, Any], before: datetime
) -> tuple[list[Going], bool]:
    for milliseconds, limit in _COUNT_TIMES:
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL statement_timeout = {milliseconds}")
                given = {**values, "before": before, "limit": limit}
                rows = connection.execute(_COUNT_TASKS.format(kinds=kinds), given).fetchall()
        except errors.QueryCanceled:
            continue
        found = [Going(what="tasks", day=day, kind=kind, count=count) for kind, day, count in rows]
        return found, sum(each.count for each in found) < limit
    return [], False


def _going_days(connection: psycopg.Connection, parent: str, before: datetime) -> list[Going]:
    found = []
    for name, rows, size in connection.execute(_DAYS, (f"{SCHEMA}.{parent}", f"{before:%Y%m%d}")).fetchall():
        day = _day_of(name)
        holding = sql.SQL(
            f"SELECT count(*) FROM (SELECT FROM ({_OPEN} LIMIT {_MOST_HELD}) AS t WHERE EXISTS ("  # noqa: S608 (constants)
            "SELECT FROM {} AS e WHERE e.task_id = t.task_id)) AS held"
        ).format(sql.Identifier(SCHEMA, name))
        held = connection.execute(holding, {"end": day + timedelta(days=1)}).fetchone()
        found.append(
            Going(
                what="events" if parent == "events" else "logs",
                day=day.date(),
                count=rows,
                bytes=size,
                held=held[0] if held else 0,
            )
        )
    return found


def _day_of(name: str) -> datetime:
    return datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC)
