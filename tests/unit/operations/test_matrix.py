"""Every kind of function, in every way of watching, in every situation: right duration, right parent, right outcome."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from orakul.operations import Level, OperationLog, carry, carry_into_threads, collector, operation
from orakul.operations.collection import Call

WORK = 0.02
KINDS = ("sync", "async", "generator", "async generator")
WAYS = ("decorator", "context manager")


class Trees:
    def __init__(self) -> None:
        self.trees: list[OperationLog] = []

    def on_calls(self, calls: list[Call]) -> None: ...

    def on_running(self, log: OperationLog) -> None: ...

    def on_tree(self, log: OperationLog) -> None:
        self.trees.append(log)


@pytest.fixture
def trees() -> Iterator[list[OperationLog]]:
    sink = Trees()
    collector.flush()
    collector.sinks.append(sink)
    yield sink.trees
    collector.flush()
    collector.sinks.remove(sink)


def watched(kind: str, way: str, work: Callable[[], None], level: Level = Level.STANDARD) -> Callable[[], Any]:
    """Return a function of the kind that does `work` inside the operation `inner`, watched in the given way."""
    if way == "decorator":
        return operation("inner", level=level)(bare(kind, work))
    if kind == "sync":

        def sync() -> str:
            with operation("inner", level=level):
                work()
            return "done"

        return sync
    if kind == "async":

        async def coroutine() -> str:
            async with operation("inner", level=level):
                work()
                await asyncio.sleep(0)
            return "done"

        return coroutine
    if kind == "generator":

        def generator() -> Iterator[int]:
            with operation("inner", level=level):
                work()
                yield 1
                yield 2

        return generator

    async def async_generator() -> AsyncIterator[int]:
        async with operation("inner", level=level):
            work()
            yield 1
            yield 2

    return async_generator


def bare(kind: str, work: Callable[[], None]) -> Callable[[], Any]:
    if kind == "sync":

        def sync() -> str:
            work()
            return "done"

        return sync
    if kind == "async":

        async def coroutine() -> str:
            work()
            await asyncio.sleep(0)
            return "done"

        return coroutine
    if kind == "generator":

        def generator() -> Iterator[int]:
            work()
            yield 1
            yield 2

        return generator

    async def async_generator() -> AsyncIterator[int]:
        work()
        yield 1
        yield 2

    return async_generator


async def drive(kind: str, function: Callable[[], Any]) -> None:
    if kind == "sync":
        function()
    elif kind == "async":
        await function()
    elif kind == "generator":
        for _ in function():
            pass
    else:
        async for _ in function():
            pass


def driven(kind: str, function: Callable[[], Any]) -> None:
    asyncio.run(drive(kind, function))


async def nested(kind: str, function: Callable[[], Any]) -> int:
    with operation("outer"):
        await drive(kind, function)
    return 1


async def gathered(kind: str, function: Callable[[], Any]) -> int:
    with operation("outer"):
        await asyncio.gather(drive(kind, function), drive(kind, function))
    return 2


async def to_thread(kind: str, function: Callable[[], Any]) -> int:
    with operation("outer"):
        await asyncio.to_thread(driven, kind, function)
    return 1


async def executed(kind: str, function: Callable[[], Any]) -> int:
    with operation("outer"), ThreadPoolExecutor() as pool:
        list(pool.map(carry(lambda _: driven(kind, function)), range(2)))
    return 2


async def raw_thread(kind: str, function: Callable[[], Any]) -> int:
    undo = carry_into_threads()
    try:
        with operation("outer"):
            thread = threading.Thread(target=driven, args=(kind, function))
            thread.start()
            thread.join()
    finally:
        undo()
    return 1


def flat(log: OperationLog) -> Iterator[OperationLog]:
    for child in log.children:
        assert isinstance(child, OperationLog)
        yield child
        yield from flat(child)


@pytest.mark.parametrize("situation", [nested, gathered, to_thread, executed, raw_thread])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_duration_parent_and_outcome_are_right(
    trees: list[OperationLog], kind: str, way: str, situation: Callable[..., Any]
) -> None:
    function = watched(kind, way, lambda: time.sleep(WORK))
    count = asyncio.run(situation(kind, function))
    collector.flush()
    assert [tree.name for tree in trees] == ["outer"]
    inner = list(flat(trees[0]))
    assert [(each.name, str(each.outcome), each.parent_id) for each in inner] == [
        ("inner", "success", trees[0].operation_id)
    ] * count
    assert all(WORK * 1e3 <= each.duration_ms <= trees[0].duration_ms for each in inner)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_is_an_error_and_comes_through(trees: list[OperationLog], kind: str, way: str) -> None:
    def work() -> None:
        raise LookupError("boom")

    with pytest.raises(LookupError, match="boom"):
        driven(kind, watched(kind, way, work))
    collector.flush()
    assert [(tree.name, str(tree.outcome), tree.error_type) for tree in trees] == [("inner", "error", "LookupError")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_cancellation_is_cancelled(trees: list[OperationLog], kind: str, way: str) -> None:
    def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        driven(kind, watched(kind, way, work))
    collector.flush()
    assert [str(tree.outcome) for tree in trees] == ["cancelled"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_is_aborted(trees: list[OperationLog], kind: str, way: str) -> None:
    def work() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        driven(kind, watched(kind, way, work))
    collector.flush()
    assert [str(tree.outcome) for tree in trees] == ["aborted"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["generator", "async generator"])
def test_an_early_close_is_closed_and_leaves_no_trace_behind(trees: list[OperationLog], kind: str, way: str) -> None:
    function = watched(kind, way, lambda: None)

    async def main() -> None:
        stream = function()
        if kind == "generator":
            next(stream)
            stream.close()
        else:
            await anext(stream)
            await asyncio.create_task(stream.aclose())
        with operation("after"):
            pass

    asyncio.run(main())
    collector.flush()
    assert [(tree.name, str(tree.outcome)) for tree in trees][-1] == ("after", "success")
    assert [str(tree.outcome) for tree in trees if tree.name == "inner"] == ["closed"]
    if way == "decorator":
        assert trees[-1].parent_id is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_recursion_is_a_chain(trees: list[OperationLog], kind: str, way: str) -> None:
    depth = 0

    def work() -> None:
        nonlocal depth
        depth += 1
        if depth < 4:
            inner = threading.Thread(target=carry(lambda: driven(kind, function)))
            inner.start()
            inner.join()

    function = watched(kind, way, work)
    driven(kind, function)
    collector.flush()
    chain = [trees[0]]
    while chain[-1].children:
        (child,) = chain[-1].children
        assert isinstance(child, OperationLog)
        assert child.parent_id == chain[-1].operation_id
        chain.append(child)
    assert len(chain) == 4


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_below_the_level_nothing_is_recorded_and_what_is_inside_moves_up(
    trees: list[OperationLog], kind: str, way: str
) -> None:
    def work() -> None:
        with operation("deep"):
            pass

    with operation("outer"):
        driven(kind, watched(kind, way, work, Level.DEBUG))
    collector.flush()
    assert [(each.name, each.parent_id) for each in flat(trees[0])] == [("deep", trees[0].operation_id)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_below_the_level_a_failure_is_recorded_all_the_same(trees: list[OperationLog], kind: str, way: str) -> None:
    def work() -> None:
        time.sleep(WORK)
        raise LookupError("boom")

    with operation("outer"), pytest.raises(LookupError, match="boom"):
        driven(kind, watched(kind, way, work, Level.DEBUG))
    collector.flush()
    (inner,) = flat(trees[0])
    assert (inner.name, str(inner.outcome), inner.parent_id) == ("inner", "error", trees[0].operation_id)
    assert inner.duration_ms >= WORK * 1e3


@pytest.mark.parametrize("kind", ["sync", "async", "generator"])
def test_below_the_level_a_failure_that_is_returned_is_recorded_too(trees: list[OperationLog], kind: str) -> None:
    def made(result: dict[str, Any]) -> Callable[[], Any]:
        def sync() -> dict[str, Any]:
            return result

        async def coroutine() -> dict[str, Any]:
            return result

        def generator() -> Any:
            yield 1
            return result

        chosen: Any = {"sync": sync, "async": coroutine, "generator": generator}[kind]
        return operation("inner", level=Level.DEBUG)(chosen)

    driven(kind, made({"success": True}))
    driven(kind, made({"success": False, "error": "no rows"}))
    with operation("block", level=Level.DEBUG) as block:
        block.fail("no file")
    collector.flush()
    assert [(tree.name, str(tree.outcome), tree.error_message) for tree in trees] == [
        ("inner", "error", "no rows"),
        ("block", "error", "no file"),
    ]


@pytest.mark.parametrize("kind", ["generator", "async generator"])
def test_below_the_level_a_generator_closed_early_leaves_nothing(trees: list[OperationLog], kind: str) -> None:
    closed = []

    def ending() -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append(kind)

    async def async_ending() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            closed.append(kind)

    async def main() -> None:
        if kind == "generator":
            stream: Any = operation("inner", level=Level.DEBUG)(ending)()
            next(stream)
            stream.close()
        else:
            stream = operation("inner", level=Level.DEBUG)(async_ending)()
            await anext(stream)
            await asyncio.create_task(stream.aclose())

    asyncio.run(main())
    collector.flush()
    assert closed == [kind]
    assert trees == []


def test_what_is_sent_and_thrown_into_a_generator_reaches_it(trees: list[OperationLog]) -> None:
    @operation("inner")
    def echo() -> Any:
        got = []
        try:
            got.append((yield 1))
        except ValueError as error:
            got.append(str(error))
        got.append((yield 2))
        return got

    stream = echo()
    assert next(stream) == 1
    assert stream.throw(ValueError("thrown")) == 2
    with pytest.raises(StopIteration) as stop:
        stream.send("sent")
    assert stop.value.value == ["thrown", "sent"]
    collector.flush()
    assert (trees[0].result_type, trees[0].result_shape) == ("list", [2])
