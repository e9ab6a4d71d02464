"""The feed: the journal read forward from a cursor, live (design §6).

The rows are the truth and the cursor is one number; a notification is only a wake-up. The feed therefore also works
where LISTEN cannot be had (a pooler in transaction mode, a standby): then it looks a few times a second.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg

from orakul.errors import JournalUnavailableError
from orakul.instruments import counter, histogram, span
from orakul.journals.postgres.connection import adapt, explain, shown_url
from orakul.journals.postgres.rows import EVENT_WIDTH, event_from, task_from
from orakul.journals.postgres.statements import AHEAD, FEED, FEED_OF_ALL_TIMES, NEWEST, OLDEST
from orakul.tasks.feed import Entry
from orakul.tasks.projection import touches
from orakul.tasks.reader import LogLine

__all__ = ["PostgresFeed"]

_log = logging.getLogger("orakul.feed")

_WOKEN = counter("orakul_feed_wakeups_total", "Looks at the journal: told of something, or after a while.", ("by",))
_ENTRIES = counter("orakul_feed_entries_total", "Entries that readers of the journal got.")
_TOOK = histogram("orakul_feed_read_seconds", "Time to read what is new.")
_LOST = counter("orakul_feed_reconnects_total", "Times that a reader of the journal lost PostgreSQL.")
_CHANNEL = "oracle_feed"
_LOOK_SECONDS = 1.0
_BLIND_LOOK_SECONDS = 0.25
_ANSWER_SECONDS = 15.0
_BACK_OFF = (0.2, 0.5, 1.0, 2.0, 5.0)
_READERS = 4
_BATCH = 1000
_OLDEST_SECONDS = 60.0  # the oldest changes when a day is dropped, and looking for it costs
_LOG_WIDTH = 4
# A few new rows are looked up one by one, whatever the statistics say; so one plan is right for all.
_PLAN_ONCE = """
SELECT set_config(name, value, false) FROM (VALUES ('plan_cache_mode', 'force_generic_plan'), ('enable_seqscan', 'off'),
    ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'), ('enable_material', 'off'), ('enable_bitmapscan', 'off'),
    ('enable_memoize', 'off')) AS settings (name, value)
