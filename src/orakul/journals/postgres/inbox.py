"""The inbox in PostgreSQL: the row "seen" in the transaction of the effect, with psycopg or SQLAlchemy.

It lives in the database where the effects are, in the schema `orakul`, and is made there where it is missing.
"""

# ruff: noqa: S608 (statements are put together from constants, here; what is asked for travels as parameters)

import contextlib
import threading
import uuid
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from orakul.delivery.inbox import InboxUnavailableError
from orakul.errors import SettingsError
from orakul.journals.postgres.connection import SCHEMA

__all__ = ["PostgresInbox", "SqlAlchemyInbox"]

KEEP_DAYS = 14
"""Longer than a message stays on its way, retries included: one that came again later would have its effect twice."""

_TABLES = Path(__file__).parent / "migrations" / "versions" / "0006_outbox.sql"
_ENTER = f"""
INSERT INTO {SCHEMA}.inbox (consumer, event_id) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING 1
"""
_EXISTS = f"SELECT to_regclass('{SCHEMA}.inbox') IS NOT NULL"
_FORGET = f"DELETE FROM {SCHEMA}.inbox WHERE received_at < now() - make_interval(days => {KEEP_DAYS})"
_NAMESPACE = uuid.UUID("8a0c5d3e-6d0a-4d5f-9c59-4d6a4f3f0c11")
_CONNECT_SECONDS = 5


class PostgresInbox:
    """Fulfils `delivery.Inbox` with psycopg: handlers get its connection (an async one in a coroutine)."""

    def __init__(self, url: Any) -> None:
        if not isinstance(url, str) or not url.startswith(("postgres://", "postgresql://")):
            raise SettingsError(f"an inbox for psycopg is given the address of a PostgreSQL, not {url!r}")
        self._url = url
        self._idle: deque[psycopg.Connection] = deque()
        self._idle_async: deque[psycopg.AsyncConnection] = deque()

    @contextmanager
    def enter(self, consumer: str, event_id: str) -> Iterator[psycopg.Connection | None]:
        """Open a transaction with the row in it."""
        connection = self._take()
        try:
            with connection.transaction():
                entered = connection.execute(_ENTER.encode(), (consumer, _key(event_id))).fetchone()
                yield connection if entered else None
        except psycopg.Error as error:
            if connection.broken or connection.closed:
                raise InboxUnavailableError(f"the inbox's database went away: {_said(error)}") from error
            raise
        finally:
            if connection.closed:
                connection.close()
            else:
                self._idle.append(connection)

    @asynccontextmanager
    async def enter_async(self, consumer: str, event_id: str) -> AsyncIterator[psycopg.AsyncConnection | None]:
        """Do the same in the event loop."""
        connection = await self._take_async()
        try:
            async with connection.transaction():
                cursor = await connection.execute(_ENTER.encode(), (consumer, _key(event_id)))
                yield connection if await cursor.fetchone() else None
        except psycopg.Error as error:
            if connection.broken or connection.closed:
                raise InboxUnavailableError(f"the inbox's database went away: {_said(error)}") from error
            raise
        finally:
            if connection.closed:
                await connection.close()
            else:
                self._idle_async.append(connection)

    def _take(self) -> psycopg.Connection:
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        try:
            return psycopg.connect(self._url, autocommit=True, connect_timeout=_CONNECT_SECONDS)
        except psycopg.Error as error:
            raise InboxUnavailableError(f"the inbox's database does not answer: {_said(error)}") from error

    async def _take_async(self) -> psycopg.AsyncConnection:
        with contextlib.suppress(IndexError):
            return self._idle_async.pop()
        try:
            return await psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=_CONNECT_SECONDS)
        except psycopg.Error as error:
            raise InboxUnavailableError(f"the inbox's database does not answer: {_said(error)}") from error

    def prepare(self) -> None:
        """Make the table where it is missing, and forget rows of long ago."""
        try:
            with psycopg.connect(self._url, connect_timeout=_CONNECT_SECONDS) as connection:
                found = connection.execute(_EXISTS.encode()).fetchone()
                if not (found and found[0]):
                    connection.execute(b"SELECT pg_advisory_xact_lock(hashtextextended('orakul inbox', 0))")
                    connection.execute(_TABLES.read_bytes())
                connection.execute(_FORGET.encode())
        except psycopg.OperationalError as error:
            raise InboxUnavailableError(f"the inbox's database does not answer: {_said(error)}") from error

    def close(self) -> None:
        """Leave the database; connections of a closed loop go with the process."""
        while self._idle:
            self._idle.pop().close()


