"""The contract of brokers, run over every product that an entry point names.

RabbitMQ and Redis are real servers, Kafka is librdkafka's mock cluster (unless ORAKUL_TEST_KAFKA_URL names a real one).
"""

import asyncio
import contextlib
import json
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from orakul.delivery.broker import Broker, Outcome, Received, Stream, Subscription, matches, open_broker
from orakul.delivery.message import ATTEMPTS_BEFORE, Message, event_of, message_of
from orakul.errors import BrokerUnavailableError, SettingsError
from orakul.events import Event
from orakul.extensions import names

SECURE = {"amqps": "amqp", "rediss": "redis"}  # the same file, over TLS
SCHEMES = [name for name in names("orakul.brokers") if name not in SECURE]
PATIENCE = 60.0


@pytest.fixture(params=SCHEMES)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a broker that is this test's alone."""
    match request.param:
        case "amqp":
            # An exchange of its own does as well as a virtual host of its own, and is made in no time.
            yield f"{request.getfixturevalue('rabbitmq').url}?exchange=t{uuid.uuid4().hex[:8]}"
        case "redis":
            yield f"{request.getfixturevalue('redis_url')}?lease=2"
        case "kafka":
            yield f"{request.getfixturevalue('kafka_url')}/t{uuid.uuid4().hex[:8]}"
        case "memory":
            yield f"memory://{uuid.uuid4().hex}"
        case other:
            pytest.fail(f"say here how a broker for {other}:// is had")


@pytest.fixture(scope="module")
def kafka_url() -> Iterator[str]:
    """The address of librdkafka's mock cluster."""
    from confluent_kafka import Producer

    with contextlib.ExitStack() as stack:
        if given := os.environ.get("ORAKUL_TEST_KAFKA_URL"):
            yield given
            return
        house = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "ignored"})
        stack.callback(house.flush, 1)
        [broker] = house.list_topics(timeout=30).brokers.values()
        yield f"kafka://{broker.host}:{broker.port}"


Law = Callable[["House"], Coroutine[Any, Any, None]]


