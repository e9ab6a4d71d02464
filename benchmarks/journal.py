"""What the journal stores a second, against bare COPY of the same rows and against itself without its lock.

    python benchmarks/journal.py [--json] [--url URL] [--recorders 1 4 16] [--batches 30 300 900] [--runs 3]

Each recorder is a process with a connection of its own that stores batches of events: tasks from `pending` (with their
arguments) over `in_progress` to `completed`. The journal makes the events ready, inserts them with four indexes,
projects them on a table with twelve more, and notifies, in one order. COPY, the floor, writes the same rows, a batch a
transaction, to a table without an index. "No lock" is the journal's own statement without its order, from which a
reader that follows `seq` loses some. One server for all, warmed up until it writes its log over old files of it as
servers do after their first minutes; the ways take turns; medians.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import psycopg

from orakul.events import Event
from orakul.journals.postgres import EmbeddedPostgres, PostgresJournal, append
from orakul.journals.postgres.migrations import upgrade

WAYS = ("journal", "no lock", "copy")
TABLES = "events, logs, tasks, messages, ended_by_minute, rollup_changes, rollups, task_words"
COLUMNS = "timestamp, event_id, event_type, task_id, user_id, data"
WARM_UP = 6.0
FLOOR = """
CREATE TABLE IF NOT EXISTS public.floor (
    seq bigserial, timestamp timestamptz, event_id text, event_type text, task_id text, user_id text, data json)
"""


def events_of(recorder: int, tasks: int) -> list[Event]:
    """Return the events of that many tasks, as a worker meets them: some eight tasks at a time, mixed."""
    mixed: list[Event] = []
    for first in range(0, tasks, 8):
        group = [f"{recorder:02x}{number:06x}-{os.urandom(8).hex()}" for number in range(first, min(first + 8, tasks))]
        for event_type, data in (
            (
                "task.pending",
                {
                    "name": "shop.tasks.send_invoice",
                    "queue": "default",
                    "priority": 5,
                    "arguments": {"args": [4711, "a@example.org"], "kwargs": {"language": "en"}},
                },
            ),
            ("task.in_progress", {"worker": f"celery@host{recorder}", "pid": 4242}),
            ("task.completed", {"worker": f"celery@host{recorder}", "result": {"sent": True, "ms": 12}}),
        ):
            common = {"kind": "celery", "attempt": 1, "run": 0}
            mixed += [
                Event(event_type=event_type, task_id=task_id, user_id=f"u{number % 50}", data=common | data)
                for number, task_id in enumerate(group)
            ]
    return mixed


def journal(url: str) -> Callable[[list[Event]], None]:
    """Store through the journal."""
    door = PostgresJournal(url)
    return lambda events: void(door.append(events))


def no_lock(url: str) -> Callable[[list[Event]], None]:
    """Store through a copy of the journal's function that takes no lock."""
    append._APPEND = append._APPEND.replace(".append(", ".append_without_lock(")  # noqa: SLF001 (the one difference)
    return journal(url)


def copy(url: str) -> Callable[[list[Event]], None]:
    """Store the same rows by COPY."""
    connection = psycopg.connect(url, autocommit=True)

    def store(events: list[Event]) -> None:
        lines = [
            f"{event.timestamp.isoformat()}\t{event.event_id}\t{event.event_type}\t{event.task_id}\t{event.user_id}\t"
            + json.dumps(event.data).replace("\\", "\\\\")
            for event in events
        ]
        with connection.cursor().copy(f"COPY public.floor ({COLUMNS}) FROM STDIN") as stream:
            stream.write("\n".join(lines) + "\n")

    return store


def void(_: object) -> None:
    """Return nothing."""


