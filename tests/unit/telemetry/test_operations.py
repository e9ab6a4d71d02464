"""Operations reach other systems of observation in their own forms."""

import json

from orakul.operations import OperationContext, collector, operation, step
from orakul.operations.outputs import Output
from orakul.telemetry.elastic import ECSFormatter
from orakul.telemetry.prometheus import exposition, observe_durations, observe_process


def test_each_call_is_observed_once() -> None:
    observe_process()
    observe_durations()
    observe_durations()
    for name in ("counted a", "counted b", "counted a"):
        with operation(name):
            pass
    collector.flush()
    lines = exposition().splitlines()
    assert 'orakul_operation_duration_seconds_count{operation="counted a",outcome="success"} 2' in lines
    assert 'orakul_operation_duration_seconds_count{operation="counted b",outcome="success"} 1' in lines
    assert "orakul_operations_running 0" in lines


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
