"""Which trace the program is in now, where it uses OpenTelemetry; who has not imported it pays one look."""

import string
import sys
from typing import Any

__all__ = ["current_span", "current_trace", "current_traceparent", "is_trace", "read_trace"]

_HEX = frozenset(string.hexdigits.lower())
_CHARS = 32


def current_span() -> tuple[str, str] | None:
    """Return the ids of OpenTelemetry's current trace and span, or None; never raises."""
    context = _current()
    return None if context is None else (f"{context.trace_id:032x}", f"{context.span_id:016x}")


def current_trace() -> str | None:
    """Return the trace id of OpenTelemetry's current span, or None; never raises."""
    context = _current()
    return None if context is None else f"{context.trace_id:032x}"


def current_traceparent() -> str | None:
    """Return OpenTelemetry's current span as a W3C `traceparent`, or None; never raises."""
    context = _current()
    if context is None:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _current() -> Any:
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    try:
        context = trace.get_current_span().get_span_context()
        known = context.is_valid
    except Exception:  # noqa: BLE001 (half imported, or a span of somebody's own: then there is no trace to tell)
        return None
    return context if known else None


def is_trace(text: str) -> bool:
    """Tell whether a text is a trace id: 32 hexadecimal digits, not all of them 0."""
    return len(text) == _CHARS and set(text) <= _HEX and set(text) != {"0"}


def read_trace(value: object) -> str | None:
    """Return the trace id of a text that is one, or a W3C `traceparent`; None where it is neither."""
    if not isinstance(value, str):
        return None
    text = value.strip().lower()
    found = text.split("-")[1] if "-" in text else text
    return found if is_trace(found) else None
