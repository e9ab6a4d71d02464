"""Deliveries a second to many connections, the server on one core: Orakul, a bare socket broadcaster, sse-starlette.

    python benchmarks/stream.py [--connections 1000] [--seconds 4] [--runs 3] [--json]

Each server sends the same event (a log line, some 250 bytes as a frame) as fast as it can, one event a write and 32 at
a time; a C program on the other core reads and counts. The floor is asyncio alone: one shared chunk written to each
transport, no HTTP. Orakul runs as it ships (uvicorn, httptools, uvloop; entries of the feed are encoded, kept for
replay, and given out); `no rest` is without the pause that it leaves to the rest of the program, and `ring` is its way
on servers other than uvicorn. sse-starlette is used as its documentation does: a generator and a queue for each
connection. The order of the servers changes with each run; figures are medians, ratios those of the medians.
"""
# ruff: noqa: ASYNC110 (a benchmark watches what has no events to wait for)

import argparse
import asyncio
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvicorn
import uvloop
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from orakul.tasks.feed import Entry
from orakul.tasks.reader import LogLine
from orakul.web.stream import Hub, StreamApp
from orakul.web.stream.frames import frame_entry

HERE = Path(__file__).parent
SERVERS = ["floor", "orakul", "orakul no rest", "orakul ring", "sse-starlette"]
BATCHES = [1, 32]
MESSAGE = "order 184467 was priced with the rules of the spring sale and handed to the warehouse"


# -- servers, each in a process of its own


def entries(first: int, count: int) -> list[Any]:
    moment = datetime.now(UTC)
    return [
        Entry(
            seq=seq,
            kind="log",
            owner="7",
            log=LogLine(
                seq=seq,
                task_id="0198f2a4-7d3c-7c51-9c55-1b7a6c3c0001",
                attempt=1,
                timestamp=moment,
                level="INFO",
                logger="shop.orders",
                message=MESSAGE,
            ),
        )
        for seq in range(first, first + count)
    ]


def frame(seq: int = 1_000_000) -> bytes:
    return frame_entry(entries(seq, 1)[0]).frame


class Flood:
    """A feed that always has a batch more, once everybody is there; it waits while readers lag behind."""

    def __init__(self, connections: int, batch: int) -> None:
        self.connections = connections
        self.batch = batch
        self.newest = 1_000_000
        self.hub: Any = None

    async def bounds(self) -> tuple[int, int]:
        return (1, self.newest)

    async def read(self, after: int, limit: int = 1000) -> list[Any]:  # noqa: ARG002 (the contract's names)
        return []

    async def follow(self, after: int) -> AsyncIterator[list[Any]]:
        while len(self.hub._connections) < self.connections:  # noqa: SLF001 (the benchmark looks inside)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        sample = list(self.hub._connections)[:: max(1, self.connections // 5)]  # noqa: SLF001 (as above)
        while True:
            while any(connection.stalled_since is not None for connection in sample):
                await asyncio.sleep(0)
            batch = entries(after + 1, self.batch)
            self.newest = after = batch[-1].seq
            yield batch


async def serve_uvicorn(app: Any) -> None:
    config = uvicorn.Config(app, port=0, log_level="warning", http="httptools", backlog=4096)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await task


async def serve_orakul(connections: int, batch: int, *, breath: float, ring: bool) -> None:
    feed = Flood(connections, batch)
    hub = feed.hub = Hub(feed, breath=breath)
    app = StreamApp(hub, lambda _: SimpleNamespace(user_id="7", role="user"))

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def any_send(message: Any) -> None:
            await send(message)

        await app(scope, receive, any_send)

    await serve_uvicorn(wrapped if ring else app)