class House:
    """A broker's address, and the brokers that a test has opened on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened: list[Broker] = []
        self.queue = f"q{uuid.uuid4().hex[:8]}"

    async def broker(self) -> Broker:
        broker = open_broker(self.url)
        await broker.connect()
        self.opened.append(broker)
        return broker

    async def listen(self, *patterns: str, broker: Broker | None = None, **options: Any) -> Stream:
        opened = broker or await self.broker()
        return await opened.subscribe(Subscription(queue=self.queue, patterns=patterns or ("#",), **options))


def run(url: str, law: Law) -> None:
    async def with_care() -> None:
        house = House(url)
        try:
            async with asyncio.timeout(PATIENCE * 2):
                await law(house)
        finally:
            for broker in house.opened[-1:]:
                with contextlib.suppress(BrokerUnavailableError):
                    await broker.remove(house.queue)
            for broker in house.opened:
                await broker.close()

    asyncio.run(with_care())


def message(number: int = 0, *, kind: str = "defect.created", subject: str = "", **data: Any) -> Message:
    event = Event(event_type=kind, data={"defect_id": number} | data, user_id=7)
    return message_of(event, subject or None)


async def received(stream: Stream, count: int, *, ack: bool = True) -> list[Received]:
    found: list[Received] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            batch = await stream.take(count - len(found))
            assert batch, "the stream has ended"
            if ack:
                for one in batch:
                    await one.ack()
            found += batch
    return found


async def nothing_more(stream: Stream, seconds: float = 0.7) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            pytest.fail(f"there was {await stream.take(1)}")


async def until(condition: Callable[[], Awaitable[object]], what: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 (it is a server that changes)
            await asyncio.sleep(0.05)
    assert what


def test_what_is_sent_arrives_whole(url: str) -> None:
    async def law(house: House) -> None:
        stream = await house.listen("defect.*")
        event = Event(event_type="defect.created", data={"defect_id": 42, "title": "Трещина ☃"}, user_id=7)
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        sent = message_of(event, headers={"traceparent": trace, "X-Origin": "shop"})
        [receipt] = await house.opened[0].publish([sent])
        assert receipt.outcome is Outcome.CONFIRMED
        [got] = await received(stream, 1)
        assert (got.message.message_id, got.message.type, got.message.subject) == (
            event.event_id,
            "defect.created",
            "defect:42",
        )
        assert dict(got.message.headers) == {"traceparent": trace, "x-origin": "shop"}
        assert got.message.timestamp == event.timestamp
        assert (got.queue, got.attempt, got.redelivered) == (house.queue, 1, False)
        read = event_of(got.message)
        assert (read.data, read.user_id, read.trace_id) == (event.data, 7, "0af7651916cd43dd8448eb211c80319c")
        assert json.loads(got.message.body)["event_id"] == event.event_id

    run(url, law)


def test_a_queue_gets_what_matches_its_patterns_and_keeps_it_while_nobody_takes(url: str) -> None:
    async def law(house: House) -> None:
        first = await house.broker()
        await (await house.listen("defect.*", "project.#", broker=first)).close()
        await first.close()
        house.opened.remove(first)
        broker = await house.broker()
        kinds = ("defect.created", "task.failed", "project.a.b", "defect.a.b", "project.created")
        await broker.publish([message(at, kind=kind) for at, kind in enumerate(kinds)])
        stream = await house.listen("defect.*", "project.#", broker=broker)
        got = await received(stream, 3)
        assert {one.message.type for one in got} == {"defect.created", "project.a.b", "project.created"}
        await nothing_more(stream)

    run(url, law)


def test_each_consumer_gets_its_own_copy_and_processes_of_one_share(url: str) -> None:
    async def law(house: House) -> None:
        one = await house.listen()
        other = House(house.url)
        another = await other.listen(broker=house.opened[0])
        await house.opened[0].publish([message(at) for at in range(20)])
        ids = [{got.message.message_id for got in await received(stream, 20)} for stream in (one, another)]
        assert ids[0] == ids[1]

    run(url, law)


def test_nobody_listening_is_said(url: str) -> None:
    async def law(house: House) -> None:
        stream = await house.listen("defect.*")
        receipts = await house.opened[0].publish([message(1), message(2, kind="weather.changed")])
        unheard = Outcome.CONFIRMED if house.url.startswith("kafka") else Outcome.UNHEARD  # Kafka cannot tell
        assert [receipt.outcome for receipt in receipts] == [Outcome.CONFIRMED, unheard]
        assert all(receipt.settled for receipt in receipts)
        await received(stream, 1)

    run(url, law)


def test_messages_of_a_subject_come_in_the_order_in_which_they_were_confirmed(url: str) -> None:
    async def law(house: House) -> None:
        stream = await house.listen(ordered=True)
        for round_ in range(10):
            wave = [message(subject=f"defect:{subject}", round=round_, about=subject) for subject in range(10)]
            assert {receipt.outcome for receipt in await house.opened[0].publish(wave)} == {Outcome.CONFIRMED}
        seen: dict[int, list[int]] = {}
        for got in await received(stream, 100):
            data = event_of(got.message).data
            seen.setdefault(data["about"], []).append(data["round"])
        assert all(rounds == list(range(10)) for rounds in seen.values())

    run(url, law)


def test_what_a_process_had_in_hand_when_it_ended_comes_again(url: str) -> None:
    async def law(house: House) -> None:
        first = await house.broker()
        stream = await house.listen(broker=first)
        await first.publish([message(at) for at in range(5)])
        got = await received(stream, 5, ack=False)
        for one in got[:2]:
            await one.ack()
        await asyncio.sleep(0.1)
        await first.close()
        house.opened.remove(first)
        again = await received(await house.listen(), 3)
        assert {one.message.message_id for one in again} == {one.message.message_id for one in got[2:]}
        assert all(one.attempt == 1 for one in again)

    run(url, law)


def test_no_more_is_in_hand_than_was_asked_for(url: str) -> None:
    async def law(house: House) -> None:
        stream = await house.listen(prefetch=3)
        await house.opened[0].publish([message(at) for at in range(10)])
        held = await received(stream, 3, ack=False)
        await nothing_more(stream)
        for one in held:
            await one.ack()
        await received(stream, 7)

    run(url, law)


def test_a_message_put_off_comes_again_after_its_delay_and_others_go_on(url: str) -> None:
    async def law(house: House) -> None:
        stream = await house.listen()
        other = House(house.url)
        another = await other.listen(broker=house.opened[0])
        await house.opened[0].publish([message(1), message(2)])
        loop = asyncio.get_running_loop()
        first, second = await received(stream, 2, ack=False)
        began = loop.time()
        await first.retry(1.0, "the mail server is away")
        await second.ack()
        [again] = await received(stream, 1, ack=False)
        assert loop.time() - began > 0.9
        assert (again.message.message_id, again.attempt) == (first.message.message_id, 2)
        assert again.message.body == first.message.body
        await again.retry(0.3)
        [third] = await received(stream, 1)
        assert third.attempt == 3
        await received(another, 2)
        await nothing_more(another)

    run(url, law)


def test_a_dead_letter_keeps_its_reason_and_can_be_replayed(url: str) -> None:
    async def law(house: House) -> None:
        stream = await house.listen()
        broker = house.opened[0]
        sent = [message(at) for at in range(4)]
        await broker.publish(sent)
        for one in await received(stream, 4, ack=False):
            await one.dead("ValueError: нет такого дефекта")
        await nothing_more(stream)

        async def four() -> bool:
            return len(await broker.dead_letters(house.queue)) == 4

        await until(four, "four dead letters")
        letters = await broker.dead_letters(house.queue)
        assert {letter.reason for letter in letters} == {"ValueError: нет такого дефекта"}
        assert abs((letters[0].died_at - datetime.now(UTC)).total_seconds()) < PATIENCE
        assert {letter.message.message_id for letter in letters} == {one.message_id for one in sent}
        assert len(await broker.dead_letters(house.queue, limit=2)) == 2
        assert await broker.replay(house.queue, [sent[2].message_id]) == [sent[2].message_id]
        [again] = await received(stream, 1)
        assert (again.message.message_id, again.attempt) == (sent[2].message_id, 1)
        assert again.message.headers[ATTEMPTS_BEFORE] == "1"
        assert await broker.discard(house.queue, [sent[0].message_id, "unknown"]) == [sent[0].message_id]
        assert sorted(await broker.replay(house.queue)) == sorted([sent[1].message_id, sent[3].message_id])
        await received(stream, 2)
        assert await broker.dead_letters(house.queue) == []
        assert await broker.replay(house.queue) == []
        assert await broker.dead_letters("nobody") == []

    run(url, law)


def test_what_a_queue_holds_is_told(url: str) -> None:
    async def law(house: House) -> None:
        stream = await house.listen()
        broker = house.opened[0]
        empty = await broker.depth(house.queue)
        assert (empty.waiting, empty.dead) == (0, 0)
        sent = [message(at) for at in range(3)]
        await broker.publish(sent)
        first, second, third = await received(stream, 3, ack=False)
        await first.dead("no")
        await second.retry(30)
        await third.ack()
        await stream.close()
        await broker.publish([message(9)])

        async def told() -> bool:
            depth = await broker.depth(house.queue)
            return (depth.waiting, depth.delayed, depth.dead) == (1, 1, 1) or depth.delayed is None

        await until(told, "the depth")
        oldest = (await broker.depth(house.queue)).oldest
        assert oldest is None or abs((oldest - datetime.now(UTC)).total_seconds()) < PATIENCE
        assert (await broker.depth("nobody")).waiting == 0
        await broker.remove(house.queue)
        assert (await broker.depth(house.queue)).dead == 0

    run(url, law)


def test_of_an_ordered_queue_one_process_gets_the_messages_and_another_takes_over(url: str) -> None:
    async def law(house: House) -> None:
        first, second = await house.broker(), await house.broker()
        streams = [await house.listen(broker=broker, ordered=True) for broker in (first, second)]
        takes = [asyncio.create_task(stream.take()) for stream in streams]
        await first.publish([message(1)])
        async with asyncio.timeout(PATIENCE):
            done, waiting = await asyncio.wait(takes, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.5)
        assert len(done) == 1
        assert not takes[takes.index(next(iter(waiting)))].done()
        [got] = done.pop().result()
        await got.ack()
        holder = first if takes[1] in waiting else second
        await house.broker()
        await asyncio.sleep(0.1)
        await holder.close()
        house.opened.remove(holder)
        await house.opened[-1].publish([message(2)])
        async with asyncio.timeout(PATIENCE):
            [other] = await next(iter(waiting))
        assert event_of(other.message).data["defect_id"] == 2
        await other.ack()

    run(url, law)


def test_a_large_message_arrives_or_is_declared_impossible(url: str) -> None:
    async def law(house: House) -> None:
        stream = await house.listen()
        large = message(1, text="Ж" * (5 << 19))
        receipts = await house.opened[0].publish([large, message(2)])
        assert receipts[1].outcome is Outcome.CONFIRMED
        assert receipts[0].outcome in {Outcome.CONFIRMED, Outcome.IMPOSSIBLE}
        expected = 2 if receipts[0].outcome is Outcome.CONFIRMED else 1
        got = await received(stream, expected)
        if expected == 2:
            assert large.body in {one.message.body for one in got}

    run(url, law)


def test_a_closed_stream_ends_and_gives_back_what_was_not_taken(url: str) -> None:
    async def law(house: House) -> None:
        stream = await house.listen()
        broker = house.opened[0]
        await broker.publish([message(at) for at in range(10)])
        [first] = await received(stream, 1, ack=False)
        await stream.close()
        await first.ack()
        assert await stream.take() == []
        assert [one async for one in stream] == []
        await asyncio.sleep(0.2)
        await received(await house.listen(), 9)

    run(url, law)


@pytest.fixture(params=["amqp", "redis"])
def own_server(request: pytest.FixtureRequest) -> Any:
    """A broker of this test's own, to be killed."""
    return request.getfixturevalue("own_rabbitmq" if request.param == "amqp" else "own_redis")()


