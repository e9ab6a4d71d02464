"""The relay, over a real outbox and the broker in memory: order, what is refused, what is impossible, taking over."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import psycopg

from orakul.brokers.memory import MemoryBroker
from orakul.delivery import outbox
from orakul.delivery.broker import Outcome, Receipt, Subscription
from orakul.delivery.message import Message, event_of
from orakul.delivery.relay import Relay
from orakul.errors import BrokerUnavailableError
from orakul.events import Event
from orakul.journals.postgres.relaying import PostgresOutboxStore

PATIENCE = 45.0


class Moody(MemoryBroker):
    """A broker that answers as `mood` says."""

    def __init__(self, mood: Callable[[Message], Outcome | None] = lambda _: None) -> None:
        super().__init__(f"memory://{uuid.uuid4().hex}")
        self.mood = mood
        self.waves: list[list[str]] = []

    async def publish(self, messages: Sequence[Message]) -> list[Receipt]:
        self.waves.append([message.subject for message in messages])
        receipts = []
        for message in messages:
            outcome = self.mood(message)
            if outcome is None:
                receipts += await super().publish([message])
            else:
                receipts.append(Receipt(outcome, "so it is"))
        return receipts


def publish(url: str, subjects: Sequence[int], *, kind: str = "defect.created", notify: bool = False) -> list[str]:
    events = [Event(event_type=kind, data={"defect_id": subject, "n": n}) for n, subject in enumerate(subjects)]
    with psycopg.connect(url) as connection:
        for event in events:
            outbox.publish(connection, event, notify=notify)
    return [event.event_id for event in events]


def query(url: str, statement: Any) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 (it is a server that changes)
            await asyncio.sleep(0.02)


def relaying(relay: Relay, law: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        running = asyncio.create_task(relay.run())
        try:
            await law()
        finally:
            relay.stop()
            await asyncio.wait_for(running, PATIENCE)

    asyncio.run(run())


def made(url: str, broker: MemoryBroker, record: Any = None, **options: Any) -> Relay:
    return Relay(PostgresOutboxStore(url), broker, record, **({"poll_seconds": 0.1} | options))


def test_events_are_relayed_in_waves_recorded_and_deleted(database_url: str) -> None:
    ids = publish(database_url, [1, 2, 1, 3, 1])
    broker, recorded = Moody(), list[Event]()
    relay = made(database_url, broker, recorded.extend, name="memory")

    async def law() -> None:
        stream = await broker.subscribe(Subscription(queue="q"))
        await until(lambda: relay.counts.relayed == 5)
        got = await stream.take(10)
        assert [event_of(one.message).event_id for one in got] == [ids[at] for at in (0, 1, 3, 2, 4)]
        assert broker.waves == [["defect:1", "defect:2", "defect:3"], ["defect:1"], ["defect:1"]]
        assert query(database_url, "SELECT * FROM orakul.outbox") == []
        assert {event.event_id for event in recorded} == set(ids)
        note = recorded[0].extra["relayed"]
        assert (note["broker"], note["heard"], note["subject"], note["refused"]) == ("memory", True, "defect:1", 0)

    relaying(relay, law)


def test_a_wake_up_makes_it_prompt(database_url: str) -> None:
    broker = Moody()
    relay = made(database_url, broker, poll_seconds=600)

    async def law() -> None:
        await until(lambda: relay.counts.parts == 16)
        await asyncio.sleep(0.3)  # it has looked, and waits
        await asyncio.to_thread(publish, database_url, [1], notify=True)
        await until(lambda: relay.counts.relayed == 1)

    relaying(relay, law)


def test_what_is_refused_holds_its_own_subject_only_and_goes_in_order_later(database_url: str) -> None:
    sick = {"defect:1": 2}

    def mood(message: Message) -> Outcome | None:
        if sick.get(message.subject, 0) > 0:
            sick[message.subject] -= 1
            return Outcome.REFUSED
        return None

    publish(database_url, [1, 1, 2, 1, 2])
    broker = Moody(mood)
    relay = made(database_url, broker)

    async def law() -> None:
        stream = await broker.subscribe(Subscription(queue="q"))
        await until(lambda: relay.counts.relayed == 5)
        order = [(one.message.subject, event_of(one.message).data["n"]) for one in await stream.take(10)]
        assert order == [("defect:2", 2), ("defect:2", 4), ("defect:1", 0), ("defect:1", 1), ("defect:1", 3)]
        assert relay.counts.refused == 2

    relaying(relay, law)


def test_poison_is_laid_aside_with_the_reason_and_its_subject_goes_on(database_url: str) -> None:
    publish(database_url, [1, 1, 2, 3])
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO orakul.outbox (event_id, event_type, ordering_key, envelope)"
            " VALUES (gen_random_uuid(), 'defect.created', 'defect:2', '[1]')"
        )
        huge = Event(event_type="defect.created", data={"defect_id": 3, "text": "x" * 5_000_000})
        outbox.publish(connection, huge)
    publish(database_url, [2, 3])

    def mood(message: Message) -> Outcome | None:
        data = event_of(message).data
        if data["defect_id"] != 1:
            return None
        return Outcome.IMPOSSIBLE if data["n"] == 0 else Outcome.REFUSED

    broker = Moody(mood)
    relay = made(database_url, broker, attempts=2)

    async def law() -> None:
        await until(lambda: relay.counts.relayed == 4 and relay.counts.laid_aside == 4)
        await until(lambda: query(database_url, "SELECT * FROM orakul.outbox") == [])
        statement = "SELECT ordering_key || attempts, last_error FROM orakul.outbox_dead ORDER BY seq"
        dead = dict(query(database_url, statement))
        assert dead["defect:10"] == dead["defect:11"] == "so it is"
        assert "object" in dead["defect:20"]
        assert "events.message_bytes" in dead["defect:30"]

    relaying(relay, law)


def test_while_the_broker_is_away_events_wait_and_then_go(database_url: str) -> None:
    away = True

    class Away(Moody):
        async def publish(self, messages: Sequence[Message]) -> list[Receipt]:
            if away:
                raise BrokerUnavailableError("gone fishing")
            return await super().publish(messages)

    publish(database_url, [1, 2])
    broker = Away()
    relay = made(database_url, broker)

    async def law() -> None:
        nonlocal away
        await until(lambda: relay.counts.trouble == "gone fishing")
        assert len(query(database_url, "SELECT * FROM orakul.outbox WHERE attempts = 0")) == 2
        away = False
        await until(lambda: relay.counts.relayed == 2 and relay.counts.trouble is None)

    relaying(relay, law)


def test_one_of_two_relays_works_and_the_other_takes_over(database_url: str) -> None:
    broker = Moody()
    first, second = made(database_url, broker), made(database_url, broker)

    async def law() -> None:
        await until(lambda: first.counts.parts == 16)
        standing_by = asyncio.create_task(second.run())
        await asyncio.to_thread(publish, database_url, [1, 2, 3])
        await until(lambda: first.counts.relayed == 3)
        assert second.counts.parts == 0
        with psycopg.connect(database_url, autocommit=True) as connection:  # its session is cut: its locks are gone
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity a WHERE datname = current_database() AND EXISTS"
                " (SELECT FROM pg_locks l WHERE l.pid = a.pid AND locktype = 'advisory') AND pid <> pg_backend_pid()"
            )
        await until(lambda: first.counts.parts + second.counts.parts == 16)
        await asyncio.to_thread(publish, database_url, [1, 2, 3])
        await until(lambda: first.counts.relayed + second.counts.relayed == 6)
        second.stop()
        await asyncio.wait_for(standing_by, PATIENCE)

    relaying(first, law)


def test_large_events_are_read_a_few_at_a_time(database_url: str) -> None:
    size = 100_000
    with psycopg.connect(database_url) as connection:
        for subject in range(30):
            outbox.publish(connection, Event(event_type="defect.created", data={"id": subject, "text": "ж" * size}))
        for subject in range(30, 90):
            outbox.publish(connection, Event(event_type="defect.created", data={"id": subject}))
    broker = Moody()
    relay = made(database_url, broker, batch_bytes=5 * 2 * size)

    async def law() -> None:
        await until(lambda: relay.counts.relayed == 90)

    relaying(relay, law)
    assert [subject for wave in broker.waves for subject in wave] == [f"defect:{n}" for n in range(90)]
    assert [len(wave) for wave in broker.waves[:6]] == [5] * 6
    assert query(database_url, "SELECT count(*) FROM orakul.outbox") == [(0,)]


def test_an_event_above_every_limit_does_not_hold_up_the_rest(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        for subject, size in enumerate((3000, 1, 9000, 2, 3)):
            outbox.publish(connection, Event(event_type="defect.created", data={"id": subject, "text": "x" * size}))
    broker = Moody()
    relay = made(database_url, broker, batch_bytes=1000, message_bytes=5000)

    async def law() -> None:
        await until(lambda: relay.counts.relayed == 4 and relay.counts.laid_aside == 1)

    relaying(relay, law)
    assert [subject for wave in broker.waves for subject in wave] == [f"defect:{n}" for n in (0, 1, 3, 4)]
