"""Where ended spans wait to be sent: in a pump of their own, so that the work never waits for the back end.

A full queue drops what is new, and what the back end refuses is gone; both are counted
(`orakul_telemetry_dropped_total`). A forked child has a queue, a thread and a connection of its own, from its first
span on. The process ends when its time is up, whatever the back end does.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from orakul.errors import MissingExtraError
from orakul.telemetry.pump import Pump, time_left

try:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
except ImportError as _error:
    raise MissingExtraError("opentelemetry-sdk", "opentelemetry") from _error

__all__ = ["SpanQueue"]

log = logging.getLogger(__name__)


def _setting(name: str, default: int) -> int:
    """Return a number of the standard environment variable, or the default where it is none."""
    try:
        return max(1, int(os.environ.get(name) or default))
    except ValueError:
        log.warning("%s=%r is not a whole number; %d is used", name, os.environ[name], default)
        return default


class SpanQueue(SpanProcessor):
    """Sends ended spans in batches; `OTEL_BSP_*` say how large and how often."""

    def __init__(self, make: Callable[[], SpanExporter], *, shutdown_seconds: float = 3.0) -> None:
        self._make = make
        self._bound = shutdown_seconds
        self._exporter: SpanExporter | None = None
        self._exporter_of = 0
        most = _setting("OTEL_BSP_MAX_QUEUE_SIZE", 8192)
        self._pump: Pump[ReadableSpan] = Pump(
            "traces",
            self._ship,
            most=most,
            batch=min(most, _setting("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)),
            every=_setting("OTEL_BSP_SCHEDULE_DELAY", 1000) / 1000,
        )

    # --- in the thread of the work

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing: a span is sent when it has ended."""

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span, or count it as dropped; never waits."""
        if span.context.trace_flags.sampled:
            self._pump.put(span, 1)  # counted, not weighed: a span has bounds of its own

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        """Send what waits now; tell whether it was done with in time."""
        return self._pump.drain(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Send what waits, within the bound; count what was not sent."""
        self._pump.close(self._bound)
        exporter, self._exporter = self._exporter, None
        if exporter is not None and self._exporter_of == os.getpid():
            # The exporter of a back end that hangs may hang as well.
            ending = threading.Thread(target=exporter.shutdown, name="orakul-traces-end", daemon=True)
            with suppress(RuntimeError):  # the interpreter is ending, and its connections with it
                ending.start()
                ending.join(time_left(self._bound))

    # --- in the pump's thread

    def _ship(self, batch: list[ReadableSpan]) -> None:
        began = time.monotonic()
        if self._export(batch):
            self._pump.sent(len(batch))
        else:
            self._pump.lost(len(batch), "refused")
            self._pump.pause(1.0 - (time.monotonic() - began))  # for one that refuses at once

    def _export(self, batch: list[ReadableSpan]) -> bool:
        try:
            if self._exporter is None or self._exporter_of != os.getpid():
                self._exporter, self._exporter_of = self._make(), os.getpid()
            return self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception:
            log.exception("the exporter of traces raised: its batch is dropped")
            return False
