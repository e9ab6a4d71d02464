"""Which trace the program is in now, where it uses OpenTelemetry; who has not imported it pays one look."""

import string
import sys

__all__ = ["current_trace", "current_traceparent", "read_trace"]

_NONE = 0
_HEX = frozenset(string.hexdigits.lower())
_CHARS = 32


def current_trace() -> str | None:
    """Return the trace id of OpenTelemetry's current span, or None; never raises."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    try:
        found: int = trace.get_current_span().get_span_context().trace_id
    except Exception:  # noqa: BLE001 (half imported, or a span of somebody's own: then there is no trace to tell)
        return None
    return None if found == _NONE else f"{found:032x}"


def current_traceparent() -> str | None:
    """Return OpenTelemetry's current span as a W3C `traceparent`, or None; never raises."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    try:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
    except Exception:  # noqa: BLE001 (as above)
        return None


def read_trace(value: object) -> str | None:
    """Return the trace id of a text that is one, or a W3C `traceparent`; None where it is neither."""
    if not isinstance(value, str):
        return None
    text = value.strip().lower()
    found = text.split("-")[1] if "-" in text else text
    return found if len(found) == _CHARS and set(found) <= _HEX and set(found) != {"0"} else None