async def serve_floor(connections: int, batch: int) -> None:
    transports: list[Any] = []

    class Reader(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transports.append(transport)

        def data_received(self, data: bytes) -> None:
            """Nothing is asked."""

    server = await asyncio.get_running_loop().create_server(Reader, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    while len(transports) < connections:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    data = frame() * batch
    chunk = b"%x\r\n%b\r\n" % (len(data), data)
    sample = transports[:: max(1, connections // 5)]
    while not any(transport.is_closing() for transport in sample):
        for transport in transports:
            transport.write(chunk)
        await asyncio.sleep(0)
        while any(transport.get_write_buffer_size() > 65_536 for transport in sample):
            await asyncio.sleep(0)


async def serve_sse_starlette(connections: int, batch: int) -> None:
    queues: list[asyncio.Queue[Any]] = []

    async def subscribe(_request: Request) -> EventSourceResponse:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        queues.append(queue)

        async def events() -> AsyncIterator[ServerSentEvent]:
            while True:
                seq, data = await queue.get()
                yield ServerSentEvent(data=data, event="log", id=str(seq), sep="\n")

        return EventSourceResponse(events(), sep="\n")

    async def flood() -> None:
        while len(queues) < connections:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        data = frame().decode().split("data: ")[1].strip()
        seq = 1_000_000
        sample = queues[:: max(1, connections // 5)]
        while True:
            for _ in range(batch):
                seq += 1
                for queue in queues:
                    queue.put_nowait((seq, data))
            await asyncio.sleep(0)
            while any(queue.qsize() > batch for queue in sample):
                await asyncio.sleep(0)

    flooding = asyncio.create_task(flood())
    await serve_uvicorn(Starlette(routes=[Route("/api/tasks/subscribe", subscribe)]))
    await flooding


def serve(name: str, connections: int, batch: int) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    work: dict[str, Callable[[], Any]] = {
        "floor": lambda: serve_floor(connections, batch),
        "orakul": lambda: serve_orakul(connections, batch, breath=0.1, ring=False),
        "orakul no rest": lambda: serve_orakul(connections, batch, breath=0, ring=False),
        "orakul ring": lambda: serve_orakul(connections, batch, breath=0.1, ring=True),
        "sse-starlette": lambda: serve_sse_starlette(connections, batch),
    }
    uvloop.run(work[name]())


# -- measuring


def build_reader(folder: Path) -> Path:
    """Compile the reader; it is C, since a reader in Python would be what is measured."""
    compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
    if compiler is None:
        sys.exit("This benchmark needs a C compiler for its reader: apt-get install gcc")
    program = folder / "reader"
    subprocess.run([compiler, "-O2", "-o", str(program), str(HERE / "reader.c")], check=True)
    return program


def allow_files(count: int) -> None:
    """Raise the limit of open files as far as it goes, and stop where that is not enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard) if hard > 0 else count, hard))
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < count:
        sys.exit(f"{count} open files are needed and {hard} allowed: ulimit -n {count}")


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(reader: Path, name: str, connections: int, batch: int, seconds: float) -> dict[str, float]:
    """Run one server and the reader against it."""
    command = [sys.executable, __file__, "--serve", name, "--connections", str(connections), "--batch", str(batch)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        empty = resident(server.pid)
        others = os.sched_getaffinity(0) - {min(os.sched_getaffinity(0))} or os.sched_getaffinity(0)
        path = "-" if name == "floor" else "/api/tasks/subscribe"
        load = subprocess.Popen(
            [str(reader), str(port), str(connections), path, "0.7", str(seconds)],
            stdout=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, others),  # noqa: PLW1509 (no threads here)
        )
        used, began = cpu_seconds(server.pid), time.monotonic()
        out, _ = load.communicate(timeout=120)
        used, lasted = cpu_seconds(server.pid) - used, time.monotonic() - began
        counted = json.loads(out)
        assert counted["lost"] == 0, f"{name}: {counted['lost']} connections were lost"
        rate = counted["deliveries"] / counted["seconds"]
        return {
            "rate": rate,
            "bytes_each": counted["bytes"] / max(1, counted["deliveries"]),
            "cpu": used / lasted,
            "kb_each": (resident(server.pid) - empty) / connections / 1024,
        }
    finally:
        server.kill()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--servers", nargs="*", default=SERVERS, choices=SERVERS)
    parser.add_argument("--batch", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parser.parse_args()
    allow_files(given.connections + 100)
    if given.serve:
        serve(given.serve, given.connections, given.batch)
        return
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        reader = build_reader(Path(folder))
        for run in range(given.runs):
            order = given.servers if run % 2 == 0 else given.servers[::-1]
            for batch in BATCHES:
                for name in order:
                    one = measure(reader, name, given.connections, batch, given.seconds)
                    found.setdefault((name, batch), []).append(one)
                    print(f"run {run + 1}: {name}, {batch} a write: {one['rate']:,.0f}/s", file=sys.stderr)
    report(given, found)


def report(given: argparse.Namespace, found: dict[tuple[str, int], list[dict[str, float]]]) -> None:
    rows = {
        f"{name}, {batch} a write": {
            "deliveries_per_second": round(statistics.median(one["rate"] for one in runs)),
            "lowest": round(min(one["rate"] for one in runs)),
            "highest": round(max(one["rate"] for one in runs)),
            "bytes_each": round(statistics.median(one["bytes_each"] for one in runs)),
            "kb_a_connection": round(statistics.median(one["kb_each"] for one in runs), 1),
        }
        for (name, batch), runs in found.items()
    }

    def ratio(one: str, other: str) -> float | None:
        if one not in rows or other not in rows:
            return None
        return round(rows[one]["deliveries_per_second"] / rows[other]["deliveries_per_second"], 2)

    ratios = {
        f"orakul / {peer}, {batch} a write": ratio(f"orakul, {batch} a write", f"{peer}, {batch} a write")
        for peer in ("floor", "sse-starlette")
        for batch in BATCHES
    }
    if given.json:
        print(json.dumps({"connections": given.connections, "runs": given.runs, "rows": rows, "ratios": ratios}))
        return
    print(
        f"| server | deliveries/s (lowest – highest of {given.runs}) | bytes each | kB a connection, buffers included |"
    )
    print("| --- | --- | --- | --- |")
    for name, row in rows.items():
        spread = f"{row['deliveries_per_second']:,} ({row['lowest']:,} – {row['highest']:,})"
        print(f"| {name} | {spread} | {row['bytes_each']} | {row['kb_a_connection']} |")
    for name, value in ratios.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
