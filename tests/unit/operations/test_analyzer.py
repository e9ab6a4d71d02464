"""What the analyzer says follows from the records, however they are split and merged."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orakul.operations import OperationLog, Outcome, SubOperationLog, collector, operation
from orakul.operations.analyzer import OperationAnalyzer

START = datetime(2026, 1, 1, tzinfo=UTC)


def log(name: str, ms: float, *children: Any, at: float = 0.0, **more: Any) -> OperationLog:
    return OperationLog(
        operation_id="1" * 16,
        root_id="1" * 32,
        name=name,
        outcome=more.pop("outcome", Outcome.SUCCESS),
        started_at=START + timedelta(milliseconds=at),
        duration_ns=round(ms * 1e6),
        children=list(children),
        **more,
    )


def test_self_time_leaves_out_children_even_where_they_overlap() -> None:
    analyzer = OperationAnalyzer()
    analyzer.add(log("outer", 100, log("a", 50, at=10), log("b", 50, at=30)))
    figures = {each.name: each for each in analyzer.statistics()}
    assert figures["outer"].self_ms == pytest.approx(30)
    assert figures["outer"].total_ms == pytest.approx(100)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 10_000), st.booleans()), max_size=30), st.integers(0, 30)
)
def test_merged_parts_say_what_the_whole_says(calls: list[tuple[str, int, bool]], cut: int) -> None:
    def analyze(some: list[tuple[str, int, bool]]) -> OperationAnalyzer:
        analyzer = OperationAnalyzer()
        for name, ms, failed in some:
            analyzer.add(
                log(
                    name,
                    ms,
                    outcome=Outcome.ERROR if failed else Outcome.SUCCESS,
                    error_message="x" if failed else None,
                )
            )
        return analyzer

    parts = analyze(calls[:cut])
    parts.merge(analyze(calls[cut:]))
    whole = analyze(calls)
    assert {each.name: each for each in parts.statistics()} == {each.name: each for each in whole.statistics()}
    assert {(each.name, each.count) for each in parts.errors()} == {(each.name, each.count) for each in whole.errors()}


def test_percentiles_are_right_to_one_percent() -> None:
    analyzer = OperationAnalyzer()
    for ms in range(1, 1001):
        analyzer.add(log("x", ms))
    figures = analyzer.statistics()[0]
    assert figures.p50_ms == pytest.approx(500, rel=0.011)
    assert figures.p99_ms == pytest.approx(990, rel=0.011)


def test_bottlenecks_name_the_child_the_wait_and_the_growth() -> None:
    analyzer = OperationAnalyzer()
    analyzer.add(log("import", 100, log("parse", 90, at=0)))
    analyzer.add(log("poll", 100, log("ask", 5, at=90)))
    for size in range(10, 60):
        analyzer.add(log("match", size**2, result_shape=[size]))
    found = {(each.name, each.reason): each for each in analyzer.bottlenecks()}
    assert found["parse", "share"].share == pytest.approx(0.9)
    assert found["poll", "waiting"].share == pytest.approx(0.95)
    assert found["match", "growth"].exponent == pytest.approx(2, abs=0.05)
    assert ("import", "waiting") not in found


def test_errors_are_grouped_by_name_type_and_place() -> None:
    analyzer = OperationAnalyzer()
    for at in (0, 60_000):
        analyzer.add(
            log(
                "x",
                1,
                at=at,
                outcome=Outcome.ERROR,
                error_type="ValueError",
                error_message="boom",
                traceback='File "a.py", line 3',
            )
        )
    analyzer.add(log("x", 1, outcome=Outcome.ERROR, error_type="KeyError", error_message="k"))
    first = analyzer.errors()[0]
    assert (first.error_type, first.count, first.last_seen - first.first_seen) == (
        "ValueError",
        2,
        timedelta(minutes=1),
    )


def test_two_periods_are_compared() -> None:
    analyzer = OperationAnalyzer()
    hour = timedelta(hours=1)
    for number in range(10):
        analyzer.add(log("x", 10, at=number))
        analyzer.add(log("x", 30, at=3_600_000 + number))
    difference = analyzer.compare((START, START + hour))[0]
    assert difference.p50_ratio == pytest.approx(3, rel=0.03)


def test_live_figures_count_every_call() -> None:
    analyzer = OperationAnalyzer()
    collector.flush()
    collector.sinks.append(analyzer)
    try:

        @operation("live")
        def live() -> None:
            return None

        for _ in range(1000):
            live()
        collector.flush()
    finally:
        collector.sinks.remove(analyzer)
    assert analyzer.last(timedelta(hours=1))[0].count == 1000


def test_steps_of_one_row_count_as_many_as_they_were() -> None:
    analyzer = OperationAnalyzer()
    step = SubOperationLog(
        operation_id="2" * 16,
        root_id="1" * 32,
        name="try",
        outcome=Outcome.SUCCESS,
        started_at=START,
        duration_ns=43,
        count=43,
    )
    analyzer.add(log("connect", 1, step))
    assert {each.name: each.count for each in analyzer.statistics()} == {"connect": 1, "try": 43}
