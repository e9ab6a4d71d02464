"""Fill a database with tasks and events as a large house would have them, by SQL: for measurements, not for use.

    python scripts/generate_journal.py --url URL [--tasks 10000000] [--events 100000000] [--days 30]

Tasks of so many days, busier by day than by night, 5,000 owners and 300 names of unequal frequency (a name has its
queue, its kind and its usual duration), 5 % failed in some 100 groups, 1 % cancelled, the last 3,000 still open;
arguments and errors with words in them. Each task has three events of its status, the rest tell of its progress.
Roll-ups and words are made by the journal's own `fold`.
"""

import argparse
import sys
import time

import psycopg

from orakul.journals.postgres.migrations import upgrade

USERS, NAMES, QUEUES, WORKERS = 5_000, 300, 8, 40
_CHUNK = 500_000
_TASKS = """
INSERT INTO orakul.tasks (
    task_id, created_at, started_at, finished_at, updated_at, era, run, name_era, queue_era, worker_era, attempt,
    priority, rank, event_id, status, kind, name, user_id, queue, worker, parent_id, error_type, error_place,
    error_message, arguments, result)
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
"""
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
_NOTES = """
INSERT INTO orakul.rollup_changes (created_at, started_at, finished_at, eta, first, says_more, task_id, kind, name,
                                   queue, status)
SELECT created_at, started_at, finished_at, eta, true, true, task_id, kind, name, queue, status FROM orakul.tasks
"""


def generate(url: str, tasks: int, events: int, days: int) -> None:
    """Bring the tables, then the tasks, their indexes, their events, what is counted of them, and statistics."""
    upgrade(url)
    with psycopg.connect(url, autocommit=True, options="-c TimeZone=UTC") as connection:
        connection.execute("SET maintenance_work_mem = '512MB'; SET synchronous_commit = off")
        _partitions(connection, days)
        indexes = connection.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
            " WHERE indrelid = 'orakul.tasks'::regclass AND NOT indisprimary"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        known = {"users": USERS, "names": NAMES, "queues": QUEUES, "workers": WORKERS, "size": tasks, "days": days}
        for first in range(1, tasks + 1, _CHUNK):
            text = _TASKS.format(first=first, last=min(first + _CHUNK - 1, tasks), **known)
            connection.execute(text)
        for _, definition in indexes:
            connection.execute(definition)
        _events(connection, max(3, events // tasks), days)
        connection.execute(_NOTES)
        while (row := connection.execute("SELECT orakul.fold(100000)").fetchone()) and row[0]:
            pass
        for table in ("tasks", "task_words", "rollups", "rollup_changes", "events"):
            connection.execute(f"VACUUM (ANALYZE) orakul.{table}")
        connection.execute("CHECKPOINT")


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
        connection.execute(f"DELETE FROM orakul.{table}")  # noqa: S608 (names of ours)


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
    begin = time.perf_counter()
    generate(given.url, given.tasks, given.events, given.days)
    print(f"{given.tasks:,} tasks in {time.perf_counter() - begin:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
