"""An operation is timed over its whole run, stands below the one around it, and ends as it ended."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from orakul.operations import (
    CarryingExecutor,
    Level,
    OperationContext,
    OperationLog,
    Outcome,
    annotate,
    carry,
    collector,
    operation,
    set_detail_level,
    step,
)
from orakul.operations.collection import Call


class Kept:
    """Keeps what a sink is told."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.trees: list[OperationLog] = []
        self.running: list[OperationLog] = []

    def on_calls(self, calls: list[Call]) -> None:
        self.calls.extend(calls)

    def on_tree(self, log: OperationLog) -> None:
        self.trees.append(log)

    def on_running(self, log: OperationLog) -> None:
        self.running.append(log)

    def only(self) -> OperationLog:
        collector.flush()
        assert len(self.trees) == 1, self.trees
        return self.trees[0]


@pytest.fixture
def kept() -> Iterator[Kept]:
    sink = Kept()
    collector.flush()
    collector.sinks.append(sink)
    yield sink
    collector.flush()
    collector.sinks.remove(sink)
    set_detail_level(Level.STANDARD)


def test_a_function_is_recorded_with_kind_and_shape_of_its_result_and_never_the_result(kept: Kept) -> None:
    @operation("LOAD_FILE")
    def load() -> list[int]:
        return [1, 2, 3]

    load()
    log = kept.only()
    assert (log.name, log.outcome, log.result_type, log.result_shape) == ("LOAD_FILE", "success", "list", [3])


def test_a_generator_is_timed_over_its_whole_run_and_its_consumer_is_not_its_child(kept: Kept) -> None:
    @operation
    def produce() -> Iterator[int]:
        time.sleep(0.02)
        yield 1
        yield 2

    with operation("outer"):
        for _ in produce():
            with operation("consumed"):
                time.sleep(0.02)
    tree = kept.only()
    produced = [child for child in tree.children if child.name.endswith("produce")]
    assert len(tree.children) == 3
    assert produced[0].duration_ms >= 60


def test_an_async_generator_closed_early_is_closed_and_leaks_nothing(kept: Kept) -> None:
    @operation
    async def produce() -> Any:
        yield 1
        yield 2

    async def main() -> None:
        stream = produce()
        async for _ in stream:
            break
        await stream.aclose()
        with operation("after"):
            pass

    asyncio.run(main())
    collector.flush()
    assert [(tree.outcome, tree.parent_id) for tree in kept.trees] == [("closed", None), ("success", None)]


def test_an_exception_is_recorded_and_raised_on(kept: Kept) -> None:
    @operation
    def broken() -> None:
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        broken()
    log = kept.only()
    assert (log.outcome, log.error_type, log.error_message) == ("error", "ValueError", "boom")
    assert "broken" in (log.traceback or "")


def test_cancellation_is_not_an_error(kept: Kept) -> None:
    @operation
    async def wait() -> None:
        await asyncio.sleep(10)

    async def main() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert kept.only().outcome is Outcome.CANCELLED


def test_a_soft_failure_counts_as_an_error(kept: Kept) -> None:
    @operation
    def soft() -> dict[str, Any]:
        return {"success": False, "error": "no such file"}

    soft()
    log = kept.only()
    assert (log.outcome, log.error_message) == ("error", "no such file")


@pytest.mark.parametrize("way", ["gather", "to_thread", "carrying", "carry", "executor"])
def test_operations_elsewhere_stand_below_the_one_that_started_them(kept: Kept, way: str) -> None:
    @operation("inner")
    def inner() -> None:
        time.sleep(0.001)

    @operation("inner")
    async def inner_async() -> None:
        await asyncio.sleep(0.001)

    @operation("outer")
    async def outer() -> None:
        if way == "gather":
            await asyncio.gather(inner_async(), inner_async())
        elif way == "to_thread":
            await asyncio.gather(asyncio.to_thread(inner), asyncio.to_thread(inner))
        elif way == "carrying":
            with CarryingExecutor() as pool:
                pool.submit(inner)
                pool.submit(inner)
        elif way == "carry":
            threads = [threading.Thread(target=carry(inner)) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        else:
            with ThreadPoolExecutor() as pool:
                pool.submit(carry(inner))
                pool.submit(carry(inner))

    asyncio.run(outer())
    tree = kept.only()
    assert [child.name for child in tree.children] == ["inner", "inner"]


def test_like_steps_in_a_row_are_one_with_a_count(kept: Kept) -> None:
    with operation("try"):
        for _ in range(43):
            step("connect", target="db")
        step("read", target="file")
    tree = kept.only()
    assert [(child.name, child.target, child.count) for child in tree.children] == [
        ("connect", "db", 43),
        ("read", "file", 1),
    ]


def test_below_the_level_only_failures_are_recorded_and_children_move_up(kept: Kept) -> None:
    @operation("detail", level=Level.DEBUG)
    def detail(fail: bool) -> None:  # noqa: FBT001 (a test's switch)
        with operation("inside"):
            pass
        if fail:
            raise OSError("disk")

    with operation("outer"):
        detail(fail=False)
        with pytest.raises(OSError, match="disk"):
            detail(fail=True)
    tree = kept.only()
    assert [(child.name, str(child.outcome)) for child in tree.children] == [
        ("inside", "success"),
        ("detail", "error"),
        ("inside", "success"),
    ]


def test_contexts_nest_and_every_operation_inside_carries_their_facts(kept: Kept) -> None:
    with OperationContext(session="s1", user="7"), OperationContext(file="a.dcm"), operation("read"):
        annotate(rows=3)
    log = kept.only()
    assert log.context == {"session": "s1", "user": "7", "file": "a.dcm"}
    assert log.facts == {"rows": 3}


def test_eight_threads_lose_and_mix_nothing(kept: Kept) -> None:
    each = 100_000

    @operation("tick")
    def tick() -> None:
        return None

    def run() -> None:
        for _ in range(each):
            tick()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    collector.flush()
    assert len(kept.calls) == 8 * each
    assert len({call.span for call in kept.calls}) == 8 * each


def test_past_the_bound_records_are_dropped_and_counted_and_calls_are_counted_all_the_same(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orakul.operations.collection.LIMIT", 10)
    dropped = collector.dropped

    @operation("tick")
    def tick() -> None:
        return None

    with collector._drain_lock:  # the writer cannot keep up
        for _ in range(100):
            tick()
    collector.flush()
    assert len(kept.calls) == 100
    assert len(kept.trees) == 10
    assert collector.dropped - dropped == 90
