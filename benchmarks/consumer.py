"""What a consumer costs: events a second through Orakul's, beside the bare client and beside FastStream.

    .venv/bin/python benchmarks/consumer.py [--events 20000] [--rounds 5] [--broker rabbitmq|redis|both]

The queue is filled first with 1 KB events; then each kind empties it in a process of its own, and the rate is that
between the first hundredth and the last event; beside it stands the processor time of the consuming process, which a
busy machine disturbs less. The kinds are run in turn, round by round; medians are compared.

- bare: aio-pika, prefetch 100, JSON decoded by the standard library, an ack each; redis-py's group read by 100, JSON
  likewise, an ack a batch.
- faststream: a subscriber with a pydantic model, default settings but for the prefetch of 100.
- orakul: `orakul consume`'s process with a typed handler, each delivery recorded as a task in the spool (which another
  process ships, as `orakul serve` does on a machine of its own).
"""

# ruff: noqa: PLC0415 (each kind imports its own client, in a process of its own)

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from servers import RabbitServer, RedisServer

QUEUE = "bench"
PREFETCH = 100


class Clock:
    """Counts what is handled, and says how long the middle of it took."""

    def __init__(self, total: int) -> None:
        self.total, self.first = total, total // 100
        self.count, self.began, self.busy = 0, 0.0, 0.0
        self.done = asyncio.Event()

    def tick(self) -> None:
        self.count += 1
        if self.count == self.first:
            self.began, self.busy = time.perf_counter(), time.process_time()
        elif self.count == self.total:
            handled = self.total - self.first
            rate = handled / (time.perf_counter() - self.began)
            cpu = (time.process_time() - self.busy) / handled * 1e6
            print(json.dumps({"rate": rate, "cpu": cpu}), flush=True)
            self.done.set()


async def orakul(url: str, total: int, folder: str) -> None:
    from orakul.delivery import Consumers, open_broker
    from orakul.delivery.consuming import Process
    from orakul.events import EventType, event_type
    from orakul.tasks.recorder import Recorder

    @event_type("bench.told")
    class Told(EventType):
        """Something to count."""

        bench_id: int
        text: str

    clock, app = Clock(total), Consumers()

    @app.consumer(QUEUE, on="bench.told", prefetch=PREFETCH)
    async def handle(event: Told) -> None:
        assert event.bench_id >= 0
        clock.tick()

    process = Process(list(app), open_broker(url), Recorder(folder, ship=False))
    running = asyncio.create_task(process.run())
    await clock.done.wait()
    process.end()
    await running


async def bare_rabbitmq(url: str, total: int, _folder: str) -> None:
    import aio_pika

    clock = Clock(total)
    connection = await aio_pika.connect_robust(url)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=PREFETCH)
    queue = await channel.get_queue(QUEUE)

    async def handle(message: Any) -> None:
        assert json.loads(message.body)["data"]["bench_id"] >= 0
        await message.ack()
        clock.tick()

    await queue.consume(handle)
    await clock.done.wait()
    await connection.close()


async def bare_redis(url: str, total: int, _folder: str) -> None:
    import redis.asyncio as redis

    clock = Clock(total)
    client = redis.Redis.from_url(url)
    while not clock.done.is_set():
        found = await client.xreadgroup(QUEUE, "bare", {"events": ">"}, count=PREFETCH, block=1000)
        for _, entries in (
            found if isinstance(found, list) else ((key, part) for key, parts in found.items() for part in parts)
        ):
            for _, fields in entries:
                assert json.loads(fields[b"body"])["data"]["bench_id"] >= 0
                clock.tick()
            await client.xack("events", QUEUE, *(entry for entry, _ in entries))
    await client.aclose()


