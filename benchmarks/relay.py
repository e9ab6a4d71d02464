"""What the relay reaches: events a second from the outbox to the broker, beside the bare client without an outbox.

    .venv/bin/python benchmarks/relay.py [--events 20000] [--rounds 3] [--broker rabbitmq|redis|both]

- bare: aio-pika, 1 KB persistent messages to a bound topic exchange, 500 under way, confirms awaited; redis-py, XADD
  by 500 in a pipeline.
- relay: the outbox of a real PostgreSQL is filled first; then a relay empties it, in a process of its own, every event
  read, published in waves, confirmed, written down for the journal, deleted. `relay (no journal)`: without the last but
  one. Events are of 5,000 subjects, in random order.

The kinds are run in turn, round by round; medians are compared.
"""

# ruff: noqa: PLC0415 (each kind imports its own client, in a process of its own)

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import psycopg
from servers import PostgresServer, RabbitServer, RedisServer

WAVE = 500
SUBJECTS = 5000
FILLER = "x" * 700


def body(number: int) -> bytes:
    form = {
        "event_id": f"00000000-0000-7000-8000-{number:012d}",
        "event_type": "defect.status_changed",
        "data": {"defect_id": number % SUBJECTS, "old_status": "a", "new_status": "b", "changed_by": 7, "text": FILLER},
        "user_id": 7,
        "timestamp": "2025-12-01T12:00:00.000000Z",
    }
    return json.dumps(form).encode()


async def bare_rabbitmq(url: str, total: int) -> float:
    import aio_pika

    connection = await aio_pika.connect(url)
    channel = await connection.channel(publisher_confirms=True)
    exchange = await channel.declare_exchange("events", aio_pika.ExchangeType.TOPIC, durable=True)
    bodies = [body(number) for number in range(total)]
    began = time.perf_counter()
    for at in range(0, total, WAVE):
        await asyncio.gather(
            *(
                exchange.publish(
                    aio_pika.Message(
                        one, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, message_id=str(at + n), type="t"
                    ),
                    routing_key="defect.status_changed",
                )
                for n, one in enumerate(bodies[at : at + WAVE])
            )
        )
    rate = total / (time.perf_counter() - began)
    await connection.close()
    return rate


async def bare_redis(url: str, total: int) -> float:
    import redis.asyncio as client

    connection = client.Redis.from_url(url)
    bodies = [body(number) for number in range(total)]
    began = time.perf_counter()
    for at in range(0, total, WAVE):
        pipe = connection.pipeline(transaction=False)
        for one in bodies[at : at + WAVE]:
            pipe.xadd("bare", {"id": str(at), "type": "defect.status_changed", "body": one})
        await pipe.execute()
    rate = total / (time.perf_counter() - began)
    await connection.aclose()
    return rate


async def relayed(url: str, total: int, database: str, *, journal: bool) -> float:
    from orakul.delivery.broker import open_broker
    from orakul.delivery.relay import Relay
    from orakul.journals.postgres.relaying import PostgresOutboxStore
    from orakul.tasks.recorder import Recorder

    broker = open_broker(url)
    await broker.connect()
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder))
        record = (lambda events: recorder.record_together(*events)) if journal else None
        relay = Relay(PostgresOutboxStore(database), broker, record)
        began = time.perf_counter()
        running = asyncio.create_task(relay.run())
        while relay.counts.relayed < total:  # noqa: ASYNC110 (a counter has no event)
            await asyncio.sleep(0.005)
        rate = total / (time.perf_counter() - began)
        relay.stop()
        await running
        recorder.close()
    await broker.close()
    return rate


def fill(database: str, total: int) -> None:
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE orakul.outbox")
        with cursor.copy("COPY orakul.outbox (event_id, event_type, ordering_key, envelope) FROM STDIN") as copy:
            for number in range(total):
                key = f"defect:{number * 7919 % SUBJECTS}"
                copy.write_row(
                    (f"00000000-0000-7000-8000-{number:012d}", "defect.status_changed", key, body(number).decode())
                )
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE orakul.outbox")


async def listen(url: str) -> None:
    """Bind a queue, so that somebody listens."""
    from orakul.delivery.broker import Subscription, open_broker

    broker = open_broker(url)
    await (await broker.subscribe(Subscription(queue="bench"))).close()
    await broker.close()


async def forget(url: str) -> None:
    from orakul.delivery.broker import open_broker

    broker = open_broker(url)
    await broker.remove("bench")
    await broker.close()
    if url.startswith("redis"):
        import redis

        redis.Redis.from_url(url).flushall()


def one(kind: str, url: str, total: int, database: str) -> float:
    call: Any
    if kind == "bare":
        call = (bare_redis if url.startswith("redis") else bare_rabbitmq)(url, total)
    else:
        call = relayed(url, total, database, journal=kind == "relay")
    return float(asyncio.run(call))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--broker", choices=["rabbitmq", "redis", "both"], default="both")
    parser.add_argument("--one", nargs=3, metavar=("KIND", "URL", "DATABASE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        kind, url, database = options.one
        print(one(kind, url, options.events, database))
        return
    from orakul.journals.postgres.migrations import upgrade

    with tempfile.TemporaryDirectory(prefix="orakul-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        postgres = PostgresServer(folder / "postgres")
        makes = {"rabbitmq": RabbitServer, "redis": RedisServer}
        chosen = {word: make(folder / word) for word, make in makes.items() if options.broker in {word, "both"}}
        try:
            postgres.start()
            upgrade(postgres.url)
            for product, server in chosen.items():
                server.start()
                rates: dict[str, list[float]] = {"bare": [], "relay": [], "relay (no journal)": []}
                for _ in range(options.rounds):
                    for kind, found in rates.items():
                        asyncio.run(listen(server.url))
                        if kind != "bare":
                            fill(postgres.url, options.events)
                        command = [sys.executable, __file__, "--events", str(options.events), "--one"]
                        done = subprocess.run(
                            [*command, kind, server.url, postgres.url], check=True, capture_output=True, text=True
                        )
                        found.append(float(done.stdout))
                        asyncio.run(forget(server.url))
                bare = statistics.median(rates["bare"])
                print(f"\n{product}: {options.events:,} events of 1 KB, medians of {options.rounds}")
                for kind, found in rates.items():
                    median = statistics.median(found)
                    spread = f"{min(found):,.0f}–{max(found):,.0f}"
                    print(f"  {kind:<20}{median:>9,.0f} events/s  ({spread})  {median / bare:5.2f} of bare")
                server.stop()
        finally:
            for server in (*chosen.values(), postgres):
                server.stop()


if __name__ == "__main__":
    main()
