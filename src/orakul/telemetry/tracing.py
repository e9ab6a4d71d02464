"""OpenTelemetry, set up by one line: a request, the tasks that it sends, what they ask of databases and services.

    from orakul import telemetry

    telemetry.set_up("shop", app=app)             # the web application (FastAPI, Starlette)
    telemetry.set_up("shop", celery=celery)       # the Celery application, for its publishers and its workers

It may be said in each module, and again; the line for Celery belongs where `orakul.runners.celery.install` is. An
application that has set up OpenTelemetry itself keeps its provider, its exporters and its instrumentations: spans of
ours join them. Where nobody has, a provider is made that sends OTLP over HTTP; all of OpenTelemetry's own environment
variables (`OTEL_…`) hold.
"""

import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from orakul.errors import MissingExtraError, OrakulError

try:
    from opentelemetry import propagate, trace
    from opentelemetry.propagators.composite import CompositePropagator
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
except ImportError as _error:
    raise MissingExtraError("opentelemetry-sdk", "opentelemetry") from _error

from orakul.settings import load_settings, without_password
from orakul.telemetry.destination import TRACES, address, resource, switched_off
from orakul.telemetry.libraries import check, instrument, trace_application
from orakul.telemetry.own_spans import bridge_instruments, bridge_operations
from orakul.telemetry.signals import set_up_signals
from orakul.telemetry.span_queue import SpanQueue
from orakul.telemetry.span_rules import CorrelationPropagator, CorrelationSpans, Rooted

__all__ = ["Tracing", "set_up"]

log = logging.getLogger(__name__)

_GRPC = "grpc"


class Tracing:
    """What one process has set up: the provider, once it is needed, and who uses it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._provider: trace.TracerProvider | None = None
        self._queue: SpanQueue | None = None
        self._own = False
        self.service: str | None = None
        self.endpoint: str | None = None
        self.headers: dict[str, str] = {}
        self.attributes: dict[str, str] = {}
        self.shutdown_seconds = 3.0
        self.wanted: tuple[Sequence[str] | None, ...] = ()
        """What each `set_up` said of libraries, that is not done yet."""

    @cached_property
    def enabled(self) -> bool:
        """Whether OpenTelemetry is not switched off by its own variable."""
        return not switched_off()

    @property
    def joined(self) -> bool:
        """Whether the spans go to a provider that the application has set up."""
        return self._provider is not None and not self._own

    def provider(self) -> trace.TracerProvider:
        """Return the application's own provider, or ours, made now."""
        if self._provider is None:
            with self._lock:
                if self._provider is None:
                    self._provider = _theirs() or self._made()
                    bridge_instruments(self._provider)
                    bridge_operations(self._provider)
        if self.wanted:
            self._instrument()
        return self._provider

    def send_to(self, endpoint: str | None) -> None:
        """Let spans go to this collector; None: to where they go already, or to that of the settings."""
        if endpoint is None:
            endpoint = self.endpoint or _configured()
        if endpoint is not None:
            address(endpoint, TRACES)
        if self._provider is not None and endpoint != self.endpoint:
            shown = without_password(str(endpoint))
            log.warning("telemetry is set up already: spans go where they went, and not to %s", shown)
        else:
            self.endpoint = endpoint

    def _instrument(self) -> None:
        """Let the calls of libraries be spans; of one's own provider only those that were named."""
        with self._lock:
            wanted, self.wanted = self.wanted, ()
            for libraries in wanted:
                if libraries is not None or not self.joined:
                    instrument(libraries)

    def tracer(self, name: str) -> trace.Tracer:
        """Return a tracer of the provider."""
        return self.provider().get_tracer(name)

    def flush(self, seconds: float = 10.0) -> bool:
        """Send what has ended so far; tell whether the back end took it in time. For tests and for short scripts."""
        return self._queue is None or self._queue.force_flush(int(seconds * 1000))

    def shutdown(self) -> None:
        """Send what has ended, within `shutdown_seconds`, and no more after it. The process's end does it too."""
        if self._queue is not None and isinstance(self._provider, TracerProvider):
            self._provider.shutdown()

    def _made(self) -> trace.TracerProvider:
        self._own = True
        if not self.enabled:
            return trace.NoOpTracerProvider()
        provider = TracerProvider(resource=resource(self.service, self.attributes))
        provider.sampler = Rooted(provider.sampler)
        provider.add_span_processor(CorrelationSpans())
        exporters = self._exporters()
        if exporters:
            self._queue = SpanQueue(exporters[0], shutdown_seconds=self.shutdown_seconds)
            provider.add_span_processor(self._queue)
            for more in exporters[1:]:
                provider.add_span_processor(SpanQueue(more, shutdown_seconds=self.shutdown_seconds))
        trace.set_tracer_provider(provider)
        propagate.set_global_textmap(CompositePropagator([propagate.get_global_textmap(), CorrelationPropagator()]))
        return provider

    def _exporters(self) -> list[Any]:
        """Return what makes each exporter that is wanted: ours, or those that `OTEL_TRACES_EXPORTER` names."""
        named = os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
        names = [each.strip() for each in named.split(",") if each.strip() not in {"", "none"}]
        if names:  # now, in this thread: a child forked while another imports would wait for ever
            import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: F401, PLC0415 (loads much)
        return [self._otlp if each in {"otlp", "otlp_proto_http"} else _exporter(each) for each in names]

    def _otlp(self) -> SpanExporter:
        protocol = (
            os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or ""
        )
        if protocol.strip() == _GRPC and self.endpoint is None:
            made: SpanExporter = _exporter("otlp_proto_grpc")()
            return made
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 (loads much)

        return OTLPSpanExporter(
            endpoint=None if self.endpoint is None else address(self.endpoint, TRACES), headers=self.headers or None
        )


