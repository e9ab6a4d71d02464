"""How long the control room's questions take with many tasks, against the same with few.

    python benchmarks/room.py [--json] [--url URL] [--small 100000] [--large 10000000] [--events 10] [--times 50]

Both sizes are databases of one server, filled by `scripts/generate_journal.py` (so many events a task). The first page,
each filter, counts, groups of errors, charts and insights are asked for through the reader, with other values each
time; p50 and p99 in milliseconds, how many answers were partial, and the ratio of large to small. With --url the
databases `orakul_room_<size>` are made there; --keep leaves them for the next run.
"""

import argparse
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from orakul.journals.postgres import Connections, EmbeddedPostgres, PostgresReader
from orakul.journals.postgres.room import PostgresRoom
from orakul.tasks.reader import TaskQuery
from orakul.tasks.status import Status

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from generate_journal import NAMES, QUEUES, USERS, WORKERS, generate

Ask = Callable[[], Any]


def questions(reader: PostgresReader, room: PostgresRoom, size: int) -> Iterator[tuple[str, Ask]]:
    """Yield what is asked, by name."""
    order = random.Random(1)  # noqa: S311 (no secret)
    now = datetime.now(UTC)

    def name() -> str:
        return f"shop.tasks.{int(NAMES * order.random() ** 3):03d}"

    def user() -> str:
        return f"u{int(USERS * order.random() ** 2)}"

    def query(**wanted: Any) -> TaskQuery:
        return TaskQuery(**{key: value() if callable(value) else value for key, value in wanted.items()})

    def word() -> str:
        return f"customer{order.randint(0, 99_999)}"

    filters: dict[str, dict[str, Any]] = {
        "first page": {},
        "status": {"status": (Status.FAILED,)},
        "name": {"name": name},
        "user": {"user": user},
        "kind": {"kind": ("operation",)},
        "queue": {"queue": lambda: (f"queue-{order.randrange(QUEUES)}",)},
        "worker": {"worker": lambda: (f"celery@host{order.randrange(WORKERS)}",)},
        "a worker that is not there": {"worker": ("nobody",)},
        "an hour of some day": {"since": now - timedelta(days=9), "until": now - timedelta(days=9, hours=-1)},
        "search": {"search": lambda: f"{order.getrandbits(24):06x}"},
        "text, a customer": {"text": word},
        "text, one task": {"text": lambda: str(order.randint(size // 2, size))},
        "text, in all tasks": {"text": "language"},
        "text, in 2.5 % of the tasks": {"text": "declined"},
        "text, in none": {"text": "unheard"},
        "text, worker, status": {"text": "declined", "worker": ("celery@host7",), "status": (Status.FAILED,)},
        "owner": {"owner": user},
        "owner, text": {"owner": user, "text": "declined"},
    }
    for label, wanted in filters.items():
        yield label, lambda wanted=wanted: reader.tasks(query(**wanted))
    for label, wanted in (("", {}), (" of a name", {"name": name}), (" of an owner", {"owner": user})):
        yield f"counts{label}", lambda wanted=wanted: room.counts(query(**wanted))
        yield f"errors{label}", lambda wanted=wanted: room.errors(query(**wanted))
    yield "counts of a text", lambda: room.counts(query(text="declined"))
    for label, hours in (("1 h", 1), ("24 h", 24), ("7 d", 168), ("30 d", 720)):
        since = now - timedelta(hours=hours)
        yield f"chart of {label}", partial(room.chart, since, now)
        yield f"chart of {label}, a name", lambda since=since: room.chart(since, now, name=name())
    yield "chart of 7 d, an owner", lambda: room.chart(now - timedelta(days=7), now, owner=user())
    yield "insights", room.insights
    yield "queue figures", lambda: room.queue_figures([f"queue-{number}" for number in range(QUEUES)])


def measure(ask: Ask, times: int) -> dict[str, float]:
    """Return p50 and p99 in milliseconds, and the share of partial answers."""
    for _ in range(3):
        ask()
    took, cut = [], 0
    for _ in range(times):
        begin = time.perf_counter()
        answer = ask()
        took.append((time.perf_counter() - begin) * 1000)
        cut += getattr(answer, "partial", False)
    return {"p50": statistics.median(took), "p99": statistics.quantiles(took, n=100)[98], "partial": cut / times}


def main() -> None:
    """Read the options, fill, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--url", help="a PostgreSQL that may be filled; else an embedded one")
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=10_000_000)
    parser.add_argument("--events", type=int, default=10, help="events a task")
    parser.add_argument("--times", type=int, default=50, help="how often each is asked")
    parser.add_argument("--keep", action="store_true", help="use and leave the filled databases")
    given = parser.parse_args()
    found: dict[int, dict[str, dict[str, float]]] = {}
    with ExitStack() as stack:
        server = given.url or stack.enter_context(EmbeddedPostgres.temporary()).url
        for size in (given.small, given.large):
            with Connections(_database(server, size, given.events, keep=given.keep)) as connections:
                asked = questions(PostgresReader(connections), PostgresRoom(connections), size)
                found[size] = {name: measure(ask, given.times) for name, ask in asked}
    report(given, found)


def _database(server: str, size: int, events: int, *, keep: bool) -> str:
    """Return the address of a database with that many tasks."""
    name = f"orakul_room_{size}"
    url = psycopg.conninfo.make_conninfo(server, dbname=name)
    with psycopg.connect(server, autocommit=True) as connection:
        if keep and connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            return url
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    begin = time.perf_counter()
    generate(url, size, size * events, 30)
    print(f"filled {size:,} tasks in {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    return url


def report(given: argparse.Namespace, found: dict[int, dict[str, dict[str, float]]]) -> None:
    """Print what was measured."""
    small, large = found[given.small], found[given.large]
    about = f"{platform.machine()}, {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}"
    rows = [
        {"what": name, "small": small[name], "large": large[name], "ratio": large[name]["p50"] / small[name]["p50"]}
        for name in small
    ]
    if given.json:
        sizes = {"small": given.small, "large": given.large, "events a task": given.events}
        json.dump({"benchmark": "room", "about": about, "sizes": sizes, "rows": rows}, sys.stdout, indent=1)
        print()
        return
    print(f"{about}; {given.small:,} and {given.large:,} tasks; milliseconds; {given.times} times each")
    print(f"{'':<32} {'p50':>8} {'p99':>8}   {'p50':>8} {'p99':>8} {'partial':>8}   {'ratio':>6}")
    for row in rows:
        few, many = row["small"], row["large"]
        print(
            f"{row['what']:<32} {few['p50']:>8.1f} {few['p99']:>8.1f}   {many['p50']:>8.1f} {many['p99']:>8.1f} "
            f"{many['partial']:>8.0%}   {row['ratio']:>6.1f}"
        )


if __name__ == "__main__":
    main()
