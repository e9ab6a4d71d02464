"""How many messages of pipelines a second the watcher takes, with everything stored, against a bare subscriber.

    python benchmarks/pipelines.py [--json] [--rate 5000] [--seconds 60] [--storm 60000] [--runs 3]

Steady: `rate` messages a second for `seconds`, each of another run of one of 500 results: how many are stored as tasks
in the end, and the watcher's memory over the course. Storm: as many as Redis takes, so many that the slower reader has
work for seconds; the watcher's time goes until the last run stands in PostgreSQL, the bare subscriber's (redis-py,
`get_message`, `json.loads`) until it has heard the last. Both hear the same storm, one after the other, `runs` times.

The watcher is `orakul watch tdtp` as a process of its own, its words going into a file. PostgreSQL is the embedded one,
Redis is `redis-server` of this machine; both, the publisher and the watcher share its cores.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import redis

from orakul.journals.postgres import Connections, EmbeddedPostgres, migrations

RESULTS = 500
PIPELINED = 250
PATIENCE = 180.0


def message(number: int) -> tuple[str, str]:
    """Return channel and text of one run, each another."""
    name = f"MASK_V{number % RESULTS:03}"
    second, milli = divmod(number, 1000)
    moment = f"{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}.{milli:03}Z"
    form = {
        "pipeline_name": "erp_mask_sync",
        "result_name": name,
        "status": "success",
        "started_at": f"2025-11-18T{moment}",
        "finished_at": f"2025-11-19T{moment}",
        "duration_ms": number,
        "rows_loaded": 15000,
        "rows_exported": 15000,
    }
    return f"tdtp:pipeline:{name}", json.dumps(form)


def publish(url: str, first: int, count: int, rate: float) -> None:
    """Publish so many, at this rate; 0: as fast as Redis takes them."""
    with redis.Redis.from_url(url) as connection:
        began = time.perf_counter()
        for start in range(0, count, PIPELINED):
            pipe = connection.pipeline(transaction=False)
            for number in range(first + start, first + min(start + PIPELINED, count)):
                pipe.publish(*message(number))
            pipe.execute()
            if rate:
                time.sleep(max(0.0, began + (start + PIPELINED) / rate - time.perf_counter()))


def listen(url: str, count: int) -> None:
    """Hear so many as redis-py's documentation says, and print the seconds from the first to the last."""
    with redis.Redis.from_url(url) as connection, connection.pubsub() as heard:
        heard.psubscribe("tdtp:pipeline:*")
        met, began = 0, 0.0
        while met < count:
            told = heard.get_message(ignore_subscribe_messages=True, timeout=5)
            if told is not None:
                began = began or time.perf_counter()
                json.loads(told["data"])
                met += 1
        print(time.perf_counter() - began, flush=True)


