"""From commit to client: Orakul's stream against LISTEN → raw socket, on the same commits.

    python benchmarks/latency.py [--rate 1000] [--connections 100] [--seconds 5] [--runs 3] [--database-url URL]

Eight processes store one change of status a commit, `rate` a second in all, by `Journal.append`. A C program reads
with all connections and notes when each change arrived; a change's latency runs from the return of its commit to its
arrival at a connection. Orakul reads the rows after a wake-up, builds the task's list form, encodes it and frames it;
the floor is asyncpg listening on `oracle_channel` and writing the payload as it is to each socket. The two take turns
in each run, under the same writers. The figures are medians of the runs' percentiles. With `--json`, as JSON.
"""

import argparse
import asyncio
import itertools
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg
import uvicorn
import uvloop
from stream import allow_files, build_reader

from orakul.events import Event
from orakul.journals.postgres import PostgresFeed, PostgresJournal, PostgresReader
from orakul.journals.postgres.migrations import upgrade
from orakul.web.stream import Hub, StreamApp
from orakul.web.stream.server import StreamServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Barrier
    from multiprocessing.synchronize import Event as Flag

WRITERS = 8
SERVERS = {"orakul": ("/api/tasks/subscribe?only=task", '"seq":'), "floor": ("-", '"seq": ')}


