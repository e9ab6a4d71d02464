"""The roll-ups say what a count of the tasks says: whatever came late, twice, in another order, or was taken back."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from orakul.events import Event
from orakul.journals.postgres import Connections, PostgresJournal
from orakul.journals.postgres.histograms import BOUNDS
from orakul.journals.postgres.migrations import versions
from orakul.journals.postgres.rollups import PostgresRollups

NOW = datetime.now(UTC)
POINTS = """
SELECT date_bin(make_interval(secs => %s), moment, '2000-01-01Z'), name, kind, queue, status, count(*), count(took),
       coalesce(round(sum(greatest(extract(epoch FROM took), 0)), 3), 0)
FROM orakul.tasks CROSS JOIN LATERAL (VALUES
    ('pending', created_at, NULL::interval),
    ('in_progress', started_at, CASE WHEN attempt = 1 AND run = 0 THEN started_at - greatest(created_at, eta) END),
    (status, finished_at, finished_at - started_at)
) AS p (point, moment, took)
WHERE moment IS NOT NULL
"""
COUNTED = f"{POINTS} GROUP BY 1, 2, 3, 4, point, 5 ORDER BY 1, 2, 3, 4, 5, point".replace(
    "queue, status,", "queue, point,"
)
ROLLED = """
SELECT bucket, name, kind, queue, status, n, timed, round(micros / 1000000, 3)
FROM orakul.rollups WHERE width = %s AND name IS NOT NULL AND n <> 0 ORDER BY 1, 2, 3, 4, 5
"""
OF_ALL = """
SELECT (SELECT count(*) FROM (
    SELECT bucket, kind, queue, status, sum(n), sum(timed), sum(micros) FROM orakul.rollups
    WHERE width = %(w)s AND name IS NOT NULL GROUP BY 1, 2, 3, 4
    EXCEPT SELECT bucket, kind, queue, status, n, timed, micros FROM orakul.rollups WHERE width = %(w)s AND name IS NULL
) AS lacking)
"""
OF_EVERYTHING = """
SELECT (SELECT count(*) FROM (
    SELECT bucket, status, sum(n), sum(timed), sum(micros), sum(histogram[12]) FROM orakul.rollups
    WHERE width = %(w)s AND name IS NOT NULL GROUP BY 1, 2 HAVING sum(n) <> 0
    EXCEPT SELECT bucket, status, n, timed, micros, histogram[12] FROM orakul.rollups
    WHERE width = %(w)s AND name IS NULL AND kind = ''
) AS lacking)
"""


def turmoil(order: random.Random, number: int) -> list[Event]:
    """Return events that contradict each other as they can: attempts, redeliveries, losses, late names and owners."""
    found = []
    for place in range(order.randint(1, 8)):
        task_id = f"t{order.randint(0, 30)}"
        status = order.choice(("pending", "in_progress", "in_progress", "completed", "failed", "failed", "cancelled"))
        data = {
            "attempt": order.randint(1, 2),
            "run": order.choice((0, 0, 0, 5)),
            "kind": order.choice((None, "celery", "export")),
            "name": order.choice((None, "pay", "send")),
            "queue": order.choice((None, "mail", "default")),
            "stage": order.choice((None, None, "lost", "before_start")),
            "eta": order.choice((None, None, (NOW - timedelta(minutes=50)).isoformat())),
            "arguments": order.choice((None, {"args": [number]})),
        }
        moment = NOW - timedelta(minutes=order.randint(0, 3000), milliseconds=order.randint(0, 100_000))
        found.append(
            Event(
                event_type=f"task.{status}",
                event_id=f"e{number}-{place}",
                task_id=task_id,
                timestamp=moment,
                data={key: value for key, value in data.items() if value is not None},
            )
        )
    return found


def test_they_agree_with_the_tasks_however_the_events_come(database_url: str) -> None:
    order = random.Random(7)  # noqa: S311 (no secret)
    with Connections(database_url) as connections:
        journal, rollups = PostgresJournal(connections), PostgresRollups(connections)
        for number in range(150):
            events = turmoil(order, number)
            journal.append(events)
            journal.append(events[:2])
            if order.random() < 0.2:
                rollups.fold()
        rollups.fold()
        assert rollups.fold() == 0
    with psycopg.connect(database_url) as connection:
        for width in (60, 600, 3600, 86400):
            rolled = connection.execute(ROLLED, (width,)).fetchall()
            assert rolled
            assert rolled == connection.execute(COUNTED, (width,)).fetchall()
            assert connection.execute(OF_ALL, {"w": width}).fetchone() == (0,)
            assert connection.execute(OF_EVERYTHING, {"w": width}).fetchone() == (0,)
        # A database that was there before rows of everything were: its migration makes the same.
        summed = Path(versions.__file__).with_name("0005_moments.sql").read_text("utf-8").partition("\n-- All kinds")[2]
        made = "SELECT * FROM orakul.rollups WHERE kind = '' ORDER BY width, bucket, status"
        kept = connection.execute(made).fetchall()
        connection.execute("DELETE FROM orakul.rollups WHERE kind = ''")
        connection.execute("-- All kinds" + summed)  # type: ignore[arg-type]  # read from a file of ours
        assert connection.execute(made).fetchall() == kept
        rows = connection.execute("SELECT timed, histogram FROM orakul.rollups").fetchall()
        assert all(sum(histogram) == timed and min(histogram) >= 0 for timed, histogram in rows)


def test_the_bounds_are_those_of_the_database(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT orakul.durations()").fetchone()
    assert row is not None
    assert tuple(row[0]) == BOUNDS
