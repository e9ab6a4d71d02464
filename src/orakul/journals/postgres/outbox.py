"""Inserting into the outbox, on whatever connection the caller's transaction runs on.

A row is one statement: a lock on the subject where it is wanted, the insert, a wake-up where it is wanted.
"""

from collections.abc import Awaitable
from functools import cache
from typing import Any

import psycopg

from orakul.delivery.outbox import OutboxRow
from orakul.errors import OrakulError
from orakul.journals.postgres.connection import SCHEMA, Connections

__all__ = [
    "CHANNEL",
    "laid_aside",
    "publish_alone",
    "publish_django",
    "publish_psycopg",
    "publish_sqlalchemy",
    "put_back",
]

CHANNEL = "oracle_outbox"
"""Where the relay listens, when publishers are set to wake it."""

_INSERT = f"""
WITH added AS (
    INSERT INTO {SCHEMA}.outbox (event_id, event_type, ordering_key, envelope, headers)
    VALUES (CAST(%(event_id)s AS uuid), %(event_type)s, %(ordering_key)s, CAST(%(envelope)s AS json),
            CAST(%(headers)s AS json))
    RETURNING part
)"""  # noqa: S608 (constants)
_QUIET = f"{_INSERT} SELECT part FROM added"  # noqa: S608 (the same)
_WAKING = f"{_INSERT} SELECT pg_notify('{CHANNEL}', part::text) FROM added"  # noqa: S608 (the same)
# Taken before the row gets its number, so that numbers within a subject are in the order of commits.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('orakul outbox ' || %(ordering_key)s, 0))"

_ALONE = "there is no transaction, so the event would not depend on any change: {}; or use publish_event"


def publish_psycopg(connection: Any, row: OutboxRow) -> Awaitable[None] | None:
    """Insert on a connection (or cursor) of psycopg, sync or async."""
    if isinstance(connection, psycopg.Cursor | psycopg.AsyncCursor):
        connection = connection.connection
    idle = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    if connection.autocommit and idle:
        raise OrakulError(_ALONE.format("call it inside `with connection.transaction():`"))
    if isinstance(connection, psycopg.AsyncConnection):
        return _insert_async(connection, row)
    for statement, values in _statements(row):
        connection.execute(statement, values)
    return None


async def _insert_async(connection: psycopg.AsyncConnection, row: OutboxRow) -> None:
    for statement, values in _statements(row):
        await connection.execute(statement, values)


def publish_sqlalchemy(connection: Any, row: OutboxRow) -> Awaitable[None] | None:
    """Insert on a session or connection of SQLAlchemy, sync or async; it is in a transaction by its nature."""
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session  # noqa: PLC0415 (in use)

    if isinstance(connection, AsyncConnection | AsyncSession | async_scoped_session):
        return _insert_sqlalchemy_async(connection, row)
    for statement, values in _statements(row):
        connection.execute(_text(statement), values)
    return None


async def _insert_sqlalchemy_async(connection: Any, row: OutboxRow) -> None:
    for statement, values in _statements(row):
        await connection.execute(_text(statement), values)


@cache
def _text(statement: str) -> Any:
    from sqlalchemy import text  # noqa: PLC0415 (in use)

    for name in ("event_id", "event_type", "ordering_key", "envelope", "headers"):
        statement = statement.replace(f"%({name})s", f":{name}")
    return text(statement.replace("::text", " || ''"))


def publish_django(connection: Any, row: OutboxRow) -> None:
    """Insert on a connection of Django (`django.db.connection`, or one of `connections`), inside `atomic`."""
    if not connection.in_atomic_block and connection.get_autocommit():
        raise OrakulError(_ALONE.format("call it inside `with transaction.atomic():`"))
    if connection.vendor != "postgresql":
        raise OrakulError(f"the outbox is in PostgreSQL, and this connection leads to {connection.vendor}")
    with connection.cursor() as cursor:
        for statement, values in _statements(row):
            cursor.execute(statement, values)


@cache
def _connections(url: str) -> Connections:
    return Connections(url, size=4)


def publish_alone(url: str, row: OutboxRow) -> None:
    """Insert in a transaction of its own, on a connection of our own."""
    if row.lock:
        raise OrakulError("a lock needs a transaction: use outbox.publish")
    [(statement, values)] = _statements(row)

    def insert(connection: psycopg.Connection) -> None:
        connection.execute(statement.replace("RETURNING", "ON CONFLICT (event_id) DO NOTHING RETURNING"), values)

    _connections(url).run("write", insert)


def _statements(row: OutboxRow) -> list[Any]:
    values = {
        "event_id": row.event_id,
        "event_type": row.event_type,
        "ordering_key": row.ordering_key,
        "envelope": row.envelope,
        "headers": row.headers,
    }
    insert = (_WAKING if row.notify else _QUIET, values)
    return [(_LOCK, {"ordering_key": row.ordering_key}), insert] if row.lock else [insert]


_ASIDE = f"""
SELECT died_at, event_id::text, event_type, ordering_key, attempts, last_error
FROM {SCHEMA}.outbox_dead WHERE %(type)s::text IS NULL OR event_type = %(type)s ORDER BY died_at LIMIT 1000
"""  # noqa: S608 (constants)
# They get new numbers: events of their subjects that came after them have gone before.
_BACK = f"""
WITH back AS (
    DELETE FROM {SCHEMA}.outbox_dead WHERE %(type)s::text IS NULL OR event_type = %(type)s RETURNING *
)
INSERT INTO {SCHEMA}.outbox (event_id, event_type, ordering_key, envelope, headers, created_at)
SELECT event_id, event_type, ordering_key, envelope, headers, created_at FROM back ORDER BY seq
ON CONFLICT (event_id) DO NOTHING
"""  # noqa: S608 (constants)


def laid_aside(connections: Connections, event_type: str | None = None) -> list[Any]:
    """Return what could not be relayed: when it was laid aside, id, type, subject, how often refused, why."""
    return connections.run("read", lambda connection: connection.execute(_ASIDE, {"type": event_type}).fetchall())


def put_back(connections: Connections, event_type: str | None = None) -> int:
    """Put what was laid aside into the outbox again; return how many."""
    return connections.run("write", lambda connection: connection.execute(_BACK, {"type": event_type}).rowcount)
