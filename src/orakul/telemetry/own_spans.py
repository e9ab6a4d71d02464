"""Orakul's own parts, and operations, as spans of the provider."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from orakul import instruments
from orakul.operations import watching
from orakul.telemetry.correlation import HEADER, correlation_id, enter_correlation, leave_correlation, sane
from orakul.telemetry.opentelemetry import join_opentelemetry

__all__ = ["bridge_instruments", "bridge_operations"]


def bridge_instruments(provider: trace.TracerProvider) -> None:
    """Let `orakul.instruments.span` make spans of the provider."""
    tracer = provider.get_tracer("orakul")

    def begin(name: str, attributes: Mapping[str, Any]) -> AbstractContextManager[Any]:
        if "carrier" in attributes:
            return _received(tracer, name, dict(attributes))
        return tracer.start_as_current_span(name, attributes=dict(attributes))

    instruments.set_tracer(begin)


@contextmanager
def _received(tracer: trace.Tracer, name: str, attributes: dict[str, Any]) -> Iterator[Any]:
    """Be in the span of a message that came: below the one it was sent in, with the correlation id that it carries."""
    carrier = attributes.pop("carrier")
    kind = SpanKind[attributes.pop("span_kind", "internal").upper()]
    around = propagate.extract(carrier) if "traceparent" in carrier else None
    token = enter_correlation(sane(carrier.get(HEADER)) or correlation_id())
    try:
        with tracer.start_as_current_span(name, context=around, kind=kind, attributes=attributes) as begun:
            yield begun
    finally:
        leave_correlation(token)


def bridge_operations(provider: trace.TracerProvider) -> None:
    """Let operations (`@operation`) be spans too, unless the application has seen to that itself."""
    if isinstance(provider, TracerProvider) and watching._bridge is None:  # noqa: SLF001 (asks, changes nothing)
        join_opentelemetry(provider)
