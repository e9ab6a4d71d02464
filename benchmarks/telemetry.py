"""What traces cost a Celery worker: a trivial task, plain, with Orakul, with traces too; and OpenTelemetry's own alone.

    .venv/bin/python benchmarks/telemetry.py [--tasks 3000] [--rounds 3] [--concurrency 2]

Four kinds, in turn, round by round, and medians compared: `plain` Celery; `orakul`, recorded into a real PostgreSQL;
`traces`, the same with `orakul.telemetry.set_up` too; `opentelemetry`, the application's own provider with a
BatchSpanProcessor and opentelemetry-instrumentation-celery, and no Orakul. Spans go over OTLP to a collector on this
machine that answers and looks at nothing. The queue is filled first, by a publisher of the same kind; then a worker
starts, and the rate is that at which it empties the queue between the first tenth and the last twentieth. Beside it,
what a publish costs the publisher. Processor time is that of the worker and its pool, without Orakul's shipper.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import psycopg
import redis
from servers import PostgresServer, Process, RedisServer
from worker import processor_time

from orakul.journals.postgres.migrations import upgrade

APP = """
import os
from celery import Celery

kind = os.environ["APP_KIND"]
app = Celery("bench", broker=os.environ["APP_BROKER"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True, worker_prefetch_multiplier=16)
if kind in ("orakul", "traces"):
    from orakul.runners.celery import install
    install(app)
if kind == "traces":
    from orakul import telemetry
    telemetry.set_up("bench", celery=app, libraries=())
if kind == "opentelemetry":
    from celery.signals import worker_process_init

    def trace():
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.celery import CeleryInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
        CeleryInstrumentor().instrument()

    if os.environ.get("APP_ROLE") == "publisher":
        trace()
    else:
        worker_process_init.connect(lambda **_: trace(), weak=False)

@app.task
def trivial(x, y):
    return x + y
"""
FILL = """
import bench, sys, time
bench.trivial.delay(0, 0)
n = int(sys.argv[1])
began = time.process_time()
for number in range(n - 1):
    bench.trivial.delay(number, number)
print((time.process_time() - began) / (n - 1) * 1e6)
"""
KINDS = ("plain", "orakul", "traces", "opentelemetry")


class Counting(BaseHTTPRequestHandler):
    """Takes whatever is posted, and counts the requests."""

    protocol_version = "HTTP/1.1"
    requests = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        Counting.requests += 1
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Bench:
    """The servers, and one run after another."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder = folder
        self.options = options
        self.redis = RedisServer(folder / "redis").start()
        self.postgres = PostgresServer(folder / "postgres").start()
        self.client = redis.Redis.from_url(self.redis.url)
        self.collector = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
        threading.Thread(target=self.collector.serve_forever, daemon=True).start()
        (folder / "bench.py").write_text(APP)
        self.number = 0

    def run(self, kind: str) -> tuple[float, float, float]:
        """Return tasks a second of one kind, processor time a task, and a publish, in µs."""
        self.number += 1
        self.client.flushall()
        Counting.requests = 0
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("ORAKUL_", "OTEL_"))},
            "APP_BROKER": self.redis.url,
            "APP_KIND": kind,
            "ORAKUL_DATA": str(self.folder / f"data{self.number}"),
            "ORAKUL_DATABASE_URL": self.database() if kind in {"orakul", "traces"} else "",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.collector.server_port}",
            "PYTHONPATH": str(self.folder),
            "C_FORCE_ROOT": "1",
        }
        tasks = self.options.tasks
        filled = subprocess.run(
            [sys.executable, "-c", FILL, str(tasks)],
            env={**environment, "APP_ROLE": "publisher"},
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
        )
        command = [sys.executable, "-m", "celery", "-A", "bench", "worker", "-l", "warning", "--without-mingle"]
        command += ["--without-gossip", "-c", str(self.options.concurrency)]
        worker = Process(command, log=self.folder / f"worker{self.number}.log", env=environment, cwd=self.folder)
        rate, cost = self.measure(tasks, worker)
        worker.stop()
        traced = kind in {"traces", "opentelemetry"}
        assert bool(Counting.requests) == traced, f"{kind}: {Counting.requests} requests came to the collector"
        return rate, cost, float(filled.stdout.split()[-1])

    def database(self) -> str:
        """Return the address of a journal of its own."""
        name = f"bench{self.number}"
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        url = self.postgres.url.rpartition("/")[0] + "/" + name
        upgrade(url)
        return url

    def measure(self, tasks: int, worker: Process) -> tuple[float, float]:
        """Return how fast the queue empties, and the processor time that the worker takes for a task, in µs."""
        first, last = int(tasks * 0.9), int(tasks * 0.05)
        began = began_at = began_cost = 0.0
        deadline = time.perf_counter() + 120
        while time.perf_counter() < deadline:
            left, now = self.client.llen("celery"), time.perf_counter()
            if not began and left <= first:
                began, began_at, began_cost = now, left, processor_time(worker.pid)
            if left <= last:
                done = began_at - left
                return done / (now - began), (processor_time(worker.pid) - began_cost) / done * 1e6
            time.sleep(0.01)
        raise AssertionError(worker.text()[-3000:])

    def close(self) -> None:
        self.collector.shutdown()
        self.redis.stop()
        self.postgres.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=2)
    options = parser.parse_args()
    figures: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="orakul-bench-") as name:
        Path(name).chmod(0o711)
        bench = Bench(Path(name), options)
        try:
            for number in range(options.rounds):
                for kind in KINDS if number % 2 == 0 else reversed(KINDS):
                    rate, cost, publish = bench.run(kind)
                    figures[kind].append((rate, cost, publish))
                    said = f"{rate:7,.0f} tasks/s, {cost:4.0f} µs a task, {publish:4.0f} µs a publish"
                    print(f"round {number + 1}: {kind:13} {said}", flush=True)
        finally:
            bench.close()
    print(f"\nprefork, concurrency {options.concurrency}, {options.tasks:,} tasks, {os.cpu_count()} cores; medians")
    medians = {kind: [statistics.median(each) for each in zip(*figures[kind], strict=True)] for kind in KINDS}
    base = medians["plain"]
    for kind, (rate, cost, publish) in medians.items():
        more = f"+{cost - base[1]:3.0f} µs a task, +{publish - base[2]:3.0f} µs a publish over plain"
        print(f"{kind:13} {rate:7,.0f} tasks/s  {rate / base[0]:.2f} of plain; {cost:4.0f} µs a task, "
              f"{publish:4.0f} µs a publish; {more}")  # fmt: skip
    ours = medians["traces"][1] - medians["orakul"][1], medians["traces"][2] - medians["orakul"][2]
    theirs = medians["opentelemetry"][1] - base[1], medians["opentelemetry"][2] - base[2]
    print(f"traces alone: ours {ours[0]:.0f} µs a task, {ours[1]:.0f} a publish; OpenTelemetry's {theirs[0]:.0f} and "
          f"{theirs[1]:.0f}: {ours[0] / theirs[0]:.2f} and {ours[1] / theirs[1]:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
