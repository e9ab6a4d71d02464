"""Fill a database with tasks and events as a large house would have them, by SQL: for measurements, not for use.

    python scripts/generate_journal.py --url URL [--tasks 10000000] [--events 100000000] [--days 30]

Tasks of so many days, busier by day than by night, 5,000 owners and 300 names of unequal frequency (a name has its
queue, its kind and its usual duration), 5 % failed in some 100 groups, 1 % cancelled, the last 3,000 still open;
arguments and errors with words in them. Each task has three events of its status, the rest tell of its progress.

Everything goes in without indexes, which are built after it, and nothing through `append` and `fold`: these would take
half a day. Each day's events are filled and indexed in a transaction of their own, two days at once: where the server
has `wal_level = minimal` (and `max_wal_senders = 0`), these are written once and not to the log; `fsync = off`,
`full_page_writes = off` and `shared_buffers` of 2 GB make it quicker still. Roll-ups are what `fold` would have made,
but for minutes (kept of the last day only) and ten minutes (of the last three days). With `--events` at 10 a task, a
million tasks take about 5.5 GB.
"""

# ruff: noqa: S608 (put together from constants)

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial

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
INSERT INTO orakul.{part} (seq, timestamp, event_id, event_type, task_id, user_id, data)
SELECT {base} + row_number() OVER (), moment, left(t.task_id, 35) || chr(96 + k::integer), told, t.task_id, t.user_id,
       CASE WHEN k > 3 THEN ('{{"attempt":1,"run":0,"progress":{{"done":' || k - 3 || ',"total":{each}}}}}')::json
            ELSE ('{{"attempt":1,"run":0,"name":"' || t.name || '","queue":"' || t.queue || '"}}')::json END
FROM (SELECT task_id, name, queue, user_id, status, created_at, started_at, finished_at FROM orakul.tasks
      WHERE created_at >= '{day}'::timestamptz - interval '1 hour' AND created_at < '{next}'::timestamptz
      ORDER BY created_at) AS t
CROSS JOIN generate_series(1, {each}) AS k
CROSS JOIN LATERAL (SELECT
    CASE k WHEN 1 THEN t.created_at WHEN 2 THEN t.started_at WHEN 3 THEN t.finished_at
         ELSE t.started_at + (t.finished_at - t.started_at) * (k - 3.0) / {each} END AS moment,
    CASE k WHEN 1 THEN 'task.pending' WHEN 2 THEN 'task.in_progress' WHEN 3 THEN 'task.' || t.status
         ELSE 'task.progress' END AS told) AS e
WHERE moment >= '{day}' AND moment < '{next}'
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
WHERE created_at >= now() - {first} * interval '1 day' AND created_at < now() - {last} * interval '1 day'
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


Definitions = list[tuple[str, str]]


