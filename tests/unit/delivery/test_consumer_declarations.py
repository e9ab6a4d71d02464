"""Consumers on the broker in memory: what a handler is given, and what becomes of a message."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from orakul.delivery import (
    Consumer,
    Consumers,
    Delivery,
    PermanentError,
    Retries,
    RetryLaterError,
    consumer,
    message_of,
    open_broker,
)
from orakul.delivery.consuming import Process
from orakul.errors import SettingsError
from orakul.events import Event, EventType, event_type
from orakul.tasks.projection import project

SOON = Retries(attempts=3, first=0.01, factor=1, jitter=0)


@event_type("sample.opened")
class SampleOpened(EventType):
    """Something was opened."""

    sample_id: int
    colour: str = "red"


class Notes:
    """A recorder that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, event: Event) -> None:
        self.events.append(event)

    def record_together(self, *events: Event) -> None:
        self.events.extend(events)

    def task(self, task_id: str) -> Any:
        """Return the task as the control room would show it."""
        return project([event for event in self.events if event.task_id == task_id])


def opened(number: int, **more: Any) -> Event:
    return Event(event_type="sample.opened", data={"sample_id": number}, user_id=7, **more)


def run(
    members: Consumers,
    events: list[Event],
    until: Callable[[Notes], bool],
    *,
    meanwhile: Callable[[Any, Process], Awaitable[None]] | None = None,
    **options: Any,
) -> Notes:
    """Run the consumers on these events until the condition holds."""
    notes = Notes()

    async def main() -> None:
        broker = open_broker(f"memory://{time.monotonic_ns()}")
        process = Process(list(members), broker, notes, grace=2.0, name="tests", **options)
        running = asyncio.create_task(process.run())
        await asyncio.sleep(0.02)
        await broker.publish([message_of(event) for event in events])
        if meanwhile is not None:
            await meanwhile(broker, process)
        deadline = time.monotonic() + 20
        while not until(notes) and time.monotonic() < deadline:  # noqa: ASYNC110 (conditions of tests)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        process.end()
        await running
        notes.broker = broker  # type: ignore[attr-defined]  # for what is asked afterwards
        notes.dead = [each for name in members for each in await broker.dead_letters(name.name)]  # type: ignore[attr-defined]  # the same

    asyncio.run(main())
    assert until(notes)
    return notes


def test_a_handler_is_given_what_its_annotation_names() -> None:
    got: list[Any] = []
    app = Consumers()

    @app.consumer("typed", on="sample.opened")
    async def typed(event: SampleOpened) -> None:
        got.append(("typed", event.sample_id, event.envelope.user_id))

    @app.consumer("plain", on="sample.*")
    def plain(data: dict) -> None:  # type: ignore[type-arg]
        got.append(("plain", data["sample_id"], threading.current_thread() is not threading.main_thread()))

    @app.consumer("whole", on="#")
    async def whole(event, delivery: Delivery) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 (on purpose)
        got.append(("whole", event.event_type, delivery.attempt))

    run(app, [opened(5)], lambda _: len(got) == 3)
    assert sorted(got) == [("plain", 5, True), ("typed", 5, 7), ("whole", "sample.opened", 1)]


def test_a_delivery_is_a_task_of_the_events_owner() -> None:
    done = []
    app = Consumers()

    @app.consumer("mail", on="sample.opened")
    async def mail(event: SampleOpened) -> None:
        done.append(event)

    event = opened(1, trace_id="a" * 32)
    notes = run(app, [event], lambda _: bool(done))
    task = notes.task(f"mail:{event.event_id}")
    assert (task.status, task.kind, task.name, task.user_id) == ("completed", "delivery", "mail", "7")
    assert (task.group_id, task.queue, task.attempt, task.trace_id) == (event.event_id, "mail", 1, "a" * 32)
    assert task.started_at is not None


def test_a_passing_failure_is_tried_again_and_then_counts_as_done() -> None:
    attempts = []
    app = Consumers(retries=SOON)

    @app.consumer("shaky", on="sample.opened")
    async def shaky(event: SampleOpened, delivery: Delivery) -> None:  # noqa: ARG001 (asked for by its form)
        attempts.append(delivery.attempt)
        if delivery.attempt < 3:
            raise OSError("the line is down")

    event = opened(1)
    notes = run(app, [event], lambda _: len(attempts) == 3)
    task = notes.task(f"shaky:{event.event_id}")
    assert attempts == [1, 2, 3]
    assert (task.status, task.attempt) == ("completed", 3)
    failures = [each for each in notes.events if each.event_type == "task.failed"]
    assert [each.data["retrying"] for each in failures] == [True, True]
    assert "shaky" in failures[0].data["error"]["traceback"]
    assert "consumption.py" not in failures[0].data["error"]["traceback"]