def record(  # noqa: PLR0917 (a process takes its arguments by position)
    way: str, url: str, recorder: int, size: int, seconds: float, barrier: Any, results: Any
) -> None:
    """Be one recorder: store batches until the time is over, and say how many events that were."""
    store = {"journal": journal, "no lock": no_lock, "copy": copy}[way](url)
    events = events_of(recorder, max(size, 4_000))
    store(events[:size])
    barrier.wait()
    begin = time.perf_counter()
    end = begin + seconds
    stored, at = 0, size
    while time.perf_counter() < end:
        if at + size > len(events):
            events, at = events_of(recorder, len(events) // 3), 0
        store(events[at : at + size])
        stored += size
        at += size
    results.put((stored, time.perf_counter() - begin, size))


def measure(way: str, url: str, recorders: int, size: int, seconds: float) -> float:
    """Return the events stored a second by that many recorders at once."""
    clear(url)
    context = multiprocessing.get_context("fork")  # nothing is open yet, and nothing to import again
    barrier, results = context.Barrier(recorders), context.Queue()
    processes = [
        context.Process(target=record, args=(way, url, number, size, seconds, barrier, results))
        for number in range(recorders)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=120 + seconds) for _ in processes]
    for process in processes:
        process.join()
    table = "public.floor" if way == "copy" else "orakul.events"
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    expected = sum(stored + first for stored, _, first in found)
    assert row is not None, "count(*) answers"
    assert row[0] == expected, (row[0], expected)
    return sum(stored for stored, _, _ in found) / max(took for _, took, _ in found)


def prepare(url: str) -> None:
    """Make the tables of all three ways."""
    upgrade(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FLOOR)
        row = connection.execute("SELECT pg_get_functiondef('orakul.append'::regproc)").fetchone()
        assert row is not None, "the function is there"
        lock = "PERFORM pg_advisory_xact_lock(orakul.lock_key());"
        assert lock in row[0], "the lock is where it was"
        copied = row[0].replace(lock, "").replace("FUNCTION orakul.append(", "FUNCTION orakul.append_without_lock(")
        connection.execute(copied)


def clear(url: str) -> None:
    """Empty the tables."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = orakul")
        connection.execute(f"TRUNCATE {TABLES}, public.floor")
        connection.execute("CHECKPOINT")


def run(url: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row for each number of recorders and size of batch."""
    prepare(url)
    for way in (
        "copy",
        "journal",
    ):  # a fresh server fills each file of its log with zeros first, and a warm one does not
        measure(way, url, 2, 300, WARM_UP)
    rows = []
    for recorders in arguments.recorders:
        for size in arguments.batches:
            rates: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(arguments.runs):
                for way in WAYS:
                    rates[way].append(measure(way, url, recorders, size, arguments.seconds))
            row = {way: round(statistics.median(rates[way])) for way in WAYS}
            rows.append(
                {"recorders": recorders, "batch": size, **row, "of copy": round(row["journal"] / row["copy"], 2)}
            )
            if not arguments.json:
                print_row(rows[-1])
    return rows


def print_row(row: dict[str, Any]) -> None:
    """Print one line of the table."""
    print(
        f"{row['recorders']:>9} {row['batch']:>6} {row['journal']:>12,} {row['no lock']:>12,} {row['copy']:>12,}"
        f" {row['of copy']:>8.2f}",
        flush=True,
    )


def main() -> None:
    """Read the options, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--url", help="a PostgreSQL to use, whose schema `orakul` is emptied; else an embedded one")
    parser.add_argument("--recorders", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--batches", type=int, nargs="+", default=[30, 300, 900])
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each measurement lasts")
    parser.add_argument("--runs", type=int, default=3, help="measurements of each; the median counts")
    arguments = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    with ExitStack() as stack:
        url = arguments.url or stack.enter_context(EmbeddedPostgres.temporary()).url
        with psycopg.connect(url) as connection:
            version = connection.info.server_version
        about = f"PostgreSQL {version // 10_000}.{version % 10_000}, {machine}, {datetime.now(UTC):%Y-%m-%d}"
        if not arguments.json:
            print(f"{about}; events a second, median of {arguments.runs}")
            print(f"{'recorders':>9} {'batch':>6} {'journal':>12} {'no lock':>12} {'copy':>12} {'of copy':>8}")
        rows = run(url, arguments)
    if arguments.json:
        json.dump({"benchmark": "journal", "about": about, "runs": arguments.runs, "rows": rows}, sys.stdout, indent=1)
        print()


if __name__ == "__main__":
    main()