async def faststream(url: str, total: int, _folder: str) -> None:
    from faststream import FastStream
    from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
    from pydantic import BaseModel

    class Data(BaseModel):
        bench_id: int
        text: str

    class Told(BaseModel):
        event_id: str
        event_type: str
        data: Data
        user_id: int | str | None
        timestamp: str

    clock = Clock(total)
    broker = RabbitBroker(url, default_channel=Channel(prefetch_count=PREFETCH), logger=None)

    @broker.subscriber(RabbitQueue(QUEUE, durable=True, declare=False))
    async def handle(event: Told) -> None:
        assert event.data.bench_id >= 0
        clock.tick()

    app = FastStream(broker, logger=None)
    running = asyncio.create_task(app.run())
    await clock.done.wait()
    app.exit()
    await running


KINDS = {
    "rabbitmq": {"bare": bare_rabbitmq, "faststream": faststream, "orakul": orakul},
    "redis": {"bare": bare_redis, "orakul": orakul},
}


async def fill(url: str, total: int) -> None:
    """Declare the queue, and publish the events."""
    from orakul.delivery import Subscription, message_of, open_broker
    from orakul.events import Event

    broker = open_broker(url)
    stream = await broker.subscribe(Subscription(queue=QUEUE, patterns=("bench.told",), prefetch=1))
    await stream.close()
    text = "x" * 800
    for begin in range(0, total, 500):
        events = [
            Event(event_type="bench.told", data={"bench_id": number, "text": text})
            for number in range(begin, begin + 500)
        ]
        for receipt in await broker.publish([message_of(event) for event in events]):
            assert receipt.settled, receipt
    await broker.close()


def child(kind: str, broker: str, url: str, total: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        main = KINDS[broker][kind](url, total, folder)
        try:
            import uvloop
        except ImportError:
            asyncio.run(main)
        else:
            uvloop.run(main)


def measure(broker: str, options: argparse.Namespace, server: Any) -> None:
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS[broker]}
    costs: dict[str, list[float]] = {kind: [] for kind in KINDS[broker]}
    for _ in range(options.rounds):
        for kind, found in rates.items():
            asyncio.run(fill(server.url, options.events))
            command = [sys.executable, __file__, "--child", kind, "--broker", broker, "--url", server.url]
            done = subprocess.run(
                [*command, "--events", str(options.events)], capture_output=True, text=True, timeout=300, check=False
            )
            assert done.returncode == 0, done.stderr[-3000:]
            told = json.loads(done.stdout.splitlines()[-1])
            found.append(told["rate"])
            costs[kind].append(told["cpu"])
            asyncio.run(empty(server.url))
    middle = {kind: statistics.median(found) for kind, found in rates.items()}
    load = os.getloadavg()[0]
    where = f"load {load:.1f}, {os.cpu_count()} cores"
    print(f"\n{broker}: {options.events:,} events of 1 KB, {options.rounds} rounds, {where}")
    for kind, found in rates.items():
        spread = f"{min(found):,.0f}-{max(found):,.0f}"
        ratio = "" if kind == "orakul" else f"   orakul is {middle['orakul'] / middle[kind]:.2f} x of it"
        cost = f"{statistics.median(costs[kind]):4.0f} us of CPU an event"
        print(f"  {kind:<11} {middle[kind]:>8,.0f} events/s  ({spread})  {cost}{ratio}")


async def empty(url: str) -> None:
    from orakul.delivery import open_broker

    broker = open_broker(url)
    await broker.remove(QUEUE)
    await broker.close()
    if url.startswith("redis"):
        import redis

        with redis.Redis.from_url(url) as client:
            client.flushall()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--broker", choices=["rabbitmq", "redis", "both"], default="both")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.broker, options.url, options.events)
        return
    with tempfile.TemporaryDirectory(prefix="orakul-bench-") as folder:
        Path(folder).chmod(0o711)
        for broker, make in {"rabbitmq": RabbitServer, "redis": RedisServer}.items():
            if options.broker in {broker, "both"}:
                server = make(Path(folder) / broker)
                try:
                    measure(broker, options, server.start())
                finally:
                    server.stop()


if __name__ == "__main__":
    main()