def test_after_the_last_attempt_the_message_is_a_dead_letter_and_the_next_is_handled() -> None:
    done = []
    app = Consumers(retries=SOON)

    @app.consumer("picky", on="sample.opened")
    def picky(event: SampleOpened) -> None:
        if event.sample_id == 1:
            raise ZeroDivisionError("poison")
        done.append(event.sample_id)

    events = [opened(1), opened(2)]
    notes = run(
        app, events, lambda notes: done == [2] and any(each.data.get("outcome") == "Dead" for each in notes.events)
    )
    assert [(each.message.message_id, each.attempt) for each in notes.dead] == [(events[0].event_id, 3)]  # type: ignore[attr-defined]
    task = notes.task(f"picky:{events[0].event_id}")
    assert (task.status, task.outcome, task.attempt, task.error.type) == ("failed", "Dead", 3, "ZeroDivisionError")


@pytest.mark.parametrize("data", [{"sample_id": "five"}, {}, {"sample_id": 1, "colour": 3}], ids=str)
def test_data_that_do_not_fit_are_permanent(data: dict[str, Any]) -> None:
    calls: list[Any] = []
    app = Consumers(retries=SOON)

    @app.consumer("strict", on="sample.opened")
    async def strict(event: SampleOpened) -> None:
        calls.append(event)

    bad = Event(event_type="sample.opened", data=data)
    notes = run(app, [bad, opened(9)], lambda _: len(calls) == 1)
    assert [each.attempt for each in notes.dead] == [1]  # type: ignore[attr-defined]
    assert notes.task(f"strict:{bad.event_id}").error.type == "InvalidEventError"


def test_the_rule_for_permanent_errors_can_be_replaced() -> None:
    calls: list[int] = []
    app = Consumers(retries=SOON)

    @app.consumer("own_rule", on="sample.opened", permanent=lambda error: isinstance(error, KeyError))
    async def own_rule(event: SampleOpened) -> None:
        calls.append(event.sample_id)
        raise KeyError("gone") if event.sample_id == 1 else PermanentError("only a name here")

    run(app, [opened(1), opened(2)], lambda _: len(calls) == 4)
    assert sorted(calls) == [1, 2, 2, 2]


def test_a_handler_may_say_when_to_come_again() -> None:
    moments: list[float] = []
    app = Consumers(retries=Retries(attempts=2, first=60))

    @app.consumer("later", on="sample.opened")
    async def later(event: SampleOpened) -> None:  # noqa: ARG001 (asked for by its form)
        moments.append(time.monotonic())
        if len(moments) == 1:
            raise RetryLaterError("busy", delay=0.05)

    run(app, [opened(1)], lambda _: len(moments) == 2)
    assert moments[1] - moments[0] >= 0.04


def test_of_one_subject_an_ordered_consumer_handles_one_after_the_other_also_over_failures() -> None:
    seen: dict[int, list[int]] = {1: [], 2: []}
    failed: set[int] = set()
    app = Consumers(retries=SOON)

    @app.consumer("in_order", on="sample.*", ordered=True, concurrency=4)
    async def in_order(event: Event) -> None:
        number, step = event.data["sample_id"], event.data["step"]
        await asyncio.sleep(0.002)
        if step == 2 and number not in failed:
            failed.add(number)
            raise OSError("once")
        seen[number].append(step)

    events = [
        Event(event_type="sample.moved", data={"sample_id": number, "step": step})
        for step in range(6)
        for number in (1, 2)
    ]
    run(app, events, lambda _: sum(map(len, seen.values())) == 12)
    assert seen == {1: list(range(6)), 2: list(range(6))}