"""


class PostgresFeed:
    """Fulfils `tasks.Feed`. `url` leads to PostgreSQL itself rather than to a pooler, so that LISTEN works.

    `follow` has a connection of its own; `read` and `bounds` share a few.
    """

    def __init__(self, url: str, *, look_seconds: float = _LOOK_SECONDS) -> None:
        self.url = url
        self._look_seconds = look_seconds
        self._prepare = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: list[psycopg.AsyncConnection] = []
        self._free = asyncio.Semaphore(_READERS)
        self._oldest, self._oldest_until = 0, 0.0

    async def bounds(self) -> tuple[int, int]:
        """Return the oldest `seq` still kept and the newest given out; `(0, 0)` for an empty journal."""
        async with self._borrow() as connection:
            if self._oldest == 0 or time.monotonic() > self._oldest_until:
                self._oldest = await _number(connection, OLDEST)
                self._oldest_until = time.monotonic() + _OLDEST_SECONDS
            return self._oldest, await _number(connection, NEWEST)

    async def read(self, after: int, limit: int = 1000) -> list[Entry]:
        """Return the entries with `seq > after`, oldest first, at most `limit`."""
        async with self._borrow() as connection:
            return await _read(connection, after, limit)

    async def follow(self, after: int) -> AsyncIterator[list[Entry]]:
        """Yield batches of entries for ever, as they are stored: woken by LISTEN, sure by a look each second."""
        failures = 0
        while True:
            try:
                connection = await self._connect()
            except (psycopg.Error, TimeoutError, OSError) as error:
                failures += 1
                await self._back_off(failures, error)
                continue
            try:
                listening = await _listen(connection)
                if listening and self._prepare:
                    # The plan of the read, made once: planning over all partitions costs more than reading a few rows.
                    await connection.execute(_PLAN_ONCE)
                    connection.prepare_threshold = 0
                while True:
                    with _TOOK.time():
                        entries = await _read(connection, after, _BATCH)
                    failures = 0
                    if entries:
                        _ENTRIES.add(len(entries))
                        after = entries[-1].seq
                        yield entries
                    if len(entries) < _BATCH:
                        # Whatever is stored after that read is told of after it; so nothing is read in vain.
                        await self._wait(connection, self._look_seconds, listening=listening)
            except (psycopg.Error, TimeoutError, OSError) as error:
                failures += 1
                if isinstance(
                    error, psycopg.errors.InvalidSqlStatementName | psycopg.errors.DuplicatePreparedStatement
                ):
                    self._prepare = False  # a pooler stands in between, that changes servers under us
                await self._back_off(failures, error)
            finally:
                with suppress(Exception):
                    await connection.close()

    async def close(self) -> None:
        """Close the connections that are not in use."""
        idle, self._idle = self._idle, []
        for connection in idle:
            with suppress(Exception):
                await connection.close()

    async def _wait(self, connection: psycopg.AsyncConnection, seconds: float, *, listening: bool) -> None:
        """Wait until something is told of, or was since the last wait; at most that long."""
        if not listening:
            await asyncio.sleep(min(seconds, _BLIND_LOOK_SECONDS))
            _WOKEN.add(1, "look")
            return
        told = False
        async for _ in connection.notifies(timeout=seconds, stop_after=1):
            told = True
        _WOKEN.add(1, "notification" if told else "look")

    async def _back_off(self, failures: int, error: BaseException) -> None:
        pause = _BACK_OFF[min(failures, len(_BACK_OFF)) - 1] * random.uniform(0.7, 1.3)  # noqa: S311 (spreads clients)
        _LOST.add()
        where = shown_url(self.url)
        level = logging.WARNING if failures == 1 else logging.DEBUG
        _log.log(level, "The feed lost PostgreSQL at %s, trying again in %.1f s: %s", where, pause, error)
        await asyncio.sleep(pause)

    async def _connect(self) -> psycopg.AsyncConnection:
        connection = await psycopg.AsyncConnection.connect(
            self.url,
            autocommit=True,
            connect_timeout=5,
            application_name="orakul feed",
            prepare_threshold=None,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=15_000,
        )
        try:
            await connection.execute("SELECT set_config('TimeZone', 'UTC', false), set_config('jit', 'off', false)")
            adapt(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    @asynccontextmanager
    async def _borrow(self) -> AsyncIterator[psycopg.AsyncConnection]:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # connections belong to the loop that opened them
            self._loop, self._idle, self._free = loop, [], asyncio.Semaphore(_READERS)
        async with self._free:
            connection = None
            while self._idle and connection is None:
                connection = self._idle.pop()
                if not await _answers(connection):
                    connection = None
            try:
                connection = connection or await self._connect()
                yield connection
            except (psycopg.Error, TimeoutError, OSError) as error:
                if connection is not None:
                    await connection.close()
                unavailable = explain(error, self.url) if isinstance(error, psycopg.Error) else None
                raise (unavailable or JournalUnavailableError(f"PostgreSQL does not answer: {error}")) from error
            except BaseException:
                if connection is not None:
                    await connection.close()
                raise
            else:
                self._idle.append(connection)


async def _listen(connection: psycopg.AsyncConnection) -> bool:
    try:
        await connection.execute(f"LISTEN {_CHANNEL}")
    except psycopg.Error as error:
        if connection.closed:
            raise
        _log.warning("LISTEN is not to be had here (%s): the feed looks every %.2f s", error, _BLIND_LOOK_SECONDS)
        return False
    return True


async def _answers(connection: psycopg.AsyncConnection) -> bool:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await connection.execute("")
    except (psycopg.Error, TimeoutError, OSError):
        with suppress(Exception):
            await connection.close()
        return False
    return True


async def _number(connection: psycopg.AsyncConnection, statement: str) -> int:
    row = await (await connection.execute(statement)).fetchone()
    return int(row[0]) if row else 0


async def _read(connection: psycopg.AsyncConnection, after: int, limit: int) -> list[Entry]:
    async with asyncio.timeout(_ANSWER_SECONDS):
        ahead = await (await connection.execute(AHEAD, {"after": after, "limit": limit})).fetchone()
        if ahead is None or ahead[2] is None:
            return []
        oldest, newest, last, known = ahead
        values = {"after": after, "limit": limit, "last": last, "oldest": oldest, "newest": newest}
        with span("orakul.feed.read", after=after):
            cursor = await connection.execute(FEED if known else FEED_OF_ALL_TIMES, values)
            rows = await cursor.fetchall()
    return [_entry(row) for row in rows]


def _entry(row: Sequence[Any]) -> Entry:
    seq, task_row = row[0], row[EVENT_WIDTH + _LOG_WIDTH :]
    owner = task_row[5]
    if row[3] is None:
        attempt, level, logger, message = row[EVENT_WIDTH : EVENT_WIDTH + _LOG_WIDTH]
        line = LogLine(
            seq=seq,
            task_id=row[4],
            attempt=attempt,
            timestamp=row[1],
            level=level,
            logger=logger,
            message=message,
        )
        return Entry(seq=seq, kind="log", owner=owner, log=line)
    event = event_from(row[:EVENT_WIDTH])
    if task_row[0] is not None and touches(event):
        return Entry(seq=seq, kind="task", owner=owner, event=event, task=task_from(task_row))
    return Entry(seq=seq, kind="event", owner=owner, event=event)
