"""The outbox in PostgreSQL, as the relay sees it: one session that holds locks, reads, settles and listens."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from orakul.delivery.relay import PARTS, Fate, WaitingRow
from orakul.errors import JournalUnavailableError
from orakul.journals.postgres.connection import SCHEMA, explain, shown_url
from orakul.journals.postgres.outbox import CHANNEL

__all__ = ["PostgresOutboxStore"]

_ANSWER_SECONDS = 30.0
_LOCKS = 0x6F7574  # the class of our advisory locks: "out"

_CLAIM = """
SELECT part FROM unnest(%s::int[]) AS part WHERE pg_try_advisory_lock(%s, part)
"""
# The first rows of the held parts. What is put off, and whatever stands behind it in its subject, is left out: few are.
# Sizes are summed while the envelopes are still where they are stored; only those that fit are read out.
_READ = f"""
SELECT seq, event_id::text, event_type, ordering_key, envelope::text, headers::text, attempts, created_at
FROM (
    SELECT *, sum(octet_length(envelope::text)) OVER (
        ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS bytes_before
    FROM (
        SELECT seq, event_id, event_type, ordering_key, envelope, headers, attempts, created_at
        FROM {SCHEMA}.outbox
        WHERE {{held}} ordering_key NOT IN (
            SELECT ordering_key FROM {SCHEMA}.outbox WHERE not_before > clock_timestamp()
        )
        ORDER BY seq LIMIT %(limit)s
    ) AS next
) AS counted
WHERE bytes_before IS NULL OR bytes_before < %(limit_bytes)s
ORDER BY seq
"""  # noqa: S608 (constants)
_DELETE = f"DELETE FROM {SCHEMA}.outbox WHERE seq = ANY(%s)"  # noqa: S608 (constants)
_PUT_OFF = f"""
UPDATE {SCHEMA}.outbox
SET attempts = attempts + 1, last_error = %s, not_before = clock_timestamp() + make_interval(secs => %s)
WHERE seq = %s
"""  # noqa: S608 (constants)
_LAY_ASIDE = f"""
WITH gone AS (DELETE FROM {SCHEMA}.outbox WHERE seq = %(seq)s RETURNING *)
INSERT INTO {SCHEMA}.outbox_dead
    (seq, event_id, event_type, ordering_key, envelope, headers, attempts, last_error, created_at)
SELECT seq, event_id, event_type, ordering_key, envelope, headers, attempts, %(reason)s, created_at FROM gone
ON CONFLICT DO NOTHING
"""  # noqa: S608 (constants)


class PostgresOutboxStore:
    """Fulfils `delivery.relay.OutboxStore`. `url` leads to PostgreSQL itself: locks and LISTEN belong to sessions."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: psycopg.AsyncConnection | None = None
        self._held: set[int] = set()

    async def open(self) -> None:
        """Connect and listen."""
        await self.close()
        try:
            self._connection = await psycopg.AsyncConnection.connect(
                self.url,
                autocommit=True,
                connect_timeout=5,
                application_name="orakul relay",
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=15_000,
            )
        except (psycopg.Error, OSError) as error:
            raise self._unavailable(error) from error
        # A batch is found by its numbers, whatever the statistics of a table that is mostly empty say.
        await self._execute("SELECT set_config('enable_seqscan', 'off', false), set_config('jit', 'off', false)")
        await self._execute(f"LISTEN {CHANNEL}")

    def _unavailable(self, error: BaseException) -> JournalUnavailableError:
        known = explain(error, self.url) if isinstance(error, psycopg.Error) else None
        said = str(error).strip() or type(error).__name__
        return known or JournalUnavailableError(f"PostgreSQL at {shown_url(self.url)} does not answer: {said}")

    async def _execute(self, statement: Any, values: Any = None) -> list[Any]:
        if self._connection is None:
            raise JournalUnavailableError("the outbox is not open")
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                cursor = await self._connection.execute(statement, values)
                return await cursor.fetchall() if cursor.description else []
        except (psycopg.Error, OSError, TimeoutError) as error:
            raise self._unavailable(error) from error

    async def claim(self) -> Collection[int]:
        """Try the locks of the parts that are not held."""
        missing = [part for part in range(PARTS) if part not in self._held]
        self._held |= {part for (part,) in await self._execute(_CLAIM, (missing, _LOCKS))}
        return self._held

    async def read(self, limit: int, limit_bytes: int) -> list[WaitingRow]:
        """Read the next rows."""
        held = "" if len(self._held) == PARTS else "part = ANY(%(held)s) AND "
        statement = sql.SQL(_READ.format(held=held))
        rows = await self._execute(statement, {"held": list(self._held), "limit": limit, "limit_bytes": limit_bytes})
        return [
            WaitingRow(
                seq=seq,
                event_id=event_id,
                event_type=event_type,
                ordering_key=key,
                envelope=envelope,
                headers={} if headers == "{}" else _texts(headers),
                attempts=attempts,
                created_at=created_at,
            )
            for seq, event_id, event_type, key, envelope, headers, attempts, created_at in rows
        ]

    async def settle(self, confirmed: Collection[int], fates: Sequence[Fate]) -> None:
        """Delete, put off, lay aside."""
        if not fates:
            await self._execute(_DELETE, (list(confirmed),))
            return
        await self._execute("BEGIN")
        await self._execute(_DELETE, (list(confirmed),))
        for fate in fates:
            reason = fate.reason.replace("\0", "␀")
            if fate.pause is None:
                await self._execute(_LAY_ASIDE, {"seq": fate.seq, "reason": reason})
            else:
                await self._execute(_PUT_OFF, (reason, fate.pause, fate.seq))
        await self._execute("COMMIT")

    async def wait(self, seconds: float) -> None:
        """Wait for a notification."""
        if self._connection is None:
            raise JournalUnavailableError("the outbox is not open")
        try:
            async for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                pass
        except (psycopg.Error, OSError) as error:
            raise self._unavailable(error) from error

    async def close(self) -> None:
        """Close the session."""
        connection, self._connection = self._connection, None
        self._held = set()
        if connection is not None:
            with suppress(Exception):
                await connection.close()


def _texts(headers: str) -> dict[str, str]:
    found = msgspec.json.decode(headers)
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
