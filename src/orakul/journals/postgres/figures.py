"""What metrics ask of the journal."""

# ruff: noqa: S608 (statements are put together from constants)

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from orakul.instruments import OTHER
from orakul.journals.postgres.connection import SCHEMA, Connections
from orakul.journals.postgres.histograms import SLOTS, Tally
from orakul.tasks.fleet_figures import Cursors, RecentTasks, Waiting

__all__ = ["PostgresFigures"]

_MOST = 10_000
_MOST_ROWS = 5_000
_SLOTS = ", ".join(f"sum(histogram[{slot}])" for slot in range(1, SLOTS + 1))
# Five buckets at most, by their index; with more names than that many rows the least busy are left out.
_RECENT = f"""
SELECT name, queue, status, sum(n)::bigint, sum(timed)::bigint, sum(micros)::double precision, ARRAY[{_SLOTS}]::bigint[]
FROM {SCHEMA}.rollups
WHERE width = 60 AND name IS NOT NULL AND bucket > now() - interval '5 minutes'
GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT {_MOST_ROWS}
"""
_CURSORS = f"""
SELECT coalesce((SELECT last_seq FROM {SCHEMA}.batches ORDER BY last_seq DESC LIMIT 1), 0),
       (SELECT seq FROM {SCHEMA}.reaction_cursor),
       (SELECT seq FROM {SCHEMA}.event_counts_cursor),
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
# One step in the index of what is due for each notifier, of whom there are few.
_REACTIONS = f"""
WITH RECURSIVE known AS (
    (SELECT notifier FROM {SCHEMA}.reaction_deliveries WHERE status = 'pending' ORDER BY notifier LIMIT 1)
    UNION ALL
    SELECT (SELECT d.notifier FROM {SCHEMA}.reaction_deliveries d
            WHERE d.status = 'pending' AND d.notifier > known.notifier ORDER BY d.notifier LIMIT 1)
    FROM known WHERE known.notifier IS NOT NULL
)
SELECT notifier,
       (SELECT count(*) FROM (SELECT FROM {SCHEMA}.reaction_deliveries d
                              WHERE d.status = 'pending' AND d.notifier = k.notifier LIMIT {_MOST}) AS bounded),
       (SELECT min(due_at) FROM {SCHEMA}.reaction_deliveries d WHERE d.status = 'pending' AND d.notifier = k.notifier)
FROM (SELECT notifier FROM known WHERE notifier IS NOT NULL LIMIT 100) AS k
"""


class PostgresFigures:
    """Fulfils `tasks.fleet_figures.FleetFigures`."""

    def __init__(self, connections: Connections | str) -> None:
        self.connections = Connections(connections) if isinstance(connections, str) else connections

    def recent(self, most: int) -> Sequence[RecentTasks]:
        """Return the busiest names and queues, and the others as one."""
        found: dict[tuple[str, str], dict[str, Tally]] = {}
        for name, queue, status, *sums in self._rows(_RECENT):
            key = (name or "", queue or "")
            if key not in found and len(found) >= most:
                key = (OTHER, OTHER)
            found.setdefault(key, {}).setdefault(status, Tally()).add(*sums)
        return [_recent(key, tallies) for key, tallies in found.items()]

    def cursors(self) -> Cursors:
        """Return where the journal ends, and where its readers are."""
        [(newest, reactions, counts, waiting)] = self._rows(_CURSORS)
        readers = {"event counts": counts, "reactions": reactions}
        known = {name: seq for name, seq in readers.items() if seq is not None}
        return Cursors(newest=newest, readers=known, lock_waiting=waiting)

    def reactions(self) -> Mapping[str, Waiting]:
        """Return what waits, by notifier."""
        return {name: Waiting(count=count, due_at=due_at) for name, count, due_at in self._rows(_REACTIONS)}

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        def read(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
            return connection.execute(statement.encode()).fetchall()

        return self.connections.run("read", read)


def _recent(key: tuple[str, str], tallies: Mapping[str, Tally]) -> RecentTasks:
    worked = Tally()
    for status in ("completed", "failed"):
        if status in tallies:
            worked.join(tallies[status])
    return RecentTasks(
        name=key[0],
        queue=key[1],
        counts={status: max(0, tally.n) for status, tally in tallies.items()},
        duration=worked.spread(),
        waiting=tallies.get("in_progress", Tally()).spread(),
    )
