"""What `logging` writes, over OTLP, with the same facts as lines of ECS have, under OpenTelemetry's names."""

import logging
import os
from collections.abc import Mapping
from typing import Any

from orakul.errors import MissingExtraError
from orakul.telemetry.destination import address
from orakul.telemetry.ecs import ECSRecords
from orakul.telemetry.otlp import of_process
from orakul.telemetry.pump import Pump

try:
    from opentelemetry import trace
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.context import Context
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk._logs.export import LogRecordExportResult
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
except ImportError as _error:
    raise MissingExtraError("opentelemetry-exporter-otlp-proto-http>=1.40", "opentelemetry") from _error

__all__ = ["OTLPHandler"]

_NAMES = {
    "client.ip": "client.address",
    "error.message": "exception.message",
    "error.stack_trace": "exception.stacktrace",
    "error.type": "exception.type",
    "http.request.id": "correlation.id",
    "log.origin.file.line": "code.line.number",
    "log.origin.file.name": "code.file.path",
    "log.origin.function": "code.function.name",
    "process.thread.id": "thread.id",
    "process.thread.name": "thread.name",
}
_ELSEWHERE = {
    "@timestamp", "log.level", "message", "ecs.version", "log.logger", "labels", "trace.id", "span.id",
    "event.dataset", "process.pid", "process.name", "service.name", "service.environment", "service.version",
}  # fmt: skip
"""Fields of ECS that are the record's own in OTLP, or its resource's."""

_SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL),
    (logging.ERROR, SeverityNumber.ERROR),
    (logging.WARNING, SeverityNumber.WARN),
    (logging.INFO, SeverityNumber.INFO),
    (logging.DEBUG, SeverityNumber.DEBUG),
)
_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)
_ROUGHLY = 300


class OTLPHandler(logging.Handler):
    """Sends records over OTLP in a thread of its own: each process, and each forked child, by itself."""

    def __init__(
        self,
        described: Resource,
        *,
        endpoint: str | None = None,
        headers: Mapping[str, str] | None = None,
        records: ECSRecords | None = None,
        level: int = logging.NOTSET,
        every: float = 1.0,
        exit_seconds: float = 3.0,
    ) -> None:
        super().__init__(level)
        self._records = records or ECSRecords()
        self._described = self._resource = described
        self._options: dict[str, Any] = {
            "endpoint": None if endpoint is None else address(endpoint, "v1/logs"),
            "headers": dict(headers or {}) or None,
        }
        self._exporter: OTLPLogExporter | None = None
        self._pid = 0
        self._scopes: dict[str, InstrumentationScope] = {}
        self._exit_seconds = exit_seconds
        # Made once here, so that what is set wrongly is said here, and all is imported before anybody forks.
        OTLPLogExporter(**self._options)
        self._pump: Pump[tuple[InstrumentationScope, LogRecord]] = Pump(
            "logs", self._ship, batch=512, batch_bytes=2 * 1024 * 1024, every=every
        )

    def mask_as(self, records: ECSRecords) -> None:
        """Mask what the lines of the process mask."""
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record."""
        if self._pump.is_mine or self._pump.refuses():
            return  # what the sending itself tells is for the other handlers
        try:
            document = self._records.document(record)
            made = _record(record, document)
            self._pump.put((self._scope(record.name), made), _ROUGHLY + sum(map(_size, document.values())))
        except Exception:  # noqa: BLE001 (logging's way: told on standard error, where `logging.raiseExceptions`)
            self.handleError(record)

    def drain(self, seconds: float) -> bool:
        """Send what is queued; say whether all of it went within the time."""
        return self._pump.drain(seconds)

    def close(self) -> None:
        """Send what is queued within the time that the end may take."""
        self._pump.close(self._exit_seconds)
        super().close()

    def _scope(self, name: str) -> InstrumentationScope:
        known = self._scopes.get(name)
        if known is None:
            if len(self._scopes) > 1_000:  # noqa: PLR2004 (names of loggers are few; should they not be, this is bounded)
                self._scopes.clear()
            known = self._scopes[name] = InstrumentationScope(name)
        return known

    def _ship(self, batch: list[Any]) -> None:
        """Send a batch; the exporter itself tries again for some seconds. In the pump's thread."""
        if self._exporter is None or self._pid != os.getpid():
            self._pid, self._resource = os.getpid(), of_process(self._described)
            self._exporter = OTLPLogExporter(**self._options)
        told = [
            ReadableLogRecord(log_record=made, resource=self._resource, instrumentation_scope=scope)
            for scope, made in batch
        ]
        if self._exporter.export(told) is LogRecordExportResult.SUCCESS:
            self._pump.sent(len(batch))
        else:
            self._pump.lost(len(batch), "refused")
            self._pump.pause(1.0)  # a back end that refuses at once is not asked at once again


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str) else 200 if isinstance(value, dict) else 8


def _record(record: logging.LogRecord, document: dict[str, Any]) -> LogRecord:
    attributes = {_NAMES.get(name, name): value for name, value in document.items() if name not in _ELSEWHERE}
    attributes.update(document.get("labels") or {})
    moment = int(record.created * 1e9)
    return LogRecord(
        timestamp=moment,
        observed_timestamp=moment,
        context=_context(document.get("trace.id"), document.get("span.id")),
        severity_text=record.levelname,
        severity_number=next((there for level, there in _SEVERITIES if record.levelno >= level), SeverityNumber.TRACE),
        body=document["message"],
        attributes=attributes,
    )


def _context(trace_id: str | None, span_id: str | None) -> Context:
    """Return a context in which the record's trace is the current one, and nothing else."""
    if trace_id is None or len(trace_id) != 32:  # noqa: PLR2004 (hex digits of a trace)
        return Context()
    try:
        found = trace.SpanContext(int(trace_id, 16), int(span_id or "0", 16), is_remote=False, trace_flags=_SAMPLED)
    except ValueError:
        return Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(found), Context())
