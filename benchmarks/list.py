"""How long a page of the list takes with 10 million tasks, against the same with 100 thousand.

    python benchmarks/list.py [--json] [--url URL] [--small 100000] [--large 10000000] [--times 200] [--keep]

Both sizes are databases of one server, filled by SQL: tasks of 30 days, 5,000 users, 300 names of unequal frequency,
3 kinds, 8 queues; 5 % failed, 1 % cancelled, the last 3,000 still open. Each page is asked for through the reader,
with other values each time, after some to warm up; p50 and p99 in milliseconds. Page 1,000 is reached by its chain of
cursors. With --url the databases `orakul_list_<size>` are made there; --keep leaves them for the next run.
"""

import argparse
import itertools
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg

from orakul.journals.postgres import Connections, EmbeddedPostgres, PostgresReader
from orakul.journals.postgres.migrations import upgrade
from orakul.journals.postgres.paging import SORTS
from orakul.tasks.reader import TaskQuery
from orakul.tasks.status import Status

PAGE = 50
USERS, NAMES = 5_000, 300

FILL = """
INSERT INTO orakul.tasks (
    task_id, created_at, started_at, finished_at, updated_at, era, run, name_era, queue_era, worker_era, attempt,
    priority, rank, event_id, status, kind, name, user_id, queue, worker, parent_id, root_id, trace_id, error_type,
    error_message, arguments, result)
SELECT md5(n::text)::uuid::text, created, started, finished, coalesce(finished, started, created), 17592186044416, 0,
    17592186044416, 17592186044416, 17592186044416, 1, 5, 5, md5(n::text), status,
    CASE WHEN n % 20 = 0 THEN 'export' WHEN n % 50 = 1 THEN 'operation' ELSE 'celery' END,
    'shop.tasks.' || lpad(floor({names} * power(random(), 3))::text, 3, '0'),
    'u' || floor({users} * power(random(), 2)), 'queue-' || n % 8, 'celery@host' || n % 32,
    CASE WHEN n % 10 = 0 THEN md5((n - 1)::text)::uuid::text END, NULL, NULL,
    CASE WHEN status = 'failed' THEN 'ValueError' END, CASE WHEN status = 'failed' THEN 'it went wrong: ' || n END,
    '{{"args": [1, "two"], "kwargs": {{"three": 3}}}}', CASE WHEN status = 'completed' THEN '{{"ok": true}}'::json END
FROM generate_series({first}, {last}) AS n,
LATERAL (SELECT CASE WHEN n > {size} - 2000 THEN 'pending' WHEN n > {size} - 3000 THEN 'in_progress'
                     WHEN random() < 0.05 THEN 'failed' WHEN random() < 0.01 THEN 'cancelled' ELSE 'completed'
                     END AS status,
                now() - interval '30 days' * (({size} - n)::float / {size}) AS created) AS about,
LATERAL (SELECT CASE WHEN status <> 'pending' THEN created + interval '3 seconds' * random() END AS started,
                CASE WHEN status NOT IN ('pending', 'in_progress')
                     THEN created + interval '90 seconds' * (random() + 0.1) END AS finished) AS times
"""
Ask = Callable[[], Any]