class SqlAlchemyInbox:
    """Fulfils `delivery.Inbox` with SQLAlchemy: handlers get a Session (an AsyncSession in a coroutine).

    `target` is an engine (sync or async, as the handlers are), or the address of a PostgreSQL.
    """

    def __init__(self, target: Any) -> None:
        from sqlalchemy import Engine  # noqa: PLC0415 (in use where this is)
        from sqlalchemy.ext.asyncio import AsyncEngine  # noqa: PLC0415 (as above)

        if not isinstance(target, str | Engine | AsyncEngine):
            raise SettingsError(f"an inbox for SQLAlchemy is given an engine or an address, not {target!r}")
        self._target = target
        self._made: dict[str, Any] = {}
        self._making = threading.Lock()
        url = target if isinstance(target, str) else target.url.render_as_string(hide_password=False)
        self._url = url.replace("postgresql+psycopg_async://", "postgresql://").replace("+psycopg://", "://", 1)

    @contextmanager
    def enter(self, consumer: str, event_id: str) -> Iterator[Any]:
        """Open a session with the row in its transaction."""
        from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 (in use where this is)
        from sqlalchemy.orm import Session  # noqa: PLC0415 (as above)

        try:
            with Session(self._engine("sync")) as session, session.begin():
                entered = session.execute(_statement(), {"consumer": consumer, "event": _key(event_id)}).first()
                yield session if entered else None
        except DBAPIError as error:
            raise _of(error) from error

    @asynccontextmanager
    async def enter_async(self, consumer: str, event_id: str) -> AsyncIterator[Any]:
        """Do the same in the event loop."""
        from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 (in use where this is)
        from sqlalchemy.ext.asyncio import AsyncSession  # noqa: PLC0415 (as above)

        try:
            async with AsyncSession(self._engine("async")) as session, session.begin():
                entered = await session.execute(_statement(), {"consumer": consumer, "event": _key(event_id)})
                yield session if entered.first() else None
        except DBAPIError as error:
            raise _of(error) from error

    def _engine(self, kind: str) -> Any:
        from sqlalchemy import create_engine  # noqa: PLC0415 (in use where this is)
        from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine  # noqa: PLC0415 (as above)

        if not isinstance(self._target, str):
            if (kind == "async") != isinstance(self._target, AsyncEngine):
                raise SettingsError(f"the handler is {kind}; its inbox has an engine that is not")
            return self._target
        with self._making:
            if kind not in self._made:
                make = create_engine if kind == "sync" else create_async_engine
                self._made[kind] = make(self._url.replace("postgresql://", "postgresql+psycopg://", 1))
        return self._made[kind]

    def prepare(self) -> None:
        """Make the table where it is missing, and forget rows of long ago."""
        PostgresInbox(self._url).prepare()

    def close(self) -> None:
        """Leave the database; connections of a closed loop go with the process."""
        if "sync" in self._made:
            self._made["sync"].dispose()


def _statement() -> Any:
    from sqlalchemy import text  # noqa: PLC0415 (in use where this is)

    return text(_ENTER.replace("%s, %s", ":consumer, :event"))


def _of(error: Any) -> Exception:
    """Return the error as what it is: a database that went away, or the handler's own."""
    if error.connection_invalidated or error.__class__.__name__ == "OperationalError":
        return InboxUnavailableError(f"the inbox's database does not answer: {_said(error)}")
    handlers: Exception = error
    return handlers


def _key(event_id: str) -> uuid.UUID:
    """Return the event's id as the table has it; one that is no UUID has one made of it."""
    try:
        return uuid.UUID(event_id)
    except ValueError:
        return uuid.uuid5(_NAMESPACE, event_id)


def _said(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