@contextmanager
def a_redis(folder: Path) -> Iterator[str]:
    """Start a Redis that does not cut off a reader which a storm finds slow: what is asked is how slow."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    binary = shutil.which("redis-server") or shutil.which("valkey-server") or "redis-server"
    limits = ["--client-output-buffer-limit", "pubsub 0 0 0"]
    settings = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *limits]
    server = subprocess.Popen([binary, *settings], stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        with redis.Redis.from_url(url) as connection:
            while True:
                with contextlib.suppress(redis.RedisError):
                    connection.ping()
                    break
                time.sleep(0.05)
        yield url
    finally:
        server.terminate()
        server.wait()


def ours(part: str, url: str, *numbers: float) -> "subprocess.Popen[str]":
    """Run a part of this program as a process of its own."""
    command = [sys.executable, __file__, "--part", part, "--url", url, *map(str, numbers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@contextmanager
def a_watcher(folder: Path, url: str, database: str) -> Iterator[psutil.Process]:
    """Start `orakul watch tdtp`, and wait until it listens."""
    environment = {**os.environ, "ORAKUL_DATA": str(folder / "data"), "ORAKUL_DATABASE_URL": database}
    with (folder / "said").open("wb") as said:
        command = [sys.executable, "-m", "orakul", "watch", "tdtp", "--url", url]
        watcher = subprocess.Popen(command, env=environment, cwd=folder, stdout=said, stderr=said)
        try:
            subscribed(url)
            yield psutil.Process(watcher.pid)
        finally:
            watcher.terminate()
            watcher.wait()


def subscribed(url: str) -> None:
    """Wait until somebody listens."""
    with redis.Redis.from_url(url) as connection:
        while not connection.pubsub_numpat():
            time.sleep(0.02)


def stored(connections: Connections, wanted: int) -> int:
    """Wait until so many runs are tasks that have ended, or none came for long; return how many there are."""
    question = "SELECT count(*) FROM orakul.tasks WHERE kind = 'pipeline' AND status = 'completed'"
    found, grew = -1, time.monotonic()
    while True:
        row = connections.run("read", lambda connection: connection.execute(question).fetchone())
        now = int(row[0]) if row else 0
        if now >= wanted or time.monotonic() - grew > PATIENCE / 6:
            return now
        if now != found:
            found, grew = now, time.monotonic()
        time.sleep(0.2)


def memory(process: psutil.Process) -> float:
    """Return the mebibytes of the process and of those that it started."""
    family = [process, *process.children(recursive=True)]
    return sum(each.memory_info().rss for each in family) / 2**20


def steady(url: str, watcher: psutil.Process, connections: Connections, rate: int, seconds: int) -> dict[str, Any]:
    """Publish at a rate, and see that nothing is missed and memory stands still."""
    count = rate * seconds
    began = time.perf_counter()
    publisher = ours("publish", url, 0, count, rate)
    measured: list[float] = []
    while publisher.poll() is None:
        measured.append(memory(watcher))
        time.sleep(1)
    took = time.perf_counter() - began
    kept = stored(connections, count)
    measured.append(memory(watcher))
    quarter = max(1, len(measured) // 4)
    return {
        "published": count,
        "per_second": round(count / took),
        "stored": kept,
        "behind_seconds": round(time.perf_counter() - began - took, 1),
        "memory_mib_first_quarter": round(statistics.median(measured[:quarter]), 1),
        "memory_mib_last_quarter": round(statistics.median(measured[-quarter:]), 1),
        "memory_mib_most": round(max(measured), 1),
    }


def bare(url: str, count: int) -> float:
    """Return the messages a second of a bare subscriber."""
    listener = ours("listen", url, count)
    subscribed(url)
    ours("publish", url, 0, count, 0).wait()
    return count / float(listener.communicate()[0])


def storm(url: str, connections: Connections, first: int, count: int) -> float:
    """Return the messages a second of the watcher, from the first published to the last stored."""
    began = time.perf_counter()
    publisher = ours("publish", url, first, count, 0)
    kept = stored(connections, first + count)
    took = time.perf_counter() - began
    publisher.wait()
    if kept != first + count:
        raise SystemExit(f"missed: {first + count - kept} of {count}")
    return count / took


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Run all of it."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as parts:
        folder = Path(name)
        folder.chmod(0o755)
        database = parts.enter_context(EmbeddedPostgres.temporary()).url
        migrations.upgrade(database)
        connections = parts.enter_context(Connections(database))
        url = parts.enter_context(a_redis(folder))
        listeners = [bare(url, given.storm) for _ in range(given.runs)]
        watcher = parts.enter_context(a_watcher(folder, url, database))
        found: dict[str, Any] = {}
        first = 0
        if given.seconds:
            found["steady"] = steady(url, watcher, connections, given.rate, given.seconds)
            first = given.rate * given.seconds
        watchers = []
        for _ in range(given.runs):
            watchers.append(storm(url, connections, first, given.storm))
            first += given.storm
        found["storm"] = {
            "messages": given.storm,
            "bare_per_second": [round(each) for each in listeners],
            "stored_per_second": [round(each) for each in watchers],
            "ratio": round(statistics.median(watchers) / statistics.median(listeners), 2),
        }
        return found


def main() -> None:
    """Measure, or be a part of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--storm", type=int, default=60_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--part", choices=("publish", "listen"), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("numbers", nargs="*", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part == "publish":
        publish(given.url, int(given.numbers[0]), int(given.numbers[1]), given.numbers[2])
    elif given.part == "listen":
        listen(given.url, int(given.numbers[0]))
    else:
        found = measure(given) | {"python": platform.python_version(), "load": round(os.getloadavg()[0], 1)}
        print(json.dumps(found) if given.json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
