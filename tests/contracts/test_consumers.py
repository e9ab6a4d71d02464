"""What consumers promise, on every broker with a server of its own."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import psycopg
import pytest

from orakul.delivery import Consumers, Delivery, Retries, event_of, message_of, open_broker
from orakul.delivery.consuming import Process
from orakul.delivery.inbox import open_inbox
from orakul.delivery.message import Message
from orakul.events import Event, EventType, event_type
from orakul.tasks.projection import project

SOON = Retries(attempts=3, first=0.05, factor=1, jitter=0)


@event_type("parcel.sent")
class ParcelSent(EventType):
    """A parcel was sent."""

    parcel_id: int
    note: str = ""


class Notes:
    """A recorder that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, event: Event) -> None:
        self.events.append(event)

    def record_together(self, *events: Event) -> None:
        self.events.extend(events)

    def task(self, task_id: str) -> Any:
        return project([event for event in self.events if event.task_id == task_id])

    def ended(self, task_id: str) -> bool:
        """Return whether a task's end is recorded; a moment after the message is settled, it is."""
        found = self.task(task_id)
        return found is not None and found.status in {"completed", "failed"}


@pytest.fixture(params=["rabbitmq", "redis"])
def broker_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


def sent(number: int, **more: Any) -> Event:
    return Event(event_type="parcel.sent", data={"parcel_id": number, **more})


@contextlib.asynccontextmanager
async def consuming(url: str, app: Consumers, **options: Any) -> AsyncIterator[tuple[Any, Notes]]:
    """Run the consumers; yield another connection to their broker, and what they record."""
    notes, other = Notes(), open_broker(url)
    process = Process(list(app), open_broker(url), notes, grace=5.0, name="tests", **options)
    running = asyncio.create_task(process.run())
    try:
        await asyncio.sleep(0)
        await until(lambda: all(each._stream is not None for each in process.consumptions) or running.done())
        yield other, notes
    finally:
        process.end()
        await running
        await other.close()


