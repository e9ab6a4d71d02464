"""Fill a database with tasks and events as a large house would have them, by SQL: for measurements, not for use.

    python scripts/generate_journal.py --url URL [--tasks 10000000] [--events 100000000] [--days 30]

Tasks of so many days, busier by day than by night, 5,000 owners and 300 names of unequal frequency (a name has its
queue, its kind and its usual duration), 5 % failed in some 100 groups, 1 % cancelled, the last 3,000 still open;
arguments and errors with words in them. Each task has three events of its status, the rest tell of its progress.

Everything goes in without indexes, which are built after it, and nothing through `append` and `fold`: these would take
half a day. Roll-ups are what `fold` would have made, but for minutes (kept of the last day only) and ten minutes (of
the last three days).
"""

# ruff: noqa: S608 (put together from constants)

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg

from orakul.journals.postgres.migrations import upgrade

USERS, NAMES, QUEUES, WORKERS = 5_000, 300, 8, 40
_CHUNK = 500_000
_BEGIN = time.perf_counter()
_COLUMNS = """
    task_id, created_at, started_at, finished_at, updated_at, era, run, name_era, queue_era, worker_era, attempt,
    priority, rank, event_id, status, kind, name, user_id, queue, worker, parent_id, error_type, error_place,
    error_message, arguments, result"""
