"""Connections to PostgreSQL: a small pool, and what its errors mean.

A pool of our own, as it must outlive what the recorder goes through: forks (a child forgets its parent's connections),
restarts of the server (a connection found dead is replaced and the work done again), poolers in between (nothing relies
on the state of a session but time-outs, and nothing is prepared). A server that says nothing is waited for somewhat
longer than its own time-outs let it take, then given up (`silence`).
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import msgspec
import psycopg
from psycopg import errors, sql
from psycopg.types.json import set_json_loads

from orakul.errors import JournalUnavailableError
from orakul.instruments import counter, gauge
from orakul.journals.postgres.arrays import register
from orakul.journals.postgres.silence import BoundedConnection

__all__ = ["SCHEMA", "Connections", "Purpose", "adapt", "explain", "shown_url"]

SCHEMA = "orakul"
_UNAVAILABLE = counter("orakul_journal_unavailable_total", "Times that PostgreSQL did not answer, or not now.")
T = TypeVar("T")
Purpose = Literal["read", "write"]

_TIMEOUTS = {
    # A page that takes longer is not waited for; an append waits for its turn at the journal's lock.
    "read": {"statement_timeout": "3s", "idle_in_transaction_session_timeout": "15s"},
    "write": {"statement_timeout": "60s", "lock_timeout": "30s", "idle_in_transaction_session_timeout": "15s"},
}
# How long nothing may be heard of a statement, in seconds.
_SILENCE = {"read": 5.0, "write": 75.0}
_SESSION = {
    "client_encoding": "UTF8",
    "TimeZone": "UTC",
    "default_transaction_isolation": "read committed",  # the append's snapshot must follow its lock
    "search_path": f"{SCHEMA}, public",
    "jit": "off",  # pages and batches are short: compiling them takes longer than running them
}
# What is confirmed to the recorder leaves its spool: it must outlive a crash of the server, also in a database that is
# set not to wait for that. Stronger settings (remote_apply) stand.
_CONFIRMED = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
# What the data is to blame for: its values, constraints on them, limits of size. All else means "not now".
_BLAMES_DATA = ("22", "23", "54")
_NOT_MIGRATED = (errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedColumn, errors.InvalidSchemaName)


class Connections:
    """Connections to one database, opened when needed, kept for the next, at most `size` of each purpose at once.

    Safe from threads and across forks. `url` is anything that libpq takes.
    """

    def __init__(self, url: str, *, size: int = 8, connect_timeout: int = 5) -> None:
        self.url = url
        self._connect_timeout = connect_timeout
        self._size = size
        self._reset()
        said = "Connections to PostgreSQL, by what they are for: in use, idle, and how many wait for one."
        gauge("orakul_journal_connections", said, self._states, ("purpose", "state"))

    def _reset(self) -> None:
        # What a forked child got from its parent is kept, unused: closing it would speak on the parent's sockets.
        self._inherited = getattr(self, "_idle", None)
        self._pid = os.getpid()
        self._guard = threading.Lock()
        self._idle: dict[Purpose, list[BoundedConnection]] = {"read": [], "write": []}
        self._borrowed = {"read": 0, "write": 0}
        self._waiting = {"read": 0, "write": 0}
        self._free = {"read": threading.BoundedSemaphore(self._size), "write": threading.BoundedSemaphore(self._size)}

    def run(self, purpose: Purpose, work: Callable[[psycopg.Connection], T], *, again: bool = True) -> T:
        """Do the work on a connection, in autocommit mode; return what it returns.

        Work that met a connection that had died while it lay idle is done again on a new one (unless `again` is
        false, for work that must not be done twice). What means that PostgreSQL does not answer, or not now,
        becomes JournalUnavailableError.
        """
        try:
            with self._borrow(purpose) as (connection, kept):
                try:
                    return work(connection)
                except (psycopg.OperationalError, psycopg.InterfaceError):
                    if not (again and kept and connection.closed):
                        raise
            self.close_idle()
            with self._borrow(purpose) as (connection, _):
                return work(connection)
        except psycopg.Error as error:
            unavailable = explain(error, self.url)
            if unavailable is None:
                raise
            _UNAVAILABLE.add()
            raise unavailable from error

    @contextmanager
    def _borrow(self, purpose: Purpose) -> Iterator[tuple[BoundedConnection, bool]]:
        if self._pid != os.getpid():
            self._reset()  # a forked child: its parent's connections are not its own
        free, idle = self._free[purpose], self._idle[purpose]
        with self._guard:
            self._waiting[purpose] += 1
        free_now = free.acquire(timeout=_SILENCE[purpose])
        with self._guard:
            self._waiting[purpose] -= 1
        if not free_now:
            raise JournalUnavailableError(
                f"all {self._size} connections to PostgreSQL at {shown_url(self.url)} wait for an answer: is it frozen?"
            )
        try:
            with self._guard:
                self._borrowed[purpose] += 1
                kept = idle.pop() if idle else None
            try:
                connection = kept or self.open(purpose)
                connection.silence = _SILENCE[purpose]
                try:
                    yield connection, kept is not None
                finally:
                    self._give_back(connection, idle)
            finally:
                with self._guard:
                    self._borrowed[purpose] -= 1
        finally:
            free.release()

    def _states(self) -> Mapping[tuple[str, ...], float]:
        found: dict[tuple[str, ...], float] = {}
        for purpose, idle in self._idle.items():
            found[purpose, "in_use"] = self._borrowed[purpose]
            found[purpose, "idle"] = len(idle)
            found[purpose, "waiting"] = self._waiting[purpose]
        return found

    def _give_back(self, connection: BoundedConnection, idle: list[BoundedConnection]) -> None:
        if connection.closed or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            connection.close()
            return
        with self._guard:
            idle.append(connection)

    def open(self, purpose: Purpose) -> BoundedConnection:
        """Open a connection that belongs to the caller, whose server is waited for."""
        connection = BoundedConnection.connect(
            self.url,
            autocommit=True,
            prepare_threshold=None,  # plans must know the values asked for; and poolers lose prepared statements
            connect_timeout=self._connect_timeout,
            application_name=f"orakul {purpose}",
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            tcp_user_timeout=30_000,
        )
        try:
            settings = _SESSION | _TIMEOUTS[purpose]
            calls = [sql.SQL("set_config({}, {}, false)").format(name, value) for name, value in settings.items()]
            connection.execute(sql.SQL("SELECT {}").format(sql.SQL(", ").join(calls)))
            if purpose == "write":
                connection.execute(_CONFIRMED)
            adapt(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def close_idle(self) -> None:
        """Close the connections that nobody uses now."""
        if self._pid != os.getpid():
            return
        with self._guard:
            idle = [connection for kept in self._idle.values() for connection in kept]
            for kept in self._idle.values():
                kept.clear()
        for connection in idle:
            connection.close()

    close = close_idle

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def adapt(connection: psycopg.Connection | psycopg.AsyncConnection) -> None:
    """Let the connection read JSON as we do and take our arrays."""
    set_json_loads(msgspec.json.decode, connection)
    register(connection)


def explain(error: psycopg.Error, url: str) -> JournalUnavailableError | None:
    """Return the error that says what was tried, what was said and what to do; None where the data is to blame."""
    said = str(error).strip() or type(error).__name__
    where = shown_url(url)
    if isinstance(error, _NOT_MIGRATED):
        return JournalUnavailableError(f"the journal at {where} lacks its tables ({said}): run 'orakul db upgrade'")
    if isinstance(error, errors.QueryCanceled):
        return JournalUnavailableError(f"PostgreSQL at {where} took too long ({said}): narrow the query, or try again")
    state = error.sqlstate
    if state is None and not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return None
    if state is None:
        return JournalUnavailableError(
            f"PostgreSQL at {where} does not answer: {said}. Is it running, and is the URL right?"
        )
    if state.startswith(_BLAMES_DATA) and "NOTIFY queue" not in said:  # full where a listener sits in a transaction
        return None
    return JournalUnavailableError(f"PostgreSQL at {where} refuses for now ({state}): {said}")


def shown_url(url: str) -> str:
    """Return where the database is, without the password."""
    try:
        known: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        return "the given URL, which libpq cannot read"
    user = f"{known['user']}@" if known.get("user") else ""
    host = quote(str(known.get("host") or "localhost"), safe="/,:")
    return f"{user}{host}:{known.get('port') or 5432}/{known.get('dbname') or ''}"