def test_what_is_under_way_at_the_end_finishes_and_the_rest_goes_back() -> None:
    began, ended = [], []
    app = Consumers()

    @app.consumer("slow", on="sample.opened", concurrency=1)
    async def slow(event: SampleOpened) -> None:
        began.append(event.sample_id)
        await asyncio.sleep(0.4)
        ended.append(event.sample_id)

    notes = run(app, [opened(1), opened(2)], lambda _: began == [1])
    assert ended == [1]
    depth = asyncio.run(notes.broker.depth("slow"))  # type: ignore[attr-defined]
    assert depth.waiting == 1
    waiting = next(each.task_id for each in notes.events if each.event_type == "task.pending")
    assert notes.task(waiting).status == "pending"


def test_a_cancelled_delivery_stops_or_never_begins() -> None:
    began: list[int] = []
    stopped: list[int] = []
    cancelled: list[tuple[str, int]] = []
    app = Consumers()
    events = [opened(1), opened(2)]

    @app.consumer("endless", on="sample.opened", concurrency=1)
    async def endless(event: SampleOpened) -> None:
        began.append(event.sample_id)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.append(event.sample_id)
            raise

    async def cancel(_broker: Any, _process: Process) -> None:
        while not began:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.01)
        cancelled.extend((f"endless:{each.event_id}", 1) for each in events)

    notes = run(app, events, lambda _: stopped == [1], meanwhile=cancel, orders=lambda _: list(cancelled))
    assert began == [1]
    assert notes.task(f"endless:{events[0].event_id}").status == "cancelled"


def test_a_replayed_dead_letter_counts_on() -> None:
    attempts: list[int] = []
    app = Consumers()

    @app.consumer("once_bad", on="sample.opened")
    async def once_bad(event: SampleOpened, delivery: Delivery) -> None:  # noqa: ARG001 (asked for by its form)
        attempts.append(delivery.attempt)
        if len(attempts) == 1:
            raise PermanentError("not today")

    event = opened(1)

    async def replay(broker: Any, _process: Process) -> None:
        while not await broker.dead_letters("once_bad"):  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0.01)
        await broker.replay("once_bad", [event.event_id])

    notes = run(app, [event], lambda _: len(attempts) == 2, meanwhile=replay)
    assert attempts == [1, 2]
    task = notes.task(f"once_bad:{event.event_id}")
    assert (task.status, task.attempt) == ("completed", 2)


def test_a_body_that_is_no_event_is_a_dead_letter() -> None:
    app = Consumers()
    calls: list[Any] = []

    @app.consumer("any", on="#")
    async def anything(event: Event) -> None:
        calls.append(event)

    import msgspec

    bad = msgspec.structs.replace(message_of(opened(1)), body=b"\xff\x00 no JSON", message_id="bad-1")

    async def send(broker: Any, _process: Process) -> None:
        await broker.publish([bad, message_of(opened(2))])

    notes = run(app, [], lambda _: len(calls) == 1, meanwhile=send)
    assert [each.message.message_id for each in notes.dead] == ["bad-1"]  # type: ignore[attr-defined]
    assert notes.task("any:bad-1").status == "failed"


def test_what_cannot_work_is_refused_when_it_is_declared() -> None:
    async def two(event: Event, connection: Any) -> None: ...
    async def odd(event: int) -> None: ...
    async def none() -> None: ...
    async def good(event: SampleOpened) -> None: ...

    for function, options, said in [
        (good, {"on": "other.*"}, "will never bring"),
        (good, {"on": []}, "names no event"),
        (good, {"on": "sample..x"}, "is no pattern"),
        (good, {"on": "#", "concurrency": 0}, "1 at least"),
        (two, {"on": "#"}, "has no inbox"),
        (odd, {"on": "#"}, "can be Event, dict or an EventType"),
        (none, {"on": "#"}, "takes no argument"),
    ]:
        with pytest.raises(SettingsError, match=said):
            Consumer("a", function, **options)
    with pytest.raises(SettingsError, match="is no name"):
        Consumer("a b", good, on="#")
    with pytest.raises(SettingsError, match="two consumers are called"):
        Consumers(consumer("a", on="#")(good), consumer("a", on="#")(lambda event: None))  # noqa: ARG005 (its form)


def test_waits_grow_up_to_the_longest_and_vary() -> None:
    rule = Retries(first=1, factor=3, longest=20, jitter=0.2)
    for attempt, plain in [(1, 1), (2, 3), (3, 9), (4, 20), (5000, 20)]:
        for _ in range(20):
            assert plain * 0.8 <= rule.delay(attempt) <= plain * 1.2
