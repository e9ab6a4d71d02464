"""How many messages of pipelines a second the watcher takes, with everything stored, against a bare subscriber.

    python benchmarks/pipelines.py [--json] [--rate 5000] [--seconds 60] [--storm 60000] [--runs 3]

Steady: `rate` messages a second for `seconds`, each of another run of one of 500 results: how many are stored as tasks
in the end, and the watcher's memory over the course. Storm: as many as Redis takes, so many that the slower reader has
work for seconds. Both times go from the first message published: the watcher's until the last run stands in PostgreSQL,
the bare subscriber's (redis-py, `get_message`, `json.loads`) until it has heard the last. Both hear the same storm, one
after the other, `runs` times. `processor` is what each part took of a processor, in microseconds a message.

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
from typing import Any, LiteralString
from urllib.parse import urlsplit

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
    """Publish so many, at this rate; 0: as fast as Redis takes them. Prints when the first was sent.

    They are made beforehand, and sent as bytes: what is asked is what readers manage, not what a publisher does.
    """
    ready = [
        b"".join(command(*message(number)) for number in range(start, min(start + PIPELINED, first + count)))
        for start in range(first, first + count, PIPELINED)
    ]
    server = urlsplit(url)
    with socket.create_connection((server.hostname, server.port)) as connection:
        began = time.monotonic()
        for number, portion in enumerate(ready):
            connection.sendall(portion)
            wanted = min(PIPELINED, count - number * PIPELINED)
            while wanted > 0:
                wanted -= connection.recv(1 << 16).count(b"\n")
            if rate:
                time.sleep(max(0.0, began + (number + 1) * PIPELINED / rate - time.monotonic()))
        print(began, time.monotonic(), flush=True)


def command(channel: str, text: str) -> bytes:
    """Return the bytes that publish a message."""
    parts = (b"PUBLISH", channel.encode(), text.encode())
    return b"*3\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def listen(url: str, count: int) -> None:
    """Hear so many as redis-py's documentation says, and print when the last was heard."""
    with redis.Redis.from_url(url) as connection, connection.pubsub() as heard:
        heard.psubscribe("tdtp:pipeline:*")
        met = 0
        while met < count:
            told = heard.get_message(ignore_subscribe_messages=True, timeout=5)
            if told is not None:
                json.loads(told["data"])
                met += 1
        print(time.monotonic(), flush=True)


@contextmanager
def a_redis(folder: Path) -> Iterator[tuple[str, int]]:
    """Start a Redis that does not cut off a reader which a storm finds slow: what is asked is how slow.

    Yields its URL and its process.
    """
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
        yield url, server.pid
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


def stored(connections: Connections, wanted: int) -> tuple[int, float]:
    """Wait until so many runs are tasks that have ended, or none came for long; return how many, and since when."""
    # Counting the tasks each time would take from what is measured.
    given = "SELECT coalesce(max(last_seq), 0) FROM orakul.batches"
    found, grew = -1, time.monotonic()
    while found < wanted and time.monotonic() - grew < PATIENCE / 6:
        time.sleep(0.02)
        if (now := number(connections, given)) != found:
            found, grew = now, time.monotonic()
    ended = "SELECT count(*) FROM orakul.tasks WHERE kind = 'pipeline' AND finished_at > started_at"
    return number(connections, ended), grew


def number(connections: Connections, question: LiteralString) -> int:
    """Return a number that the database knows."""
    row = connections.run("read", lambda connection: connection.execute(question).fetchone())
    return int(row[0]) if row else 0


def processor(watcher: psutil.Process, redis_pid: int, database_pid: int) -> dict[str, float]:
    """Return the seconds of a processor that each part has taken so far."""
    carriers = watcher.children(recursive=True)
    server = psutil.Process(database_pid)
    parts = {
        "watcher": [watcher],
        "shipper": carriers,
        "redis": [psutil.Process(redis_pid)],
        "postgresql": [server, *server.children(recursive=True)],
    }
    found = {}
    for name, processes in parts.items():
        found[name] = 0.0
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                taken = process.cpu_times()
                found[name] += taken.user + taken.system
    return found


def memory(process: psutil.Process) -> float:
    """Return the mebibytes of the process and of those that it started."""
    family = [process, *process.children(recursive=True)]
    return sum(each.memory_info().rss for each in family) / 2**20


def steady(url: str, watcher: psutil.Process, connections: Connections, rate: int, seconds: int) -> dict[str, Any]:
    """Publish at a rate, and see that nothing is missed and memory stands still."""
    count = rate * seconds
    publisher = ours("publish", url, 0, count, rate)
    measured: list[float] = []
    while publisher.poll() is None:
        measured.append(memory(watcher))
        time.sleep(1)
    began, ended = map(float, publisher.communicate()[0].split())
    kept, last = stored(connections, count)
    measured.append(memory(watcher))
    quarter = max(1, len(measured) // 4)
    return {
        "published": count,
        "per_second": round(count / (ended - began)),
        "stored": kept,
        "behind_seconds": round(max(0.0, last - ended), 2),
        "memory_mib_first_quarter": round(statistics.median(measured[:quarter]), 1),
        "memory_mib_last_quarter": round(statistics.median(measured[-quarter:]), 1),
        "memory_mib_most": round(max(measured), 1),
    }


def bare(url: str, count: int) -> float:
    """Return the messages a second of a bare subscriber, from the first published to the last heard."""
    listener = ours("listen", url, count)
    subscribed(url)
    began = float(ours("publish", url, 0, count, 0).communicate()[0].split()[0])
    return count / (float(listener.communicate()[0]) - began)


def storm(url: str, connections: Connections, first: int, count: int) -> float:
    """Return the messages a second of the watcher, from the first published to the last stored."""
    publisher = ours("publish", url, first, count, 0)
    began = float(publisher.communicate()[0].split()[0])
    kept, last = stored(connections, first + count)
    if kept != first + count:
        raise SystemExit(f"missed: {first + count - kept} of {count}")
    return count / (last - began)


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Run all of it."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as parts:
        folder = Path(name)
        folder.chmod(0o755)
        server = parts.enter_context(EmbeddedPostgres.temporary())
        migrations.upgrade(server.url)
        connections = parts.enter_context(Connections(server.url))
        url, redis_pid = parts.enter_context(a_redis(folder))
        listeners = [bare(url, given.storm) for _ in range(given.runs)]
        watcher = parts.enter_context(a_watcher(folder, url, server.url))
        found: dict[str, Any] = {}
        first = 0
        if given.seconds:
            found["steady"] = steady(url, watcher, connections, given.rate, given.seconds)
            first = given.rate * given.seconds
        pid = number(connections, "SELECT (regexp_match(pg_read_file('postmaster.pid'), '^[0-9]+'))[1]::int")
        before = processor(watcher, redis_pid, pid)
        watchers = []
        for _ in range(given.runs):
            watchers.append(storm(url, connections, first, given.storm))
            first += given.storm
        after = processor(watcher, redis_pid, pid)
        heard = given.storm * given.runs
        found["storm"] = {
            "messages": given.storm,
            "bare_per_second": [round(each) for each in listeners],
            "stored_per_second": [round(each) for each in watchers],
            "ratio": round(statistics.median(watchers) / statistics.median(listeners), 2),
            "processor": {name: round((after[name] - before[name]) / heard * 1e6, 1) for name in after},
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
