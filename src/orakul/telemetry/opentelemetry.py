"""Operations as OpenTelemetry spans, off the hot path.

On the caller's side only a non-recording span is attached, so that what other instrumentations begin inside an
operation is below it; the real span, with the same ids, is made by the writer. Sampling is decided once a root, by
the provider's own sampler. Nothing happens where the application has not set up a tracer provider of the SDK.
"""

import logging
from collections.abc import Callable
from typing import Any

from orakul.errors import MissingExtraError
from orakul.operations.collection import Call, collector
from orakul.operations.context import ids
from orakul.operations.record import OperationLog, Outcome
from orakul.operations.watching import set_bridge

try:
    from opentelemetry import context as contexts
    from opentelemetry import trace
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.sampling import Decision
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags
    from opentelemetry.trace.status import Status, StatusCode
except ImportError as _error:
    raise MissingExtraError("opentelemetry-sdk", "opentelemetry") from _error

__all__ = ["OperationSpans", "join_opentelemetry"]

logger = logging.getLogger(__name__)

_SCOPE = InstrumentationScope("orakul.operations")


class OperationSpans:
    """A sink that ends a span for each operation, and the bridge that joins them with the application's own."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._resource = provider.resource
        self._sampler = provider.sampler

    # --- in the caller's thread --------------------------------------------------------------------------------

    def enter(self, call: Call) -> Any:
        """Attach a non-recording span with the call's ids."""
        around = trace.get_current_span().get_span_context()
        if around.is_valid:
            if not call.parent:
                # The outermost operation of a trace that the application began: it goes on in that trace.
                call.trace = around.trace_id
            if around.span_id != call.parent:
                call.outer = around.span_id
            call.sampled = bool(around.trace_flags & TraceFlags.SAMPLED)
        else:
            decided = self._sampler.should_sample(None, ids.wide(call.trace), call.spec.name, SpanKind.INTERNAL)
            call.sampled = decided.decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if call.sampled else TraceFlags.DEFAULT)
        span = NonRecordingSpan(SpanContext(ids.wide(call.trace), call.span, is_remote=False, trace_flags=flags))
        return contexts.attach(trace.set_span_in_context(span))

    def leave(self, token: Any) -> None:
        """Detach it."""
        contexts.detach(token)

    # --- in the writer's thread --------------------------------------------------------------------------------

    def on_calls(self, calls: list[Call]) -> None:
        """End a span for each sampled call."""
        # The provider's processors, whatever they are; the SDK has no public way to hand it a finished span.
        processor = self._provider._active_span_processor  # noqa: SLF001
        for call in calls:
            if call.sampled:
                processor.on_end(self._span(call))

    def on_tree(self, log: OperationLog) -> None:
        """Pass over trees: single calls are spans."""

    def on_running(self, log: OperationLog) -> None:
        """Pass over what has not ended."""

    def _span(self, call: Call) -> ReadableSpan:
        wide = ids.wide(call.trace)
        parent = call.outer or call.parent
        return ReadableSpan(
            name=call.spec.name,
            context=_context(wide, call.span),
            parent=_context(wide, parent) if parent else None,
            resource=self._resource,
            attributes=_attributes(call),
            kind=SpanKind.INTERNAL,
            status=_status(call),
            start_time=collector.wall(call.start),
            end_time=collector.wall(call.end),
            instrumentation_scope=_SCOPE,
        )


def _context(wide: int, span: int) -> SpanContext:
    return SpanContext(wide, span, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _attributes(call: Call) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "code.file.path": call.spec.file,
        "code.line.number": call.spec.line,
        "thread.id": call.thread.ident or 0,
        "thread.name": call.thread.name,
        "orakul.outcome": str(call.outcome),
    }
    if call.context is not None:
        attributes.update({f"orakul.context.{key}": str(value) for key, value in call.context.facts.items()})
    if call.facts:
        attributes.update({f"orakul.{key}": str(value) for key, value in call.facts.items()})
    if isinstance(call.error, BaseException):
        attributes["error.type"] = type(call.error).__qualname__
    return attributes


def _status(call: Call) -> Status:
    if call.outcome is not Outcome.ERROR:
        return Status(StatusCode.UNSET)
    return Status(StatusCode.ERROR, str(call.error))


def join_opentelemetry(provider: Any = None) -> Callable[[], None]:
    """Let operations be spans of the application's tracer provider (the global one by default); return what undoes it.

    Without a provider of the SDK nothing is done, and a line in the log says so.
    """
    provider = provider if provider is not None else trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        logger.info("no OpenTelemetry SDK tracer provider is set up: operations are not exported as spans")
        return lambda: None
    spans = OperationSpans(provider)
    collector.sinks.append(spans)
    set_bridge(spans)

    def undo() -> None:
        set_bridge(None)
        collector.flush()
        collector.sinks.remove(spans)

    return undo