_TASKS = """
INSERT INTO orakul.tasks ({columns}, error_key)
SELECT made.*, orakul.error_key(status, error_type, error_place, coalesce(error_message, '')) FROM (
SELECT md5(n::text)::uuid::text, created, started, finished, coalesce(finished, started, created), 17592186044416, 0,
    17592186044416, 17592186044416, 17592186044416, 1, 5, 5, md5(n::text), status,
    CASE WHEN named % 20 = 0 THEN 'export' WHEN named % 50 = 1 THEN 'operation' ELSE 'celery' END,
    'shop.tasks.' || lpad(named::text, 3, '0'), 'u' || floor({users} * power(random(), 2)),
    'queue-' || named % {queues},
    CASE WHEN started IS NOT NULL THEN 'celery@host' || n % {workers} END,
    CASE WHEN n % 10 = 0 THEN md5((n - 1)::text)::uuid::text END,
    CASE WHEN status = 'failed'
         THEN (ARRAY['ValueError', 'KeyError', 'TimeoutError', 'ConnectionError'])[1 + n % 4] END,
    CASE WHEN status = 'failed' THEN 'shop/tasks.py:' || n % 100 || ' work' END,
    CASE WHEN status = 'failed'
         THEN 'it went wrong with order ' || n || ': ' || (ARRAY['declined', 'refused'])[1 + n % 2] END,
    json_build_object('args', json_build_array(n, 'customer' || n % 100000),
                      'kwargs', json_build_object('language', 'en')),
    CASE WHEN status = 'completed' THEN '{{"ok": true}}'::json END
FROM generate_series({first}, {last}) AS n,
LATERAL (SELECT floor({names} * power(random() + n * 0, 3))::integer AS named,
                CASE WHEN n > {size} - 2000 THEN 'pending' WHEN n > {size} - 3000 THEN 'in_progress'
                     WHEN random() < 0.05 THEN 'failed' WHEN random() < 0.01 THEN 'cancelled' ELSE 'completed'
                     END AS status,
                -- The nights are quieter than the days.
                now() - interval '1 day' * {days} * (({size} - n)::float / {size})
                    - interval '1 hour' * abs(sin(n * pi() * {days} / {size})) * least(1, ({size} - n) / 10000.0)
                    AS created
) AS about,
LATERAL (SELECT CASE WHEN status <> 'pending'
                     THEN created + interval '3 seconds' * -ln(1 - random()) END AS started) AS s,
LATERAL (SELECT CASE WHEN status NOT IN ('pending', 'in_progress')
                     THEN started + interval '1 second' * (0.05 + named % 17) * -ln(1 - random()) END AS finished) AS f
) AS made ({columns})
""".replace("{columns}", _COLUMNS)
_EVENTS = """
INSERT INTO orakul.events (seq, timestamp, event_id, event_type, task_id, user_id, data)
SELECT nextval('orakul.journal_seq'), moment, md5(t.task_id || k), told, t.task_id, t.user_id,
       json_build_object('attempt', 1, 'run', 0, 'name', t.name, 'queue', t.queue)
FROM (SELECT * FROM orakul.tasks WHERE created_at >= %s AND created_at < %s) AS t
CROSS JOIN generate_series(1, {each}) AS k
CROSS JOIN LATERAL (SELECT
    CASE k WHEN 1 THEN t.created_at WHEN 2 THEN t.started_at WHEN 3 THEN t.finished_at
         ELSE t.started_at + (t.finished_at - t.started_at) * (k - 3.0) / {each} END AS moment,
    CASE k WHEN 1 THEN 'task.pending' WHEN 2 THEN 'task.in_progress' WHEN 3 THEN 'task.' || t.status
         ELSE 'task.progress' END AS told) AS e
WHERE moment IS NOT NULL
"""
_DAYS = """
INSERT INTO orakul.{table} (seq, timestamp, event_id, {columns})
SELECT 0, current_date - d + interval '1 hour', 'day ' || d, {values} FROM generate_series(2, {days}) AS d
"""
_WORDS = """
INSERT INTO orakul.task_words (task_id, created_at, words)
SELECT task_id, created_at, to_tsvector('simple', concat_ws(' ', left(arguments::text, 4000), left(error_type, 200),
                                                            left(error_message, 2000)))
FROM orakul.tasks
"""
_SLOTS = 48
_COUNTED = ", ".join(f"coalesce(sum(n) FILTER (WHERE slot = {slot}), 0)::integer" for slot in range(_SLOTS))
_ADDED = ", ".join(f"sum(histogram[{slot}])::integer" for slot in range(1, _SLOTS + 1))
_ROLLUPS = f"""
WITH points AS (
    SELECT date_bin(make_interval(secs => %(width)s), p.moment, '2000-01-01Z') AS bucket, name, kind, queue, p.status,
           greatest(extract(epoch FROM p.took) * 1000, 0)::double precision AS milliseconds
    FROM orakul.tasks, LATERAL (VALUES
        ('pending', created_at, NULL::interval), ('in_progress', started_at, started_at - created_at),
        (tasks.status, finished_at, finished_at - started_at)) AS p (status, moment, took)
    WHERE created_at >= now() - %(kept)s * interval '1 day' AND p.moment IS NOT NULL
), fine AS (
    SELECT bucket, name, kind, queue, status, width_bucket(milliseconds, orakul.durations()) AS slot, count(*) AS n,
           sum(milliseconds) * 1000 AS micros
    FROM points GROUP BY 1, 2, 3, 4, 5, 6
)
INSERT INTO orakul.rollups (width, bucket, name, kind, queue, status, n, timed, micros, histogram)
SELECT %(width)s, bucket, name, coalesce(kind, ''), queue, status, sum(n),
       coalesce(sum(n) FILTER (WHERE slot IS NOT NULL), 0), coalesce(sum(micros), 0), ARRAY[{_COUNTED}]
FROM fine GROUP BY GROUPING SETS ((bucket, status, name, kind, queue), (bucket, status, kind, queue), (bucket, status))
"""
_DAYS_OF_ROLLUPS = f"""
INSERT INTO orakul.rollups (width, bucket, name, kind, queue, status, n, timed, micros, histogram)
SELECT 86400, date_bin('1 day', bucket, '2000-01-01Z'), name, kind, queue, status, sum(n), sum(timed), sum(micros),
       ARRAY[{_ADDED}]
FROM orakul.rollups WHERE width = 3600 GROUP BY 2, 3, 4, 5, 6
"""
_KEPT = {60: 1, 600: 3, 3600: 400}