def fill(url: str, size: int) -> None:
    """Make that many tasks, then the indexes."""
    upgrade(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '512MB'")
        indexes = connection.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
            " WHERE indrelid = 'orakul.tasks'::regclass AND NOT indisprimary"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for first in range(1, size + 1, 500_000):
            last = min(first + 499_999, size)
            connection.execute(FILL.format(first=first, last=last, size=size, users=USERS, names=NAMES))
        for _, definition in indexes:
            connection.execute(definition)
        connection.execute(
            """
            INSERT INTO orakul.ended_by_minute
            SELECT owner, date_trunc('minute', finished_at), count(*) FILTER (WHERE status = 'completed'),
                   count(*) FILTER (WHERE status = 'failed'), count(*),
                   sum(extract(epoch FROM finished_at - started_at) * 1000000)
            FROM orakul.tasks CROSS JOIN LATERAL (VALUES (''), (user_id)) AS o (owner)
            WHERE status IN ('completed', 'failed') AND finished_at > now() - interval '1 day'
            GROUP BY 1, 2
            """
        )
        connection.execute("VACUUM (ANALYZE) orakul.tasks")
        connection.execute("VACUUM (ANALYZE) orakul.ended_by_minute")
        connection.execute("CHECKPOINT")


def questions(reader: PostgresReader) -> Iterator[tuple[str, Ask]]:
    """Yield what is asked, by name."""
    order = random.Random(1)  # noqa: S311 (no secret)

    def user() -> str:
        return f"u{int(USERS * order.random() ** 2)}"

    def name() -> str:
        return f"shop.tasks.{int(NAMES * order.random() ** 3):03d}"

    def page(**wanted: Any) -> Any:
        values = {key: value() if callable(value) else value for key, value in wanted.items()}
        return reader.tasks(TaskQuery(limit=PAGE, **values))

    yield "first page", page
    for direction, column in itertools.product(("", "-"), SORTS):
        if direction + column != "-created_at":
            yield f"first page, sort={direction}{column}", partial(page, sort=direction + column)
    deep = itertools.cycle(cursors(reader, 1_000, 20))
    yield "page 1,000", partial(page, cursor=lambda: next(deep))
    for sort in ("name", "-finished_at"):
        ends = itertools.cycle(cursors(reader, 1_000, 20, sort))
        yield f"page 1,000, sort={sort}", partial(page, sort=sort, cursor=lambda ends=ends: next(ends))
    yield "filtered: status=failed", partial(page, status=(Status.FAILED,))
    yield "filtered: status=pending,in_progress", partial(page, status=(Status.PENDING, Status.IN_PROGRESS))
    yield "filtered: name", partial(page, name=name)
    yield "filtered: name=prefix*", partial(page, name=lambda: name()[:-1] + "*")
    yield "filtered: user", partial(page, user=user)
    yield "filtered: kind", partial(page, kind=("operation",))
    yield "filtered: queue", partial(page, queue=lambda: (f"queue-{order.randint(0, 7)}",))
    yield "filtered: two queues, failed", partial(page, status=(Status.FAILED,), queue=("queue-1", "queue-3"))
    yield "filtered: name, status=failed", partial(page, name=name, status=(Status.FAILED,))
    yield "filtered: name, user", partial(page, name=name, user=user)
    yield "filtered: search=4 characters", partial(page, search=lambda: f"{order.getrandbits(16):04x}")
    yield "filtered: search=2 characters", partial(page, search=lambda: f"{order.getrandbits(8):02x}")
    yield "owner", partial(page, owner=user)
    yield "owner, status=failed", partial(page, owner=user, status=(Status.FAILED,))
    yield "owner, sort=name", partial(page, owner=user, sort="name")
    yield "status=failed, sort=name", partial(page, status=(Status.FAILED,), sort="name")
    yield "summary", reader.summary
    yield "summary of an owner", lambda: reader.summary(owner=user())
    yield "names", lambda: reader.names("shop.")
    yield "queues", reader.queues


def cursors(reader: PostgresReader, page: int, count: int, sort: str = "-created_at") -> list[str]:
    """Return the cursors of that page and the ones after it, reached page by page."""
    found: list[str] = []
    cursor = None
    for number in range(2, page + count):
        cursor = reader.tasks(TaskQuery(limit=PAGE, sort=sort, cursor=cursor)).next
        if cursor is None:
            break
        if number >= page:
            found.append(cursor)
    assert found, "the small size has fewer than 1,000 pages"
    return found


def measure(ask: Ask, times: int) -> dict[str, float]:
    """Return p50 and p99 in milliseconds."""
    for _ in range(max(10, times // 5)):
        ask()
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        ask()
        took.append((time.perf_counter() - begin) * 1000)
    return {"p50": statistics.median(took), "p99": statistics.quantiles(took, n=100)[98]}


def main() -> None:
    """Read the options, fill, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--url", help="a PostgreSQL that may be filled; else an embedded one")
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=10_000_000)
    parser.add_argument("--times", type=int, default=200, help="how often each page is asked for")
    parser.add_argument("--keep", action="store_true", help="use and leave the filled databases")
    arguments = parser.parse_args()
    found: dict[int, dict[str, dict[str, float]]] = {}
    with ExitStack() as stack:
        server = arguments.url or stack.enter_context(EmbeddedPostgres.temporary()).url
        with psycopg.connect(server) as connection:
            version = connection.info.server_version
        for size in (arguments.small, arguments.large):
            url = database(server, size, keep=arguments.keep)
            with Connections(url) as connections:
                reader = PostgresReader(connections)
                found[size] = {name: measure(ask, arguments.times) for name, ask in questions(reader)}
            if not arguments.keep:
                drop(server, size)
    report(arguments, found, f"PostgreSQL {version // 10_000}.{version % 10_000}")


def database(server: str, size: int, *, keep: bool) -> str:
    """Return the address of a database with that many tasks."""
    name = f"orakul_list_{size}"
    base = psycopg.conninfo.make_conninfo(server, dbname=name)
    with psycopg.connect(server, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if known and keep:
            return base
    drop(server, size)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    begin = time.perf_counter()
    fill(base, size)
    print(f"filled {size:,} tasks in {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    return base


def drop(server: str, size: int) -> None:
    """Drop the database of that size."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS orakul_list_{size} WITH (FORCE)")


def report(arguments: argparse.Namespace, found: dict[int, dict[str, dict[str, float]]], version: str) -> None:
    """Print what was measured."""
    small, large = found[arguments.small], found[arguments.large]
    about = (
        f"{version}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{datetime.now(UTC):%Y-%m-%d}"
    )
    rows = [
        {
            "page": name,
            "small": {key: round(value, 2) for key, value in small[name].items()},
            "large": {key: round(value, 2) for key, value in large[name].items()},
            "ratio of p99": round(large[name]["p99"] / small[name]["p99"], 2),
            "ratio of p50": round(large[name]["p50"] / small[name]["p50"], 2),
        }
        for name in small
    ]
    if arguments.json:
        sizes = {"small": arguments.small, "large": arguments.large}
        json.dump({"benchmark": "list", "about": about, "sizes": sizes, "rows": rows}, sys.stdout, indent=1)
        print()
        return
    print(f"{about}; {arguments.small:,} and {arguments.large:,} tasks; milliseconds; {arguments.times} times each")
    print(f"{'':<40} {'p50':>7} {'p99':>7}   {'p50':>7} {'p99':>7}   {'ratio p50':>9} {'p99':>5}")
    for row in rows:
        print(
            f"{row['page']:<40} {row['small']['p50']:>7.2f} {row['small']['p99']:>7.2f}   "
            f"{row['large']['p50']:>7.2f} {row['large']['p99']:>7.2f}   "
            f"{row['ratio of p50']:>9.2f} {row['ratio of p99']:>5.2f}"
        )


if __name__ == "__main__":
    main()
