"""Failures reach every handler once, apart from the operation; recovery happens only where it was asked for."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orakul.operations import OperationLog, SubOperationLog, collector, operation, step
from orakul.operations.handlers import ErrorHandler, ErrorHandlers
from orakul.operations.recovery import fallback, restoring_files, retrying


class Told(ErrorHandler):
    def __init__(self) -> None:
        self.operations: list[tuple[str, BaseException | None]] = []
        self.steps: list[tuple[str, Any]] = []

    def handle_operation_error(self, operation_log: OperationLog, exception: BaseException | None) -> None:
        self.operations.append((operation_log.name, exception))

    def handle_suboperation_error(self, subop_log: SubOperationLog, error_data: dict[str, Any]) -> None:
        self.steps.append((subop_log.name, error_data["message"]))


class Broken(Told):
    def handle_operation_error(self, operation_log: OperationLog, exception: BaseException | None) -> None:
        raise RuntimeError(f"the handler itself, on {operation_log.name}") from exception


@pytest.fixture
def told() -> Iterator[Told]:
    handler = Told()
    collector.flush()
    handlers = ErrorHandlers([Broken(), handler])
    collector.sinks.append(handlers)
    yield handler
    collector.sinks.remove(handlers)


def test_an_exception_that_rises_through_several_is_told_once_where_it_began(told: Told) -> None:
    error = ValueError("boom")
    with pytest.raises(ValueError, match="boom"), operation("outer"), operation("inner"):
        raise error
    collector.flush()
    assert told.operations == [("inner", error)]


def test_a_failed_step_is_told_with_its_operation(told: Told) -> None:
    with operation("outer"):
        step("read", error="no such file")
    collector.flush()
    assert told.steps == [("read", "no such file")]


def test_retrying_tries_as_often_as_it_says_and_raises_the_last_error() -> None:
    calls = []

    @retrying(3, delay=0)
    def flaky() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise OSError("not yet")
        return 7

    assert flaky() == 7

    @retrying(2, delay=0, on=OSError)
    async def never() -> None:
        calls.append(1)
        raise OSError("never")

    calls.clear()
    with pytest.raises(OSError, match="never"):
        asyncio.run(never())
    assert len(calls) == 2


def test_a_fallback_is_used_only_for_the_errors_named() -> None:
    @fallback(0, on=ZeroDivisionError)
    def divide(one: int, two: int) -> float:
        return one / two

    assert divide(1, 0) == 0
    with pytest.raises(TypeError):
        divide(1, "x")  # type: ignore[arg-type]


def test_files_are_put_back_where_the_block_fails(tmp_path: Path) -> None:
    changed, made = tmp_path / "a", tmp_path / "b"
    changed.write_text("before")

    def half_way() -> None:
        with restoring_files(changed, made):
            changed.write_text("half")
            made.write_text("new")
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        half_way()
    assert changed.read_text() == "before"
    assert not made.exists()