def test_a_broker_killed_and_started_again_has_what_it_confirmed_and_streams_go_on(own_server: Any) -> None:
    async def law(house: House) -> None:
        stream = await house.listen()
        broker = house.opened[0]
        before = [message(at) for at in range(20)]
        receipts = await broker.publish(before)
        assert {receipt.outcome for receipt in receipts} == {Outcome.CONFIRMED}
        await asyncio.to_thread(own_server.kill9)
        with contextlib.suppress(BrokerUnavailableError):
            [receipt] = await broker.publish([message(99)])
            assert receipt.outcome is Outcome.UNKNOWN
        await asyncio.to_thread(own_server.start)
        after = message(100)

        async def sent() -> bool:
            with contextlib.suppress(BrokerUnavailableError):
                return (await broker.publish([after]))[0].outcome is Outcome.CONFIRMED
            return False

        await until(sent, "the broker is back")
        expected = {one.message_id for one in (*before, after)}
        seen: set[str] = set()
        async with asyncio.timeout(PATIENCE):
            async for got in _endless(stream):
                with contextlib.suppress(BrokerUnavailableError):
                    await got.ack()
                seen.add(got.message.message_id)
                if expected <= seen:
                    break

    run(own_server.url + ("?lease=2" if "redis" in own_server.url else ""), law)


async def _endless(stream: Stream) -> AsyncIterator[Received]:
    async for one in stream:
        yield one


def test_a_broker_that_is_away_says_where_it_was_looked_for() -> None:
    async def law(house: House) -> None:
        with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1"):
            await house.broker()

    for away in ("amqp://guest:secret@127.0.0.1:1/", "redis://127.0.0.1:1/0"):
        run(away, law)


def test_an_address_of_nobodys_names_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"amqp://, .*redis://"):
        open_broker("nats://localhost")


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("defect.*", ["defect.created"], ["defect", "defect.a.b", "project.created"]),
        ("#", ["a", "a.b.c"], []),
        ("a.#.z", ["a.z", "a.b.c.z"], ["a", "z", "a.b"]),
        ("*.created", ["defect.created"], ["created", "a.b.created"]),
    ],
)
def test_patterns_are_those_of_topics(pattern: str, fits: list[str], does_not: list[str]) -> None:
    assert all(matches(pattern, name) for name in fits)
    assert not any(matches(pattern, name) for name in does_not)
