"""The dispatcher's promises: order, isolation, bounds, errors, ends."""

import asyncio
import logging
import os
import threading
import time
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import wait_for

from orakul.errors import InvalidEventError
from orakul.events import Dispatcher, Event


def event(n: int, run: int = 0) -> Event:
    return Event(event_type="test.happened", data={"n": n, "run": run})


class Sync:
    def __init__(self) -> None:
        self.seen: list[int] = []

    def observe(self, event: Event) -> None:
        self.seen.append(event.data["n"])


class Async(Sync):
    async def observe(self, event: Event) -> None:  # type: ignore[override]
        self.seen.append(event.data["n"])


class Slow(Async):
    async def observe(self, event: Event) -> None:  # type: ignore[override]
        await asyncio.sleep(0.001)
        await super().observe(event)


class Immediate(Sync):
    immediate = True


def kinds() -> tuple[list[Any], list[list[int]]]:
    """Return one observer of each kind, and what each has seen."""
    function: list[int] = []
    coroutine: list[int] = []
    awaited: list[int] = []

    async def later(event: Event) -> None:
        coroutine.append(event.data["n"])

    async def inner(event: Event) -> None:
        awaited.append(event.data["n"])

    objects = [Sync(), Async(), Slow(), Immediate()]
    functions = [lambda event: function.append(event.data["n"]), later, lambda event: inner(event)]  # noqa: PLW0108 (a plain function that returns a coroutine)
    return [*objects, *functions], [*(one.seen for one in objects), function, coroutine, awaited]


@pytest.mark.parametrize("strict", [False, True])
def test_every_kind_of_observer_sees_all_in_order(*, strict: bool) -> None:
    observers, seen = kinds()
    with Dispatcher(observers, strict=strict) as dispatcher:
        for n in range(100):
            dispatcher.publish(event(n))
    assert seen == [list(range(100))] * len(observers)
    assert [(stat.told, stat.errors, stat.dropped) for stat in dispatcher.stats()] == [(100, 0, 0)] * len(observers)


@pytest.mark.parametrize("strict", [False, True])
def test_the_same_in_an_event_loop(*, strict: bool) -> None:
    observers, seen = kinds()

    async def main() -> None:
        async with Dispatcher(observers, strict=strict) as dispatcher:
            for n in range(100):
                await dispatcher.publish_async(event(n))

    asyncio.run(main())
    assert seen == [list(range(100))] * len(observers)


def test_async_observers_run_in_the_loop_they_were_given() -> None:
    loops = set()

    async def observe(_: Event) -> None:
        loops.add(id(asyncio.get_running_loop()))

    async def main() -> int:
        async with Dispatcher([observe]) as dispatcher:
            dispatcher.publish(event(1))
            await asyncio.to_thread(dispatcher.publish, event(2))
        return id(asyncio.get_running_loop())

    assert loops == set()
    assert asyncio.run(main()) in loops
    assert len(loops) == 1