def write(url: str, number: int, rate: float, notes: Path, *, start: "Barrier", stop: "Flag") -> None:
    """Store changes of status, one a commit, evenly in time; note when each commit returned."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    journal = PostgresJournal(url)
    commits = array("Q")
    pause = WRITERS / rate
    journal.append([Event(event_type="bench.ready")])
    start.wait()
    due = time.monotonic() + pause * number / WRITERS
    for count in itertools.count():
        if stop.is_set():
            break
        status = ("pending", "in_progress", "completed")[count % 3]
        event = Event(
            event_type=f"task.{status}",
            task_id=f"{number}-{os.getpid()}-{count // 3}",
            user_id="7",
            data={"attempt": 1, "name": "shop.orders.price", "queue": "celery", "worker": "celery@shop-1"},
        )
        begun = time.time_ns()
        seq = journal.append([event])
        commits.extend((seq, begun, time.time_ns()))
        due += pause
        time.sleep(max(0.0, due - time.monotonic()))
    with notes.open("wb") as file:
        commits.tofile(file)


async def serve_orakul(url: str) -> None:
    reader = PostgresReader(url)
    hub = Hub(PostgresFeed(url), lambda owner: reader.summary(owner=owner))
    app = StreamApp(hub, lambda _: SimpleNamespace(user_id="1", role="admin"))
    server = StreamServer(uvicorn.Config(app, port=0, log_level="warning"), hub)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await task


async def serve_floor(url: str) -> None:
    transports: set[Any] = set()

    class Reader(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            transports.add(transport)

        def connection_lost(self, _: Exception | None) -> None:
            transports.discard(self.transport)

    def tell(*notification: Any) -> None:
        data = notification[3].encode() + b"\n\n"
        for transport in transports:
            transport.write(data)

    connection = await asyncpg.connect(url)
    await connection.add_listener("oracle_channel", tell)
    server = await asyncio.get_running_loop().create_server(Reader, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


def listen(reader: Path, name: str, port: int, given: argparse.Namespace, folder: Path) -> array:
    """Let all connections listen for a while; return (seq, moment) of each arrival."""
    path, mark = SERVERS[name]
    notes = folder / "arrivals"
    command = [str(reader), str(port), str(given.connections), path, "0.5", str(given.seconds), str(notes), mark]
    counted = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=120).stdout)
    assert counted["lost"] == 0
    arrivals = array("Q")
    arrivals.frombytes(notes.read_bytes())
    return arrivals


def percentiles(arrivals: array, commits: dict[int, tuple[int, int]], connections: int) -> dict[str, float]:
    """Return the latencies in ms, from the commit's return and from the call of `append`."""
    after, whole = [], []
    heard: dict[int, int] = {}
    for seq, moment in zip(arrivals[::2], arrivals[1::2], strict=True):
        if (commit := commits.get(seq)) is not None:
            heard[seq] = heard.get(seq, 0) + 1
            whole.append((moment - commit[0]) / 1e6)
            after.append((moment - commit[1]) / 1e6)
    assert heard, f"none of {len(arrivals) // 2} arrivals is one of {len(commits)} commits"
    # All but the changes at the edges of the window must have reached every connection, once.
    uneven = sum(1 for count in heard.values() if count != connections)
    assert max(heard.values()) <= connections
    assert uneven <= 0.2 * len(heard) + 50, f"{uneven} of {len(heard)} changes did not reach all"
    after.sort()
    whole.sort()
    return {
        "p50_ms": after[len(after) // 2],
        "p99_ms": after[len(after) * 99 // 100],
        "call_p50_ms": whole[len(whole) // 2],
        "call_p99_ms": whole[len(whole) * 99 // 100],
        "changes": len(heard),
    }


@contextmanager
def database(url: str | None) -> "Iterator[str]":
    """Give a migrated database: a new one on the server given, or a server of our own (PostgreSQL of the tests)."""
    if url is not None:
        upgrade(url)
        yield url
        return
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from servers import PostgresServer  # noqa: PLC0415 (only where no server was given)

    with tempfile.TemporaryDirectory(prefix="orakul-") as folder:
        Path(folder).chmod(0o711)
        server = PostgresServer(Path(folder) / "postgres")
        try:
            server.start()
            upgrade(server.url)
            yield server.url
        finally:
            server.stop()


def measure(url: str, given: argparse.Namespace, folder: Path) -> dict[str, list[dict[str, float]]]:
    reader = build_reader(folder)
    processes = [
        subprocess.Popen([sys.executable, __file__, "--serve", name, "--database-url", url], stdout=-1, text=True)
        for name in SERVERS
    ]
    context = multiprocessing.get_context("spawn")
    start, stop = context.Barrier(WRITERS + 1), context.Event()
    notes = [folder / f"writer-{number}" for number in range(WRITERS)]
    writers = [
        context.Process(
            target=write, args=(url, number, given.rate, notes[number]), kwargs={"start": start, "stop": stop}
        )
        for number in range(WRITERS)
    ]
    heard: list[tuple[str, array]] = []
    try:
        ports = {name: int(process.stdout.readline()) for name, process in zip(SERVERS, processes, strict=True)}  # type: ignore[union-attr]
        for writer in writers:
            writer.start()
        start.wait(60)
        time.sleep(1)
        for run in range(given.runs):
            turns = list(SERVERS)[:: 1 if run % 2 == 0 else -1]
            heard += [(name, listen(reader, name, ports[name], given, folder)) for name in turns]
    finally:
        stop.set()
        for writer in writers:
            if writer.pid is not None:
                writer.join()
        for process in processes:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
    commits: dict[int, tuple[int, int]] = {}
    for each in notes:
        noted = array("Q")
        noted.frombytes(each.read_bytes())
        commits.update(zip(noted[::3], zip(noted[1::3], noted[2::3], strict=True), strict=True))
    found: dict[str, list[dict[str, float]]] = {}
    for name, arrivals in heard:
        figures = percentiles(arrivals, commits, given.connections)
        figures["rate"] = figures["changes"] / given.seconds
        found.setdefault(name, []).append(figures)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--database-url")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=list(SERVERS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    allow_files(given.connections + 200)
    if given.serve:
        uvloop.run((serve_orakul if given.serve == "orakul" else serve_floor)(given.database_url))
        return
    with database(given.database_url) as url, tempfile.TemporaryDirectory() as folder:
        found = measure(url, given, Path(folder))
    rows = {
        name: {key: round(statistics.median(run[key] for run in runs), 2) for key in runs[0]}
        for name, runs in found.items()
    }
    ratios = {key: round(rows["orakul"][key] / rows["floor"][key], 2) for key in ("p50_ms", "p99_ms", "call_p50_ms")}
    if given.json:
        print(json.dumps({"rate": given.rate, "connections": given.connections, "rows": rows, "ratios": ratios}))
        return
    print("| server | changes/s | p50 ms | p99 ms | p50 from the call | p99 from the call |\n|" + " --- |" * 6)
    for name, row in rows.items():
        cells = [row[key] for key in ("rate", "p50_ms", "p99_ms", "call_p50_ms", "call_p99_ms")]
        print(f"| {name} | " + " | ".join(f"{cell:g}" for cell in cells) + " |")
    print(f"orakul / floor: p50 {ratios['p50_ms']}, p99 {ratios['p99_ms']}, p50 from the call {ratios['call_p50_ms']}")


if __name__ == "__main__":
    main()
