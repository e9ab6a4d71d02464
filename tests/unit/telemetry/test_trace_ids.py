"""Every kind of task is stored with the trace that it was part of."""

import asyncio
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from orakul import instruments
from orakul.delivery import Consumers, message_of, open_broker
from orakul.delivery.consuming import Process
from orakul.events import Event
from orakul.events.trace import current_trace, current_traceparent, read_trace
from orakul.exports.exporter import Exporter
from orakul.exports.order import ExportOrder
from orakul.pipelines.message import read_message
from orakul.pipelines.recording import events_of
from orakul.settings import ExportSettings
from orakul.telemetry.correlation import correlation_id
from orakul.telemetry.own_spans import bridge_instruments

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Orakul's own spans, as they end."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    bridge_instruments(provider)
    yield exporter
    instruments.set_tracer(None)


@pytest.mark.parametrize(
    ("given", "found"),
    [(PARENT, TRACE), (TRACE, TRACE), (TRACE.upper(), TRACE), ("0" * 32, None), ("short", None), (7, None), ("", None)],
)
def test_a_trace_id_is_read_from_either_form(given: object, found: str | None) -> None:
    assert read_trace(given) == found


def test_the_current_trace_is_told_and_none_without_one() -> None:
    assert current_trace() is None
    assert current_traceparent() is None
    with TracerProvider().get_tracer("t").start_as_current_span("s") as span:
        context = span.get_span_context()
        assert current_trace() == trace.format_trace_id(context.trace_id)
        assert current_traceparent() == f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


@pytest.mark.parametrize("facts", [{"trace_id": TRACE}, {"traceparent": PARENT}])
def test_a_pipelines_run_has_the_trace_that_its_message_brings(facts: dict[str, str]) -> None:
    form = {"pipeline_name": "p", "status": "success", "finished_at": "2026-01-01T00:00:00Z", **facts}
    run = read_message(msgspec.json.encode(form), "tdtp:pipeline:P_V1")
    assert {event.trace_id for event in events_of(run)} == {TRACE}


def test_a_pipelines_run_without_one_has_that_of_who_watches(spans: InMemorySpanExporter) -> None:
    run = read_message(b'{"pipeline_name": "p", "status": "success"}', "tdtp:pipeline:P_V1")
    assert {event.trace_id for event in events_of(run)} == {None}
    with instruments.span("orakul.pipelines.take"):
        events = events_of(run)
    (span,) = spans.get_finished_spans()
    assert {event.trace_id for event in events} == {f"{span.context.trace_id:032x}"}


class Kept:
    """Records that keep what they are given."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, event: Event) -> None:
        self.events.append(event)

    def record_together(self, *events: Event) -> None:
        self.events += events


@pytest.mark.parametrize("known", ["traced", ""])
def test_a_delivery_is_below_the_span_that_published_it_and_has_its_correlation(
    spans: InMemorySpanExporter, known: str
) -> None:
    """Without a trace of the publisher's it begins one, and is stored with that."""
    kept, seen = Kept(), []
    members = Consumers()

    @members.consumer("bills", on="order.#")
    async def bills(data: dict[str, Any]) -> None:
        seen.append((data["order_id"], correlation_id()))

    async def main() -> None:
        broker = open_broker(f"memory://{uuid.uuid4().hex}")
        process = Process(list(members), broker, kept, grace=2.0, name="tests")
        running = asyncio.create_task(process.run())
        await asyncio.sleep(0.02)
        headers = {"traceparent": PARENT, "x-correlation-id": "c-9"} if known else {}
        await broker.publish([message_of(Event(event_type="order.paid", data={"order_id": 9}), headers=headers)])
        for _ in range(2000):
            if any(event.event_type == "task.completed" for event in kept.events):
                break
            await asyncio.sleep(0.01)
        process.end()
        await running

    asyncio.run(main())
    assert seen == [(9, "c-9" if known else None)]
    (span,) = [each for each in spans.get_finished_spans() if each.name == "process bills"]
    assert span.kind is SpanKind.CONSUMER
    assert (span.parent and f"{span.parent.span_id:016x}") == (PARENT.split("-")[2] if known else None)
    ended = [event for event in kept.events if event.event_type == "task.completed"]
    assert {event.trace_id for event in ended} == {TRACE if known else f"{span.context.trace_id:032x}"}


def test_an_export_its_groups_and_scripts_are_of_one_trace(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "shop.db").close()
    scripts = "\n".join(f"      - {{id: s{n}, variants: [{{id: v, sql: 'select {n} as a'}}]}}" for n in range(3))
    plan = "database: sqlite:///shop.db\noutput: {directory: out, parallel: 2}\ngroups:\n  - id: g\n    scripts:\n"
    (tmp_path / "plan.yaml").write_text(plan + scripts)
    recorded: list[Event] = []
    exporter = Exporter(ExportSettings(plans=(str(tmp_path),)), tmp_path / "data", recorded.append)
    exporter.run(ExportOrder(run_id="r", task_id="r", plan="plan.yaml"))
    made = spans.get_finished_spans()
    (run,) = [span for span in made if span.name == "orakul.export"]
    below = [span for span in made if span.name == "orakul.export.script"]
    assert [span.parent and span.parent.span_id for span in below] == [run.context.span_id] * 3
    tasks = [event for event in recorded if event.event_type.startswith("task.")]
    assert {event.task_id for event in tasks} == {"r", "r:g", "r:g:s0", "r:g:s1", "r:g:s2"}
    assert {event.trace_id for event in tasks} == {f"{run.context.trace_id:032x}"}