@settings(max_examples=30, deadline=None)
@given(
    runs=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    slow=st.lists(st.sampled_from(["sync", "async", "failing"]), min_size=1, max_size=5),
)
def test_each_observer_sees_each_run_in_its_order(runs: list[int], slow: list[str]) -> None:
    """Whatever runs are published from threads at once, and whatever the other observers do."""
    seen: list[dict[int, list[int]]] = [defaultdict(list) for _ in slow]

    def make(number: int, kind: str) -> Any:
        def note(event: Event) -> None:
            seen[number][event.data["run"]].append(event.data["n"])
            if kind == "failing" and event.data["n"] % 3 == 0:
                raise ValueError("as it likes")

        async def later(event: Event) -> None:
            note(event)
            await asyncio.sleep(0)

        return later if kind == "async" else note

    logging.disable(logging.CRITICAL)
    try:
        with Dispatcher([make(number, kind) for number, kind in enumerate(slow)]) as dispatcher:

            def publish(run: int, count: int) -> None:
                for n in range(count):
                    dispatcher.publish(event(n, run))

            threads = [threading.Thread(target=publish, args=(run, count)) for run, count in enumerate(runs)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        logging.disable(logging.NOTSET)
    for observer in seen:
        assert observer == {run: list(range(count)) for run, count in enumerate(runs)}


def test_slow_observer_slows_neither_the_work_nor_the_others() -> None:
    quick = Sync()

    def slow(_: Event) -> None:
        time.sleep(10)

    dispatcher = Dispatcher([slow, quick])
    began = time.monotonic()
    for n in range(1000):
        dispatcher.publish(event(n))
    assert time.monotonic() - began < 1
    wait_for(lambda: len(quick.seen) == 1000, "the quick one", timeout=5)
    began = time.monotonic()
    dispatcher.close(0.3)
    assert 0.2 < time.monotonic() - began < 3
    assert dispatcher.stats()[0].dropped == 999, "what was not told by the deadline is counted"


def test_full_queue_lets_the_oldest_go_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    go = threading.Event()
    seen: list[int] = []

    def held(event: Event) -> None:
        go.wait(10)
        seen.append(event.data["n"])

    dispatcher = Dispatcher([held], queue_size=10)
    dispatcher.publish(event(0))
    wait_for(lambda: dispatcher.stats()[0].waiting == 0, "the first being told")
    for n in range(1, 101):
        dispatcher.publish(event(n))
    assert dispatcher.stats()[0].dropped == 90
    go.set()
    dispatcher.close()
    assert seen == [0, *range(91, 101)], "the last ones, which say how it ended, are told"
    assert "test_full_queue_lets_the_oldest_go_and_says_so.<locals>.held does not keep up" in caplog.text


@pytest.mark.parametrize("asynchronous", [False, True])
def test_error_is_logged_counted_and_goes_no_further(caplog: pytest.LogCaptureFixture, *, asynchronous: bool) -> None:
    class Broken:
        name = "the broken one"

        def observe(self, event: Event) -> None:
            if event.data["n"] == 1:
                raise ValueError("no ones")

    class BrokenLater(Broken):
        async def observe(self, event: Event) -> None:  # type: ignore[override]
            Broken.observe(self, event)

    well = Sync()
    with Dispatcher([BrokenLater() if asynchronous else Broken(), well]) as dispatcher:
        for n in range(3):
            dispatcher.publish(event(n))
    assert well.seen == [0, 1, 2]
    assert [(stat.told, stat.errors) for stat in dispatcher.stats()] == [(3, 1), (3, 0)]
    (record,) = caplog.records
    assert "the broken one failed on test.happened" in record.message
    assert record.exc_info is not None


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_no_exception_ends_the_telling(error: type[BaseException]) -> None:
    seen: list[int] = []

    def sync(event: Event) -> None:
        seen.append(event.data["n"])
        raise error

    async def later(event: Event) -> None:
        sync(event)

    with Dispatcher([sync]) as dispatcher:
        for n in range(3):
            dispatcher.publish(event(n))
    if error is asyncio.CancelledError:
        with Dispatcher([later]) as dispatcher:
            for n in range(3):
                dispatcher.publish(event(n))
        assert len(seen) == 6
    else:
        assert seen == [0, 1, 2]


def test_immediate_observers_error_goes_no_further() -> None:
    class Broken(Immediate):
        def observe(self, event: Event) -> None:
            raise ValueError(event)

    dispatcher = Dispatcher([Broken()])
    dispatcher.publish(event(1))
    assert dispatcher.stats()[0].errors == 1


def broken(_: Event) -> None:
    raise ValueError("first")


async def broken_later(_: Event) -> None:
    await asyncio.sleep(0)
    raise KeyError("second")


def test_strict_returns_all_errors_together_after_all_were_told() -> None:
    well = Sync()
    with Dispatcher([broken, broken_later, well], strict=True) as dispatcher:
        with pytest.raises(ExceptionGroup) as caught:
            dispatcher.publish(event(1))
        assert well.seen == [1]
    assert [type(error) for error in caught.value.exceptions] == [ValueError, KeyError]


def test_strict_in_an_event_loop() -> None:
    well = Sync()

    async def main() -> None:
        async with Dispatcher([broken, broken_later, well], strict=True) as dispatcher:
            await dispatcher.publish_async(event(1))

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main())
    assert well.seen == [1]
    assert len(caught.value.exceptions) == 2


def test_strict_publish_from_within_a_running_loop_works_too() -> None:
    later = Async()

    async def main() -> None:
        dispatcher = Dispatcher([later], strict=True)
        dispatcher.publish(event(1))
        await dispatcher.aclose()

    asyncio.run(main())
    assert later.seen == [1]


def test_event_that_does_not_fit_its_type_is_refused_before_anybody_hears() -> None:
    one = Immediate()
    dispatcher = Dispatcher([one])
    with pytest.raises(InvalidEventError, match=r"task\.completed: data\.attempt: Expected `int`, got `str`"):
        dispatcher.publish(Event(event_type="task.completed", data={"attempt": "first"}))
    assert one.seen == []


def test_close_drains_and_later_events_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow()
    dispatcher = Dispatcher([slow])
    for n in range(50):
        dispatcher.publish(event(n))
    dispatcher.close()
    assert slow.seen == list(range(50))
    dispatcher.publish(event(50))
    dispatcher.close()
    assert slow.seen == list(range(50))
    assert dispatcher.stats()[0].dropped == 1
    assert caplog.records


def test_aclose_has_a_deadline() -> None:
    async def for_ever(_: Event) -> None:
        await asyncio.sleep(60)

    async def main() -> float:
        dispatcher = Dispatcher([for_ever])
        async with dispatcher:
            dispatcher.publish(event(1))
            await asyncio.sleep(0.01)
            began = time.monotonic()
            await dispatcher.aclose(0.2)
            return time.monotonic() - began

    assert asyncio.run(main()) < 2


def test_forked_child_tells_its_own_events_only() -> None:
    one = Sync()
    dispatcher = Dispatcher([one])
    dispatcher.publish(event(1))
    wait_for(lambda: one.seen == [1], "the first")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            dispatcher.publish(event(2))
            dispatcher.close(5.0)
            code = 0 if one.seen == [1, 2] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    dispatcher.publish(event(3))
    dispatcher.close()
    assert one.seen == [1, 3]


def test_what_is_no_observer_is_named() -> None:
    with pytest.raises(TypeError, match="is no observer"):
        Dispatcher([object()])  # type: ignore[list-item]


def test_observers_of_some_types_are_not_bothered_with_others() -> None:
    class Some(Sync):
        event_types = frozenset({"test.happened"})

    some = Some()
    with Dispatcher([some]) as dispatcher:
        dispatcher.publish(event(1))
        dispatcher.publish(Event(event_type="test.other", data={"n": 2}))
    assert some.seen == [1]
