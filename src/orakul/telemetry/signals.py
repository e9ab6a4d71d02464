"""Which signals beside traces go over OTLP: what `telemetry.set_up` was asked for, and OpenTelemetry's variables."""

import atexit
import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from orakul.telemetry.destination import resource, switched_off
from orakul.telemetry.pump import exit_begins

__all__ = ["set_up_signals"]

_done: set[str] = set()
_EXPORTERS = ("_log_exporter", "metric_exporter", "trace_exporter")
_SAY_EVERY = 60.0


def set_up_signals(
    service: str | None,
    *,
    metrics: bool | None,
    logs: bool | None,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    attributes: Mapping[str, str] | None = None,
    shutdown_seconds: float = 3.0,
) -> None:
    """Send metrics and logs where they are asked for; once a process, however often it is said.

    None leaves it to `OTEL_METRICS_EXPORTER` and `OTEL_LOGS_EXPORTER`: `otlp` sends them. There, `none` holds against
    what the program asks for, as `OTEL_SDK_DISABLED` does.
    """
    atexit.register(exit_begins)  # last, so that it is called first: all that sends shares the last seconds
    for name in _EXPORTERS:
        logging.getLogger(f"opentelemetry.exporter.otlp.proto.http.{name}").addFilter(_once)
    wanted = {name for name, asked in (("metrics", metrics), ("logs", logs)) if _wanted(name, asked)} - _done
    if not wanted:
        return
    from orakul.telemetry.otlp import set_up_metrics  # noqa: PLC0415 (loads much, for who wants it)

    described = resource(service, attributes or {})
    options: dict[str, Any] = {"endpoint": endpoint, "headers": headers or {}}
    if "metrics" in wanted:
        set_up_metrics(described, shutdown_seconds=shutdown_seconds, **options)
    if "logs" in wanted:
        from orakul.telemetry.logs_setup import keep  # noqa: PLC0415 (as above)
        from orakul.telemetry.otlp_logs import OTLPHandler  # noqa: PLC0415 (as above)

        keep(OTLPHandler(described, exit_seconds=shutdown_seconds, **options))
    atexit.register(exit_begins)
    _done.update(wanted)


def _wanted(signal: str, asked: bool | None) -> bool:  # noqa: FBT001 (asked, refused, or left open)
    if switched_off():
        return False
    named = {each.strip() for each in os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").split(",")} - {""}
    if named == {"none"}:
        return False
    return bool(named & {"otlp", "otlp_proto_http"}) if asked is None else asked


class _Once(logging.Filter):
    """Lets the SDK's exporters complain of each thing once a minute: they say every attempt that fails."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key, now = (record.name, str(record.msg)), time.monotonic()
        if now - self._said.get(key, -_SAY_EVERY) < _SAY_EVERY:
            return False
        self._said[key] = now
        return True


_once = _Once()
