"""Chaos: relays, broker and PostgreSQL are killed and started again while services publish.

Nothing committed is lost, nothing rolled back is ever seen, and, repetitions dropped, each subject is in order. The
number of events is ORAKUL_TEST_CHAOS_EVENTS (20,000 is the full size).
"""

import asyncio
import contextlib
import os
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from processes import Process
from servers import wait_for

from orakul.delivery.broker import Subscription, open_broker
from orakul.delivery.message import event_of
from orakul.errors import BrokerUnavailableError
from orakul.journals.postgres.migrations import upgrade

EVENTS = int(os.environ.get("ORAKUL_TEST_CHAOS_EVENTS", "700"))
PUBLISHERS = 3
PATIENCE = 120.0 + EVENTS / 15
ORAKUL = Path(sys.executable).with_name("orakul")
HERE = Path(__file__).parent


class World:
    """The servers, the services, the relays; and one who kills."""

    def __init__(self, broker: Any, postgres: Any, spawn: Callable[..., Process], folder: Path) -> None:
        self.broker, self.postgres, self.spawn, self.folder = broker, postgres, spawn, folder
        self.url = postgres.url
        self.dice = random.Random(EVENTS)  # noqa: S311 (chaos, not cryptography)
        self.kills = {"relay": 0, "broker": 0, "postgres": 0}
        self.relays: list[Process] = []
        # Who starts a process must outlive it: one thread for all of it, not the event loop's.
        self.hand = ThreadPoolExecutor(1)

    def relay(self, number: int) -> Process:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ORAKUL_")}
        environment |= {
            "ORAKUL_DATA": str(self.folder / f"relay-{number}"),
            "ORAKUL_DATABASE_URL": self.url,
            "ORAKUL_EVENTS_BROKER": self.broker.url,
        }
        log = self.folder / f"relay-{number}.log"
        return self.spawn([str(ORAKUL), "run", "relay"], env=environment, log=log)

    def publisher(self, number: int) -> Process:
        command = [sys.executable, str(HERE / "relay_publisher.py"), self.url, str(number)]
        log = str(self.folder / f"published-{number}")
        return self.spawn([*command, str(EVENTS // PUBLISHERS), log], log=self.folder / f"publisher-{number}.log")

    def published(self) -> dict[str, set[str]]:
        said: dict[str, set[str]] = {"committed": set(), "trying": set(), "rolled back": set()}
        for number in range(PUBLISHERS):
            with contextlib.suppress(FileNotFoundError):
                for line in (self.folder / f"published-{number}").read_text("utf-8").splitlines():
                    word, _, event_id = line.rpartition(" ")
                    said[word].add(event_id)
        return said

    def hurt(self) -> None:
        """Kill something, and start it again."""
        # The relays are what this is about; a broker takes seconds to come back.
        victim = self.dice.choices(["relay", "broker", "postgres"], [8, 2, 2])[0]
        if victim == "relay":
            number = self.dice.randrange(len(self.relays))
            self.relays[number].kill9()
            time.sleep(self.dice.random() * 0.3)
            self.relays[number] = self.relay(number)
        else:
            server = self.broker if victim == "broker" else self.postgres
            server.kill9()
            time.sleep(self.dice.random() * 0.5)
            server.start()
        self.kills[victim] += 1


@pytest.mark.slow
@pytest.mark.timeout(900 + EVENTS)
@pytest.mark.parametrize("product", ["rabbitmq", "redis"])
def test_nothing_is_lost_nothing_is_a_ghost_and_subjects_stay_in_order(
    product: str, own_postgres: Any, tmp_path: Path, spawn: Callable[..., Process], request: pytest.FixtureRequest
) -> None:
    world = World(request.getfixturevalue(f"own_{product}")(), own_postgres(), spawn, tmp_path)
    upgrade(world.url)
    with psycopg.connect(world.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE aggregates AS SELECT id, 0 AS changes FROM generate_series(0, 39) AS id")
        connection.execute("CREATE UNIQUE INDEX ON aggregates (id)")
    seen = asyncio.run(_live(world))

    said, ids = world.published(), [event_id for event_id, _, _ in seen]
    assert said["committed"] <= set(ids), f"lost: {len(said['committed'] - set(ids))}"
    assert not said["rolled back"] & set(ids), "a ghost"
    assert set(ids) <= said["committed"] | said["trying"], "an event of nobody's"
    last: dict[int, int] = {}
    known: set[str] = set()
    for event_id, aggregate, n in seen:
        if event_id not in known:
            known.add(event_id)
            assert n == last.get(aggregate, 0) + 1, f"defect {aggregate}: {n} after {last.get(aggregate, 0)}"
            last[aggregate] = n
    with psycopg.connect(world.url) as connection:
        aggregates = dict(connection.execute("SELECT id, changes FROM aggregates WHERE changes > 0").fetchall())
        assert last == aggregates
        [(left,)] = connection.execute("SELECT count(*) FROM orakul.outbox").fetchall()
        assert left == 0
    wait_for(lambda: _journalled(world) >= len(known), "the relayed events are in the journal", timeout=PATIENCE)
    assert _journalled(world) == len(known)
    world.hand.shutdown()
    print(f"{product}: {len(known)} events, {len(ids) - len(known)} repeated, kills {world.kills}")


def _journalled(world: World) -> int:
    with psycopg.connect(world.url) as connection:
        [(count,)] = connection.execute(
            "SELECT count(*) FROM orakul.events WHERE event_type = 'defect.updated' AND extra -> 'relayed' IS NOT NULL"
        ).fetchall()
        return int(count)


async def _live(world: World) -> list[tuple[str, int, int]]:
    """Publish, relay, receive and kill until all is through; return what was received, in order."""
    broker = open_broker(world.broker.url + ("?lease=5" if "redis" in world.broker.url else ""))
    stream = await broker.subscribe(Subscription(queue="chaos", patterns=("defect.*",), prefetch=500, ordered=True))
    seen: list[tuple[str, int, int]] = []

    async def receive() -> None:
        async for received in stream:
            data = event_of(received.message).data
            seen.append((received.message.message_id, data["defect_id"], data["n"]))
            with contextlib.suppress(BrokerUnavailableError):
                await received.ack()

    receiving = asyncio.create_task(receive())
    world.relays = [world.relay(number) for number in range(2)]
    publishers = [world.publisher(number) for number in range(PUBLISHERS)]
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE):
        while any(publisher.alive for publisher in publishers):
            await asyncio.sleep(world.dice.uniform(0.3, 1.2))
            await loop.run_in_executor(world.hand, world.hurt)
        for _ in range(2):
            await loop.run_in_executor(world.hand, world.hurt)
        committed = world.published()["committed"]
        while not (committed <= {event_id for event_id, _, _ in seen} and await asyncio.to_thread(_empty, world)):
            assert not receiving.done(), receiving.exception()
            await asyncio.sleep(0.2)
    await broker.close()
    await asyncio.wait_for(receiving, 30)
    return seen


def _empty(world: World) -> bool:
    with psycopg.connect(world.url) as connection:
        return connection.execute("SELECT count(*) FROM orakul.outbox").fetchone() == (0,)
