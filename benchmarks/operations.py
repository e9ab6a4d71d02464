"""What watching an operation costs its caller, beside its peers, in one run.

    python benchmarks/operations.py [--json] [--rounds 7] [--calls 20000]

Nanoseconds a call, on the caller's side: the median of several rounds, in which all take turns. The floor is written
by hand: a context variable and one slotted record appended to a list. Peers that are not installed are named.
"""

import argparse
import contextlib
import gc
import io
import json
import statistics
import time
from collections.abc import Callable
from contextvars import ContextVar
from itertools import count
from typing import Any

from orakul.operations import Level, collector, operation

Function = Callable[[int], int]


class Discard:
    """A sink that makes the writer do its whole work."""

    def on_calls(self, calls: Any) -> None: ...

    def on_tree(self, log: Any) -> None: ...

    def on_running(self, log: Any) -> None: ...


def bare(x: int) -> int:
    return x


def floor() -> Function:
    here: ContextVar[int | None] = ContextVar("here", default=None)
    ids = count()
    kept: list[Any] = []

    class Record:
        __slots__ = ("end", "id", "name", "parent", "start")

        def __init__(self, name: str, id: int, parent: int | None, start: int) -> None:  # noqa: A002 (a span's id)
            self.name = name
            self.id = id
            self.parent = parent
            self.start = start

    def watched(x: int) -> int:
        own = next(ids)
        record = Record("floor", own, here.get(), time.perf_counter_ns())
        token = here.set(own)
        try:
            return bare(x)
        finally:
            here.reset(token)
            record.end = time.perf_counter_ns()
            kept.append(record)
            if len(kept) > 50_000:
                kept.clear()

    return watched


def opentelemetry_span() -> Function:
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 (a peer, where installed)
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415
        BatchSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> Any:  # noqa: ARG002 (the exporter's signature)
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    tracer = provider.get_tracer("benchmark")

    def watched(x: int) -> int:
        with tracer.start_as_current_span("bare"):
            return bare(x)

    return watched


def logfire_span() -> Function:
    import logfire  # noqa: PLC0415 (a peer, where installed)

    logfire.configure(send_to_logfire=False, console=False, metrics=False)

    def watched(x: int) -> int:
        with logfire.span("bare"):
            return bare(x)

    return watched


def eliot_action() -> Function:
    import eliot  # noqa: PLC0415 (a peer, where installed)

    eliot.to_file(io.StringIO())

    def watched(x: int) -> int:
        with eliot.start_action(action_type="bare"):
            return bare(x)

    return watched


def two_structlog_lines() -> Function:
    import structlog  # noqa: PLC0415 (a peer, where installed)

    sink = io.StringIO()
    log = structlog.wrap_logger(structlog.PrintLogger(sink), processors=[structlog.processors.JSONRenderer()]).bind()

    def watched(x: int) -> int:
        log.info("start", operation="bare")
        result = bare(x)
        log.info("end", operation="bare")
        if sink.tell() > 10_000_000:
            sink.seek(0)
            sink.truncate()
        return result

    return watched


def measure(function: Function, calls: int) -> float:
    gc.collect()
    begin = time.perf_counter_ns()
    for number in range(calls):
        function(number)
    return (time.perf_counter_ns() - begin) / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=20_000)
    given = parser.parse_args()
    collector.sinks.append(Discard())
    subjects: dict[str, Function] = {
        "bare function": bare,
        "floor by hand": floor(),
        "orakul, recorded": operation("RECORDED")(bare),
        "orakul, below the level": operation("FILTERED", level=Level.DEBUG)(bare),
    }
    absent = []
    for name, make in (
        ("OpenTelemetry SDK span", opentelemetry_span),
        ("logfire span, local", logfire_span),
        ("eliot action", eliot_action),
        ("two structlog lines", two_structlog_lines),
    ):
        try:
            subjects[name] = make()
        except ImportError:
            absent.append(name)
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(given.rounds):
        for name, function in subjects.items():
            with contextlib.redirect_stdout(io.StringIO()):
                taken[name].append(measure(function, given.calls))
            collector.flush()
    medians = {name: statistics.median(each) for name, each in taken.items()}
    ratios = {
        "recorded ÷ floor (aim ≤ 2.5)": medians["orakul, recorded"] / medians["floor by hand"],
        "filtered − bare, ns (aim ≤ 300)": medians["orakul, below the level"] - medians["bare function"],
    }
    if "OpenTelemetry SDK span" in medians:
        ratios["OpenTelemetry ÷ recorded (aim ≥ 8)"] = medians["OpenTelemetry SDK span"] / medians["orakul, recorded"]
    if given.json:
        print(json.dumps({"ns_per_call": medians, "ratios": ratios, "absent": absent}, ensure_ascii=False))
        return
    for name, each in medians.items():
        print(f"{name:<28}{each:>10,.0f} ns")
    for name, each in ratios.items():
        print(f"{name:<38}{each:>8.2f}")
    if absent:
        print("not installed here:", ", ".join(absent))


if __name__ == "__main__":
    main()
