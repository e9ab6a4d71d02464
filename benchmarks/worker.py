"""What Orakul costs a Celery worker: tasks a second of a trivial task, plain, with Orakul installed, and with `-E`.

    .venv/bin/python benchmarks/worker.py [--tasks 10000] [--rounds 5] [--pool prefork] [--concurrency 2]

The queue is filled first; then a worker starts, and the rate is that at which it empties the queue between the first
tenth and the last twentieth. Orakul records everything into a real PostgreSQL meanwhile, on the same machine, and after
each run it is counted that each task has arrived there. The kinds are run in turn, round by round; medians are
compared. The processor time is that of the worker and its pool, without the shipper's process of low priority.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import psutil
import psycopg
import redis
from servers import PostgresServer, Process, RedisServer

from orakul.journals.postgres.migrations import upgrade

APP = """
import os
from celery import Celery

app = Celery("bench", broker=os.environ["APP_BROKER"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True, worker_prefetch_multiplier=16)
if os.environ["APP_KIND"] == "orakul":
    from orakul.runners.celery import install
    install(app)

@app.task
def trivial(x, y):
    return x + y
"""
SHIPPER = "orakul.tasks.shipping"
FILL = "import bench, sys\nfor n in range(int(sys.argv[1])): bench.trivial.delay(n, n)"


class Bench:
    """The servers, and one run after another."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder = folder
        self.options = options
        self.redis = RedisServer(folder / "redis").start()
        self.postgres = PostgresServer(folder / "postgres").start()
        self.client = redis.Redis.from_url(self.redis.url)
        (folder / "bench.py").write_text(APP)
        self.number = 0

    def run(self, kind: str) -> tuple[float, float]:
        """Return tasks a second of one kind, and processor time a task."""
        self.number += 1
        self.client.flushall()
        database = f"bench{self.number}"
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database}")
        url = self.postgres.url.rpartition("/")[0] + "/" + database
        upgrade(url)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ORAKUL_")},
            "APP_BROKER": self.redis.url,
            "APP_KIND": kind,
            "ORAKUL_DATA": str(self.folder / f"data{self.number}"),
            "ORAKUL_DATABASE_URL": url,
            "PYTHONPATH": str(self.folder),
            "C_FORCE_ROOT": "1",
        }
        tasks = self.options.tasks
        subprocess.run([sys.executable, "-c", FILL, str(tasks)], env=environment, cwd=self.folder, check=True)
        if kind == "orakul":
            self.wait_for_events(url, "task.pending", tasks)
        command = [sys.executable, "-m", "celery", "-A", "bench", "worker", "-l", "warning"]
        command += ["-P", self.options.pool, "-c", str(self.options.concurrency), *(["-E"] if kind == "-E" else [])]
        worker = Process(command, log=self.folder / f"worker{self.number}.log", env=environment, cwd=self.folder)
        rate, cost = self.measure(tasks, worker)
        if kind == "orakul":
            lag = self.wait_for_events(url, "task.completed", tasks)
            print(f"    the journal had all of it {lag:.1f} s later", flush=True)
        worker.stop()
        return rate, cost

    def measure(self, tasks: int, worker: Process) -> tuple[float, float]:
        """Return how fast the queue empties, and the processor time that the worker takes for a task, in µs."""
        first, last = int(tasks * 0.9), int(tasks * 0.05)
        began = began_at = began_cost = 0.0
        while True:
            left, now = self.client.llen("celery"), time.perf_counter()
            if not began and left <= first:
                began, began_at, began_cost = now, left, processor_time(worker.pid)
            if left <= last:
                done = began_at - left
                return done / (now - began), (processor_time(worker.pid) - began_cost) / done * 1e6
            time.sleep(0.02)

    def wait_for_events(self, url: str, event_type: str, number: int) -> float:
        """Wait until the journal has so many events of the type; return how long that took."""
        began = time.perf_counter()
        with psycopg.connect(url, autocommit=True) as connection:
            while time.perf_counter() - began < 120:
                row = connection.execute(
                    "SELECT count(*) FROM orakul.events WHERE event_type = %s", (event_type,)
                ).fetchone()
                assert row is not None
                if row[0] == number:
                    return time.perf_counter() - began
                assert row[0] < number, "more than there were tasks"
                time.sleep(0.1)
        raise AssertionError(f"{row[0]} of {number} {event_type} arrived")

    def close(self) -> None:
        self.redis.stop()
        self.postgres.stop()


def processor_time(pid: int) -> float:
    """Return the seconds that the worker's main process and its pool have used, without the shipper beside it."""
    worker = psutil.Process(pid)
    pool = [child for child in worker.children(recursive=True) if SHIPPER not in child.cmdline()]
    times = [process.cpu_times() for process in (worker, *pool)]
    return sum(each.user + each.system for each in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pool", default="prefork")
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--kinds", default="plain,orakul,-E")
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    costs: dict[str, list[float]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory(prefix="orakul-bench-") as name:
        Path(name).chmod(0o711)
        bench = Bench(Path(name), options)
        try:
            for number in range(options.rounds):
                for kind in kinds if number % 2 == 0 else reversed(kinds):
                    rate, cost = bench.run(kind)
                    rates[kind].append(rate)
                    costs[kind].append(cost)
                    print(
                        f"round {number + 1}: {kind:7} {rate:8,.0f} tasks/s, {cost:5.0f} µs of processor a task",
                        flush=True,
                    )
        finally:
            bench.close()
    base = statistics.median(rates["plain"])
    print(f"\n{options.pool}, concurrency {options.concurrency}, {options.tasks:,} tasks, {os.cpu_count()} cores")
    for kind in kinds:
        median = statistics.median(rates[kind])
        spread = f"{min(rates[kind]):,.0f}–{max(rates[kind]):,.0f}"
        cost = statistics.median(costs[kind])
        print(f"{kind:7} {median:8,.0f} tasks/s  ({spread})  {median / base:.2f} of plain; {cost:4.0f} µs a task")


if __name__ == "__main__":
    main()