def generate(url: str, tasks: int, events: int, days: int) -> None:
    """Bring the tables, then the tasks, their events and words, what is counted of them, their indexes, statistics."""
    upgrade(url)
    with _connected(url) as connection:
        _partitions(connection, days)
        with _unindexed(connection, "tasks"):
            known = {"users": USERS, "names": NAMES, "queues": QUEUES, "workers": WORKERS, "size": tasks, "days": days}
            for first in range(1, tasks + 1, _CHUNK):
                connection.execute(_TASKS.format(first=first, last=min(first + _CHUNK - 1, tasks), **known))
            _say(f"{tasks:,} tasks are in")
        connection.execute("VACUUM (ANALYZE) orakul.tasks")
        _say("tasks are indexed")
    with ThreadPoolExecutor(2) as pool:
        begun = [pool.submit(_fill_events, url, max(3, events // tasks), days), pool.submit(_fill_counts, url)]
        for each in begun:
            each.result()
    with _connected(url) as connection:
        connection.execute("CHECKPOINT")


def _fill_events(url: str, each: int, days: int) -> None:
    with _connected(url) as connection:
        with _unindexed(connection, "events"):
            _events(connection, each, days)
            _say("events are in")
        connection.execute("VACUUM (ANALYZE) orakul.events")
        _say("events are indexed")


def _fill_counts(url: str) -> None:
    with _connected(url) as connection:
        with _unindexed(connection, "rollups"):
            for width, kept in _KEPT.items():
                connection.execute(_ROLLUPS, {"width": width, "kept": kept})
            connection.execute(_DAYS_OF_ROLLUPS)
        _say("roll-ups are made")
        with _unindexed(connection, "task_words"):
            connection.execute(_WORDS)
        _say("words are in")
        connection.execute("VACUUM (ANALYZE) orakul.rollups, orakul.task_words, orakul.rollup_changes")


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True, options="-c TimeZone=UTC") as connection:
        for setting in ("maintenance_work_mem = '1GB'", "work_mem = '512MB'", "synchronous_commit = off", "jit = off"):
            connection.execute(f"SET {setting}")
        connection.execute("SET max_parallel_workers_per_gather = 2")
        yield connection


@contextmanager
def _unindexed(connection: psycopg.Connection, table: str) -> Iterator[None]:
    """Drop the indexes of a table, but not its primary key, and build them again at the end."""
    of_table = (f"orakul.{table}",)
    constraints = connection.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'u'",
        of_table,
    ).fetchall()
    for name, _ in constraints:
        connection.execute(f"ALTER TABLE orakul.{table} DROP CONSTRAINT {name}")
    indexes = connection.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid = %s::regclass AND NOT indisprimary",
        of_table,
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    yield
    for _, definition in indexes:
        connection.execute(definition.replace(" ON ONLY ", " ON "))
    for name, definition in constraints:
        connection.execute(f"ALTER TABLE orakul.{table} ADD CONSTRAINT {name} {definition}")


def _say(what: str) -> None:
    print(f"{time.perf_counter() - _BEGIN:6.0f} s  {what}", file=sys.stderr)


def _partitions(connection: psycopg.Connection, days: int) -> None:
    """Have the journal make the partitions of days gone by, as it does for events that come late."""
    for table, columns, values in (
        ("events", "event_type, data", "'day', '{}'::json"),
        ("logs", "attempt, task_id, level, logger, message", "1, '', '', '', ''"),
    ):
        text = _DAYS.format(table=table, columns=columns, values=values, days=min(days + 1, 58))
        connection.execute(text)
    connection.execute("SELECT orakul.maintain()")
    for table in ("events", "logs"):
        connection.execute(f"DELETE FROM orakul.{table}")


def _events(connection: psycopg.Connection, each: int, days: int) -> None:
    text = _EVENTS.format(each=each)
    for day in range(days + 2, -1, -1):
        bounds = connection.execute(
            "SELECT now() - %s * interval '1 day', now() - %s * interval '1 day'", (day, day - 1)
        )
        connection.execute(text, bounds.fetchone())


def main() -> None:
    """Read the options, and fill."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--url", required=True, help="a database of PostgreSQL that may be filled")
    parser.add_argument("--tasks", type=int, default=10_000_000)
    parser.add_argument("--events", type=int, default=100_000_000)
    parser.add_argument("--days", type=int, default=30)
    given = parser.parse_args()
    generate(given.url, given.tasks, given.events, given.days)


if __name__ == "__main__":
    main()
