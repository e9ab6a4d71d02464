"""What is older than its retention goes: events and logs by whole days, tasks in small batches."""

import logging
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import LiteralString

import psycopg
from psycopg import sql

from orakul.journals.postgres.connection import SCHEMA, Connections

__all__ = ["forget"]

_log = logging.getLogger("orakul.postgres")

_BATCH = 2_000
_DAYS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = %s::regclass AND c.relname ~ '_[0-9]{8}$' ORDER BY 1
"""
_TASKS: LiteralString = """
WITH old AS (
    SELECT task_id FROM orakul.tasks WHERE finished_at < %(before)s ORDER BY finished_at LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
), unsent AS (DELETE FROM orakul.messages USING old WHERE messages.task_id = old.task_id)
DELETE FROM orakul.tasks USING old WHERE tasks.task_id = old.task_id
"""
"""Ended tasks, and the messages kept for their retry. Open ones stay, however old."""


def forget(connections: Connections, *, events_days: int, logs_days: int, now: datetime | None = None) -> int:
    """Drop the days of events and logs that are past their retention, and ended tasks with them; return how many days.

    Never waits long for a lock: what cannot go now goes the next time.
    """
    now = now or datetime.now(UTC)
    dropped = 0
    for parent, days in (("events", events_days), ("logs", logs_days)):
        before = (now - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
        dropped += connections.run("write", partial(_drop_days, parent=parent, before=before))
    before = now - timedelta(days=events_days)
    while connections.run("write", partial(_delete_tasks, before=before)) == _BATCH:
        pass
    return dropped


def _drop_days(connection: psycopg.Connection, parent: str, before: datetime) -> int:
    dropped = 0
    for (part,) in connection.execute(_DAYS, (f"{SCHEMA}.{parent}",)).fetchall():
        if part[-8:] >= f"{before:%Y%m%d}":
            continue
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '5s'")
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(SCHEMA, part)))
        _log.info("Dropped %s, past its retention", part)
        dropped += 1
    rest = sql.Identifier(SCHEMA, f"{parent}_rest")
    connection.execute(sql.SQL("DELETE FROM {} WHERE timestamp < %s").format(rest), (before,))
    return dropped


def _delete_tasks(connection: psycopg.Connection, before: datetime) -> int:
    return connection.execute(_TASKS, {"before": before, "batch": _BATCH}).rowcount
