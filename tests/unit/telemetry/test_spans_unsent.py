"""Messages that could not be sent: their spans end, and do not pile up while a broker is away."""

from types import SimpleNamespace
from typing import Any

from celery import Celery
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from orakul.telemetry.celery import CelerySpans


def test_spans_of_what_was_never_sent_end_and_do_not_pile_up() -> None:
    provider, ended = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(ended))
    tracing: Any = SimpleNamespace(enabled=True, tracer=provider.get_tracer)
    spans = CelerySpans(Celery("shop", broker="memory://"), tracing)
    for number in range(100):
        spans.sending(sender="shop.pay", headers={"id": f"lost-{number}"}, body=())
    assert len(ended.get_finished_spans()) > 80
    headers: dict[str, Any] = {"id": "sent"}
    spans.sending(sender="shop.pay", headers=headers, body=())
    spans.sent(headers=headers, body=())
    last = ended.get_finished_spans()[-1]
    assert last.attributes is not None
    assert (last.attributes["messaging.message.id"], last.status.is_unset) == ("sent", True)
    assert not ended.get_finished_spans()[0].status.is_ok
