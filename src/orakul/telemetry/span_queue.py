"""Where ended spans wait to be sent: bounded, counted, in a thread of the process that ended them.

The work never waits for the back end: a full queue drops what is new, and what the back end refuses is gone; both are
counted (`orakul_telemetry_dropped_total`). A forked child has a queue, a thread and a connection of its own, from its
first span on. The process ends when its time is up, whatever the back end does.
"""

import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence

from orakul import instruments
from orakul.errors import MissingExtraError
from orakul.telemetry.pump import time_left

try:
    from opentelemetry.context import Context
    from opentelemetry.instrumentation.utils import suppress_instrumentation
    from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
except ImportError as _error:
    raise MissingExtraError("opentelemetry-sdk", "opentelemetry") from _error

__all__ = ["DROPPED", "SENT", "SpanQueue"]

log = logging.getLogger(__name__)

DROPPED = instruments.counter(
    "orakul_telemetry_dropped_total",
    "What telemetry did not send: the queue was full, the back end refused it or was away, or the process ended.",
    ("signal", "reason"),
)
SENT = instruments.counter("orakul_telemetry_sent_total", "What telemetry's back end took.", ("signal",))

_SIGNAL = "traces"


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
        self._most = _setting("OTEL_BSP_MAX_QUEUE_SIZE", 8192)
        self._batch = min(self._most, _setting("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512))
        self._delay = _setting("OTEL_BSP_SCHEDULE_DELAY", 1000) / 1000
        self._fresh()
        mine = weakref.WeakMethod(self._fresh)
        os.register_at_fork(after_in_child=lambda: (known := mine()) and known())
        instruments.gauge(
            "orakul_telemetry_queued", "What waits to be sent to telemetry's back end.", self.queued, ("signal",)
        )

    def _fresh(self) -> None:
        """Begin with nothing: what a forked child's parent has, the parent sends."""
        self._waiting: deque[ReadableSpan] = deque()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._flushing: list[threading.Event] = []
        self._thread: threading.Thread | None = None
        self._exporter: SpanExporter | None = None
        self._flying = 0
        self._closed = False

    def queued(self) -> dict[str, float]:
        """Return how many spans wait."""
        return {_SIGNAL: len(self._waiting)}

    # --- in the thread of the work

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing: a span is sent when it has ended."""

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span, or count it as dropped; never waits."""
        if not span.context.trace_flags.sampled:
            return
        if self._closed or len(self._waiting) >= self._most:
            DROPPED.add(1, _SIGNAL, "ended" if self._closed else "full")
            return
        self._waiting.append(span)
        if self._thread is None:
            self._begin()
        if len(self._waiting) >= self._batch and not self._wake.is_set():
            self._wake.set()

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        """Send what waits now; tell whether it was done with in time."""
        if self._thread is None or not self._thread.is_alive():
            return not self._waiting
        done = threading.Event()
        with self._lock:
            self._flushing.append(done)
        self._wake.set()
        return done.wait(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Send what waits, within the bound; count what was not sent."""
        if self._closed:
            return
        self._closed = True
        thread = self._thread
        if thread is None:
            return
        self._wake.set()
        thread.join(time_left(self._bound))
        if thread.is_alive():
            left, self._waiting = len(self._waiting) + self._flying, deque()
            DROPPED.add(left, _SIGNAL, "ended")
            log.warning("telemetry's back end did not take the last spans within %g s; they are dropped", self._bound)
            if self._exporter is not None:
                threading.Thread(target=self._exporter.shutdown, daemon=True).start()

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._send, name="orakul-spans", daemon=True)
                self._thread.start()

    # --- in the thread that sends

    def _send(self) -> None:
        with suppress_instrumentation():  # sending makes no spans itself
            try:
                self._exporter = self._make()
            except Exception:
                log.exception("the exporter of traces could not be made: spans are dropped")
            while True:
                self._wake.wait(self._delay)
                self._wake.clear()
                with self._lock:
                    flushing, self._flushing = self._flushing, []
                self._empty()
                for done in flushing:
                    done.set()
                if self._closed and not self._waiting:
                    break
            if self._exporter is not None:
                self._exporter.shutdown()

    def _empty(self) -> None:
        """Send all that is there when it is called; what comes meanwhile fills the next batch."""
        left = len(self._waiting)
        while left > 0:
            batch = self._taken(min(left, self._batch))
            if not batch:
                return
            left -= len(batch)
            began = time.monotonic()
            self._flying = len(batch)
            taken = self._export(batch)
            self._flying = 0
            if taken:
                SENT.add(len(batch), _SIGNAL)
            else:
                DROPPED.add(len(batch), _SIGNAL, "refused")
                self._wait_after(time.monotonic() - began)

    def _taken(self, number: int) -> list[ReadableSpan]:
        batch: list[ReadableSpan] = []
        try:
            for _ in range(number):
                batch.append(self._waiting.popleft())  # noqa: PERF401 (others may take from it too)
        except IndexError:
            pass
        return batch

    def _export(self, batch: Sequence[ReadableSpan]) -> bool:
        if self._exporter is None:
            return False
        try:
            return self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception:
            log.exception("the exporter of traces raised: its batch is dropped")
            return False

    def _wait_after(self, took: float) -> None:
        """Give a back end that refuses at once a second before it is asked again."""
        until = time.monotonic() + max(0.0, 1.0 - took)
        while not self._closed and time.monotonic() < until:
            time.sleep(0.05)