def generate(url: str, tasks: int, events: int, days: int) -> None:
    """Bring the tables, then the tasks, their events and words, what is counted of them, their indexes, statistics."""
    upgrade(url)
    with _connected(url) as connection:
        _partitions(connection, days)
        of_words = _without_indexes(connection, "task_words")
        of_tasks = _without_indexes(connection, "tasks")
        of_events = _without_indexes(connection, "events")
        of_rollups = _without_indexes(connection, "rollups")
    _at_once(2, [partial(_fill_tasks, url, tasks, days, first) for first in range(1, tasks + 1, _CHUNK)])
    _say(f"{tasks:,} tasks are in")
    first = [each for each in of_tasks if " PRIMARY KEY " in each[1] or "tasks_created " in each[1]]
    _at_once(2, [partial(_build, url, [each]) for each in first])
    with _connected(url) as connection:
        connection.execute("VACUUM (ANALYZE) orakul.tasks")
    _say("tasks are found by id and time")
    parts, each = _parts(url), max(3, events // tasks)
    step = max(10_000, 4 * tasks * each // days)
    fill = [
        partial(_fill_events, url, day, base=number * step, each=each, definitions=of_events)
        for number, day in enumerate(parts)
    ]
    others: list[Callable[[], None]] = [
        partial(_build, url, [definition]) for definition in of_tasks if definition not in first
    ]
    with ThreadPoolExecutor(2) as pool:
        begun = [pool.submit(_at_once, 2, fill), pool.submit(_rest, url, days, others, of_words, of_rollups)]
        for one in begun:
            one.result()
    with _connected(url) as connection:
        for _, definition in of_events:
            connection.execute(definition)
        connection.execute("SELECT setval('orakul.journal_seq', %s)", (len(parts) * step,))
        connection.execute("UPDATE orakul.event_counts_cursor SET seq = %s", (len(parts) * step,))
        connection.execute("VACUUM (ANALYZE) orakul.tasks, orakul.rollups, orakul.task_words, orakul.rollup_changes")
        connection.execute("CHECKPOINT")
    _say("all is there")


def _rest(
    url: str, days: int, indexes: list[Callable[[], None]], of_words: Definitions, of_rollups: Definitions
) -> None:
    _at_once(1, indexes)
    _say("tasks are indexed")
    for day in range(days + 2, -1, -5):
        with _connected(url) as connection:
            connection.execute(_WORDS.format(first=day, last=day - 5))
    _say("words are in")
    _build(url, of_words)
    _say("words are indexed")
    with _connected(url) as connection:
        for width, kept in _KEPT.items():
            connection.execute(_ROLLUPS, {"width": width, "kept": kept})
        connection.execute(_DAYS_OF_ROLLUPS)
    _build(url, of_rollups)
    _say("roll-ups are made")


def _at_once(sessions: int, jobs: list[Callable[[], None]]) -> None:
    with ThreadPoolExecutor(sessions) as pool:
        for begun in [pool.submit(job) for job in jobs]:
            begun.result()


def _fill_tasks(url: str, tasks: int, days: int, first: int) -> None:
    known = {"users": USERS, "names": NAMES, "queues": QUEUES, "workers": WORKERS, "size": tasks, "days": days}
    with _connected(url) as connection:
        connection.execute(_TASKS.format(first=first, last=min(first + _CHUNK - 1, tasks), **known))


def _fill_events(url: str, day: date, *, base: int, each: int, definitions: Definitions) -> None:
    """Fill a partition and index it while it is in memory."""
    part = f"events_{day:%Y%m%d}"
    with _connected(url) as connection:
        with connection.transaction():
            connection.execute(f"TRUNCATE orakul.{part}")  # made empty here: so it need not go to the log
            text = _EVENTS.format(part=part, base=base, each=each, day=f"{day}Z", next=f"{day + timedelta(days=1)}Z")
            made = connection.execute(text).rowcount
            for name, definition in definitions:
                connection.execute(
                    definition.replace(f" {name} ", f" {name.replace('events', part)} ").replace(
                        " orakul.events ", f" orakul.{part} "
                    )
                )
        connection.execute(f"VACUUM (ANALYZE) orakul.{part}")
    _say(f"{made:,} events of {day} are in")


def _parts(url: str) -> list[date]:
    """Return the days that have a partition of events."""
    with _connected(url) as connection:
        found = connection.execute(
            "SELECT to_date(right(inhrelid::regclass::text, 8), 'YYYYMMDD') FROM pg_inherits"
            " WHERE inhparent = 'orakul.events'::regclass AND inhrelid <> 'orakul.events_rest'::regclass ORDER BY 1"
        )
        return [day for (day,) in found]


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True, options="-c TimeZone=UTC") as connection:
        for setting in ("maintenance_work_mem = '1GB'", "work_mem = '512MB'", "synchronous_commit = off", "jit = off"):
            connection.execute(f"SET {setting}")
        connection.execute("SET max_parallel_workers_per_gather = 0")
        connection.execute("SET max_parallel_maintenance_workers = 0")  # other sessions are at work beside it
        yield connection


def _without_indexes(connection: psycopg.Connection, table: str) -> Definitions:
    """Drop the indexes and constraints of a table; return what makes them again, in that order."""
    of_table = (f"orakul.{table}",)
    constraints = connection.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = %s::regclass AND contype IN ('p', 'u', 'f') ORDER BY contype = 'f'",
        of_table,
    ).fetchall()
    for name, _ in reversed(constraints):
        connection.execute(f"ALTER TABLE orakul.{table} DROP CONSTRAINT {name}")
    indexes = connection.execute(
        "SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE indrelid = %s::regclass",
        of_table,
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX orakul.{name}")
    made = [(name, f"ALTER TABLE orakul.{table} ADD CONSTRAINT {name} {text}") for name, text in constraints]
    return made + [(name, text.replace(" ON ONLY ", " ON ")) for name, text in indexes]


def _build(url: str, definitions: Definitions) -> None:
    with _connected(url) as connection:
        for _, definition in definitions:
            connection.execute(definition)


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
