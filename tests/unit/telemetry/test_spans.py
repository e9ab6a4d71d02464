"""Operations are spans beside the application's own: one trace, right parents, sampled once."""

from collections.abc import Callable, Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from orakul.operations import collector, current_ids, operation
from orakul.telemetry.opentelemetry import join_opentelemetry

Traced = Callable[[Sampler], tuple[TracerProvider, InMemorySpanExporter]]


@pytest.fixture
def traced() -> Iterator[Traced]:
    undone = []

    def start(sampler: Sampler) -> tuple[TracerProvider, InMemorySpanExporter]:
        collector.flush()
        exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        undone.append(join_opentelemetry(provider))
        return provider, exporter

    yield start
    for undo in undone:
        undo()


@operation("LOAD")
def load(tracer: object) -> tuple[str, str] | None:
    with tracer.start_as_current_span("query"):  # type: ignore[attr-defined]
        parse()
    return current_ids()


@operation("PARSE")
def parse() -> None:
    return None


def test_operations_and_the_applications_spans_are_one_tree(traced: Traced) -> None:
    provider, exporter = traced(ALWAYS_ON)
    tracer = provider.get_tracer("application")
    with tracer.start_as_current_span("request"):
        ids = load(tracer)
    collector.flush()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    parents = {name: span.parent and span.parent.span_id for name, span in spans.items()}
    own = {name: span.context.span_id for name, span in spans.items()}
    assert parents == {"request": None, "LOAD": own["request"], "query": own["LOAD"], "PARSE": own["query"]}
    assert len({span.context.trace_id for span in spans.values()}) == 1
    assert ids == (f"{spans['LOAD'].context.trace_id:032x}", f"{own['LOAD']:016x}")
    assert spans["LOAD"].start_time <= spans["query"].start_time <= spans["query"].end_time <= spans["LOAD"].end_time


def test_a_root_that_is_not_sampled_takes_its_children_with_it(traced: Traced) -> None:
    provider, exporter = traced(ALWAYS_OFF)
    load(provider.get_tracer("application"))
    collector.flush()
    assert exporter.get_finished_spans() == ()


def test_an_error_is_the_status_of_its_span(traced: Traced) -> None:
    _, exporter = traced(ALWAYS_ON)
    with pytest.raises(ValueError, match="boom"), operation("BROKEN"):
        raise ValueError("boom")
    collector.flush()
    (span,) = exporter.get_finished_spans()
    assert (span.status.status_code.name, span.attributes and span.attributes["error.type"]) == ("ERROR", "ValueError")
