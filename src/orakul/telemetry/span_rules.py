"""What our provider adds to OpenTelemetry's: queries need a reason, roots have the correlation id, calls carry it."""

import sys
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from orakul.telemetry.correlation import ATTRIBUTE, HEADER, correlation_id

__all__ = ["CorrelationPropagator", "CorrelationSpans", "Rooted"]

_CELERYS = ("kombu.", "celery.backends.")
_FRAMES = 24
_DATABASE = ("db.system", "db.system.name")


class Rooted(Sampler):
    """Leaves out queries that are part of nothing, and those that Celery asks of its own broker and results.

    A worker's waiting for Redis would be a trace a second, and a task's result four spans beside its work. All else is
    decided by the sampler inside, which OpenTelemetry's variables choose.
    """

    def __init__(self, inside: Sampler) -> None:
        self._inside = inside

    def should_sample(  # noqa: PLR0917 (OpenTelemetry's own form)
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide as the sampler inside does, but for a database's spans that tell nothing."""
        if kind is SpanKind.CLIENT and (_is_of_database(attributes) or not attributes):  # some tell later what they are
            rooted = trace.get_current_span(parent_context).get_span_context().is_valid
            if not rooted or _is_celerys():
                return SamplingResult(Decision.DROP)
        return self._inside.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """Say what it is."""
        return f"Rooted({self._inside.get_description()})"


def _is_of_database(attributes: Attributes) -> bool:
    return bool(attributes) and any(name in attributes for name in _DATABASE)  # type: ignore[operator]  # not None here


def _is_celerys() -> bool:
    """Tell whether Celery itself is asking: its transport, or its store of results."""
    frame = sys._getframe(2)  # noqa: SLF001 (the only way to who asks)
    for _ in range(_FRAMES):
        module = frame.f_globals.get("__name__", "")
        if module.startswith(_CELERYS):
            return True
        if frame.f_back is None:
            break
        frame = frame.f_back
    return False


class CorrelationSpans(SpanProcessor):
    """Puts the correlation id on the first span of each process that a trace passes."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Put it on a span that has no parent here."""
        del parent_context
        known = correlation_id()
        if known is not None and (span.parent is None or span.parent.is_remote):
            span.set_attribute(ATTRIBUTE, known)

    def on_end(self, span: ReadableSpan) -> None:
        """Do nothing."""


class CorrelationPropagator(TextMapPropagator):
    """Lets calls of other services carry the correlation id; who serves a request takes it by the middleware."""

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Put the id into the headers."""
        del context
        known = correlation_id()
        if known is not None:
            setter.set(carrier, HEADER, known)

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """Take nothing: a span's context is not where the id lives."""
        del carrier, getter
        return context if context is not None else Context()

    @property
    def fields(self) -> set[str]:
        """The header that `inject` sets."""
        return {HEADER}