def _theirs() -> trace.TracerProvider | None:
    """Return the provider that the application, or `opentelemetry-instrument`, has set up."""
    found = trace.get_tracer_provider()
    return None if isinstance(found, trace.ProxyTracerProvider | trace.NoOpTracerProvider) else found


def _exporter(name: str) -> Any:
    for entry in entry_points(group="opentelemetry_traces_exporter", name=name):
        return entry.load()
    raise OrakulError(
        f"OTEL_TRACES_EXPORTER: no exporter of traces called {name!r} is installed; say otlp, or install it"
    )


def _configured() -> str | None:
    """Return the collector's address of Orakul's settings, where one is set there."""
    try:
        return load_settings().telemetry.endpoint
    except OrakulError as error:  # the application needs no other setting: it goes on
        log.warning("the setting telemetry.endpoint could not be read, so it is not used: %s", error)
        return None


def _runs_celery_worker() -> bool:
    """Tell whether this process is the command `celery … worker`, which is about to fork or to begin its pool."""
    program = Path(sys.argv[0]) if sys.argv and sys.argv[0] else Path()
    named = program.stem == "celery" or (program.stem == "__main__" and program.parent.name == "celery")
    return named and "worker" in sys.argv[1:]


TRACING = Tracing()
"""The process's own."""


def set_up(
    service: str | None = None,
    *,
    app: Any = None,
    celery: Any = None,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    attributes: Mapping[str, str] | None = None,
    libraries: Sequence[str] | None = None,
    metrics: bool | None = None,
    logs: bool | None = None,
    shutdown_seconds: float = 3.0,
) -> Tracing:
    """Trace what the process does from now on; return what can be flushed and shut down.

    `service` names it, unless `OTEL_SERVICE_NAME` does. `app` is a FastAPI or Starlette application, `celery` a Celery
    application; call it before the one serves and the other runs. `endpoint` is the address of a collector
    (`http://host:4318`), by default the setting `telemetry.endpoint`, then OpenTelemetry's variables, then
    `http://localhost:4318`; `headers` go with each request to it. `attributes` describe the resource. `libraries` are
    those whose calls are spans: by default all that are installed (`libraries.LIBRARIES`), and none where the
    application has set up OpenTelemetry itself. `metrics` and `logs` go over OTLP too where they are true, or where
    `OTEL_METRICS_EXPORTER`, `OTEL_LOGS_EXPORTER` say `otlp`.
    """
    TRACING.send_to(endpoint)
    if TRACING.service and service not in {None, TRACING.service}:
        log.warning(
            "telemetry's service is %r already, not %r: OTEL_SERVICE_NAME names a process", TRACING.service, service
        )
    TRACING.service = TRACING.service or service
    TRACING.headers.update(headers or {})
    TRACING.attributes.update(attributes or {})
    TRACING.shutdown_seconds = shutdown_seconds
    check(libraries)
    TRACING.wanted = (*TRACING.wanted, libraries)
    if celery is not None:
        from orakul.telemetry.celery import connect  # noqa: PLC0415 (loads Celery where it is used)

        connect(celery, TRACING)
    if celery is None or not _runs_celery_worker():
        # A worker's is made by its first task: after the fork, and after whatever the application does itself.
        TRACING.provider()
    if app is not None:
        trace_application(app)
    set_up_signals(
        TRACING.service,
        metrics=metrics,
        logs=logs,
        endpoint=TRACING.endpoint,
        headers=TRACING.headers,
        attributes=TRACING.attributes,
        shutdown_seconds=shutdown_seconds,
    )
    return TRACING
