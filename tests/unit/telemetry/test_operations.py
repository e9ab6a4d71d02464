"""Operations reach other systems of observation in their own forms."""

import json
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from orakul.operations import OperationContext, collector, operation, step
from orakul.operations.outputs import Output
from orakul.telemetry.elastic import ECSFormatter
from orakul.telemetry.prometheus import OTHER, OperationMetrics


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    registry = CollectorRegistry()
    collector.flush()
    metrics = OperationMetrics(registry, names=2)
    collector.sinks.append(metrics)
    yield registry
    collector.sinks.remove(metrics)


def test_each_call_is_observed_once_and_names_are_bounded(registry: CollectorRegistry) -> None:
    for name in ("a", "b", "c", "d", "a"):
        with operation(name):
            pass
    collector.flush()
    text = generate_latest(registry).decode()
    assert 'orakul_operation_duration_seconds_count{operation="a",outcome="success"} 2.0' in text
    assert f'orakul_operation_duration_seconds_count{{operation="{OTHER}",outcome="success"}} 2.0' in text
    assert 'operation="c"' not in text


def test_ecs_lines_join_by_trace_and_span() -> None:
    lines: list[str] = []
    output = Output(ECSFormatter("imaging"), lambda text: lines.extend(text.split("\n")))
    collector.flush()
    collector.sinks.append(output)
    try:
        with OperationContext(user=7), operation("LOAD"):
            step("read", target="a\nb", error="gone")
        collector.flush()
    finally:
        collector.sinks.remove(output)
    load, read = (json.loads(line) for line in lines)
    assert (load["event.action"], load["event.outcome"], load["user.id"]) == ("LOAD", "success", "7")
    assert (read["parent.id"], read["trace.id"]) == (load["span.id"], load["trace.id"])
    assert (read["log.level"], read["error.message"]) == ("error", "gone")