async def until(condition: Callable[[], object], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        await asyncio.sleep(0.02)


async def publish(broker: Any, *messages: Message) -> None:
    for receipt in await broker.publish(messages):
        assert receipt.outcome == "confirmed", receipt


def test_a_failing_one_is_tried_again_dies_and_comes_back_when_it_is_replayed(broker_url: str) -> None:
    attempts: list[int] = []
    good: list[int] = []
    healed = False
    app = Consumers(retries=SOON)

    @app.consumer("couriers", on="parcel.*")
    async def couriers(event: ParcelSent, delivery: Delivery) -> None:
        if event.parcel_id != 1:
            good.append(event.parcel_id)
            return
        attempts.append(delivery.attempt)
        if not healed:
            raise OSError("no road")

    async def main() -> None:
        nonlocal healed
        event = sent(1)
        async with consuming(broker_url, app) as (broker, notes):
            await publish(broker, message_of(event), *(message_of(sent(number)) for number in range(2, 30)))
            await until(lambda: len(attempts) == 3 and len(good) == 28)
            letters: list[Any] = []
            while not letters:
                letters = await broker.dead_letters("couriers")
            assert [(each.message.message_id, each.attempt) for each in letters] == [(event.event_id, 3)]
            assert "OSError: no road" in letters[0].reason
            await until(lambda: notes.task(f"couriers:{event.event_id}").outcome == "Dead")
            healed = True
            assert await broker.replay("couriers", [event.event_id]) == [event.event_id]
            await until(lambda: len(attempts) == 4)
            await until(lambda: notes.task(f"couriers:{event.event_id}").status == "completed")
            assert await broker.dead_letters("couriers") == []
        assert attempts == [1, 2, 3, 4]
        assert notes.task(f"couriers:{event.event_id}").attempt == 4

    asyncio.run(main())


def test_poison_another_version_an_unknown_type_and_five_megabytes_stop_nobody(broker_url: str) -> None:
    got: list[Any] = []
    app = Consumers(retries=SOON)

    @app.consumer("warehouse", on="parcel.#")
    async def warehouse(event: ParcelSent) -> None:
        got.append((event.parcel_id, len(event.note)))

    large = sent(5, note="x" * 5_000_000)
    poison = {
        "no JSON": msgspec.structs.replace(message_of(sent(0)), body=b"\xff\x00{"),
        "no event": msgspec.structs.replace(message_of(sent(0)), body=b'{"parcel_id": 3}', message_id="none-1"),
        "another schema": message_of(Event(event_type="parcel.sent", data={"parcelNumber": "A-7"})),
        "an unknown type": message_of(Event(event_type="parcel.lost.forever", data={"parcel_id": 9})),
    }

    async def main() -> None:
        async with consuming(broker_url, app) as (broker, notes):
            await publish(broker, *poison.values(), message_of(large), message_of(sent(6)))
            await until(lambda: sorted(got) == [(5, 5_000_000), (6, 0)])
            letters: list[Any] = []
            while len(letters) < 4:
                letters = await broker.dead_letters("warehouse")
            assert {each.message.message_id for each in letters} == {each.message_id for each in poison.values()}
            assert all(each.attempt == 1 for each in letters)
            for what, message in poison.items():
                await until(lambda each=message: notes.ended(f"warehouse:{each.message_id}"))  # type: ignore[misc]  # bound now
                task = notes.task(f"warehouse:{message.message_id}")
                assert (task.status, task.outcome, task.error.type) == ("failed", "Dead", "InvalidEventError"), what
            await until(lambda: notes.ended(f"warehouse:{large.event_id}"))
            assert notes.task(f"warehouse:{large.event_id}").status == "completed"
            assert all(len(msgspec.json.encode(each)) < 200_000 for each in notes.events)

    asyncio.run(main())


def test_effects_with_an_inbox_happen_once_however_often_the_message_comes(broker_url: str, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE effects (consumer text, parcel int)")
    app = Consumers(retries=SOON)
    called: list[str] = []

    @app.consumer("in_loop", on="parcel.sent", inbox=True)
    async def in_loop(event: ParcelSent, connection: psycopg.AsyncConnection) -> None:
        called.append("in_loop")
        await connection.execute("INSERT INTO effects VALUES ('in_loop', %s)", (event.parcel_id,))
        if called.count("in_loop") == 1:
            raise OSError("after the effect, before the commit")

    @app.consumer("in_thread", on="parcel.sent", inbox=True)
    def in_thread(event: ParcelSent, connection: psycopg.Connection) -> None:
        connection.execute("INSERT INTO effects VALUES ('in_thread', %s)", (event.parcel_id,))

    from sqlalchemy import text
    from sqlalchemy.orm import Session

    @app.consumer("with_alchemy", on="parcel.sent", inbox=True)
    def with_alchemy(event: ParcelSent, session: Session) -> None:
        session.execute(text("INSERT INTO effects VALUES ('with_alchemy', :number)"), {"number": event.parcel_id})

    inboxes = {each.name: open_inbox(each.handler.connection_library or "psycopg", database_url) for each in app}

    async def main() -> None:
        event = sent(1)
        async with consuming(broker_url, app, inboxes=inboxes) as (broker, notes):
            await publish(broker, message_of(event))
            await until(lambda: sum(each.event_type == "task.completed" for each in notes.events) == 3)
        # A process that knows nothing of the first one, and the same event once more.
        async with consuming(broker_url, app, inboxes=inboxes) as (broker, notes):
            await publish(broker, message_of(event))
            await until(lambda: sum(each.data.get("outcome") == "Duplicate" for each in notes.events) == 3)

    asyncio.run(main())
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT consumer, parcel FROM effects ORDER BY 1").fetchall()
    assert rows == [("in_loop", 1), ("in_thread", 1), ("with_alchemy", 1)]


def test_two_ordered_processes_keep_the_order_of_a_subject(broker_url: str) -> None:
    seen: dict[str, list[int]] = {}
    failed: set[str] = set()
    app = Consumers(retries=SOON)

    @app.consumer("ledger", on="account.*", ordered=True, concurrency=8, prefetch=40)
    async def ledger(event: Event) -> None:
        account, step = event.data["account_id"], event.data["step"]
        await asyncio.sleep(0)
        if step == 7 and account not in failed:
            failed.add(account)
            raise OSError("once")
        seen.setdefault(account, []).append(step)

    events = [
        Event(event_type="account.booked", data={"account_id": f"a{account}", "step": step})
        for step in range(20)
        for account in range(6)
    ]

    async def main() -> None:
        async with consuming(broker_url, app) as (broker, _):
            second = Process(list(app), open_broker(broker_url), Notes(), grace=5.0, name="second")
            running = asyncio.create_task(second.run())
            await publish(broker, *map(message_of, events))
            await until(lambda: sum(map(len, seen.values())) == len(events))
            second.end()
            await running

    asyncio.run(main())
    assert seen == {f"a{account}": list(range(20)) for account in range(6)}


def test_what_is_in_hand_at_the_end_goes_back_and_is_handled_by_the_next(broker_url: str) -> None:
    began: list[int] = []
    app = Consumers()

    @app.consumer("porters", on="parcel.sent", concurrency=2, prefetch=10)
    async def porters(event: ParcelSent) -> None:
        began.append(event.parcel_id)
        await asyncio.sleep(0.3)

    async def main() -> None:
        async with consuming(broker_url, app) as (broker, _):
            await publish(broker, *(message_of(sent(number)) for number in range(10)))
            await until(lambda: began)
        first = len(began)
        assert first < 10
        async with consuming(broker_url, app):
            await until(lambda: len(began) >= 10)
        assert sorted(began) == list(range(10))

    asyncio.run(main())


def test_the_body_is_the_event_as_others_read_it(broker_url: str) -> None:
    got: list[Message] = []
    app = Consumers()
    event = sent(3, note="с пометкой")

    @app.consumer("reader", on="parcel.sent")
    async def reader(told: Event) -> None:
        got.append(message_of(told))

    async def main() -> None:
        async with consuming(broker_url, app) as (broker, _):
            await publish(broker, message_of(event))
            await until(lambda: got)

    asyncio.run(main())
    assert event_of(got[0]) == event


@pytest.mark.parametrize("kind", ["rabbitmq", "redis"])
def test_a_broken_connection_neither_stops_a_handler_nor_makes_it_run_twice(
    kind: str, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(f"own_{kind}")()
    began: list[int] = []
    ended: list[int] = []
    broke = asyncio.Event()
    app = Consumers()

    @app.consumer("steady", on="parcel.sent", concurrency=2)
    async def steady(event: ParcelSent) -> None:
        began.append(event.parcel_id)
        if event.parcel_id == 1:
            await broke.wait()
        ended.append(event.parcel_id)

    async def main() -> None:
        async with consuming(server.url, app) as (broker, notes):
            event = sent(1)
            await publish(broker, message_of(event))
            await until(lambda: began == [1])
            await asyncio.to_thread(server.kill9)
            await asyncio.to_thread(server.start)
            await asyncio.sleep(3.0)  # the message has come again by now, while its handler still runs
            broke.set()
            await until(lambda: ended == [1])
            await broker.close()
            other = open_broker(server.url)
            await publish(other, message_of(sent(2)))
            await until(lambda: ended == [1, 2], 60)
            await until(lambda: notes.task(f"steady:{event.event_id}").status == "completed")

            async def empty() -> bool:
                return (await other.depth("steady")).waiting == 0

            deadline = time.monotonic() + 40
            while not await empty():
                assert time.monotonic() < deadline, "something was not acknowledged"
                await asyncio.sleep(0.2)
            await other.close()
        assert began == [1, 2]

    asyncio.run(main())
