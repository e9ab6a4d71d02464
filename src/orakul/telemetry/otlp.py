"""Metrics and logs over OTLP, beside the traces of `tracing`: to a collector, or to any cloud that takes OTLP.

    telemetry.set_up("shop", app=app, celery=celery, metrics=True, logs=True)

Metrics are those of `orakul.instruments` (and with them operations), and what the application and its libraries
measure by OpenTelemetry's own API. Logs are what `logging` writes, with the fields that lines of ECS have. Each process
sends for itself, a forked child from its fork on; nothing waits for the back end. Who has set up a meter provider
keeps it: then no metrics are sent from here.
"""

import atexit
import contextlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from orakul import instruments
from orakul.errors import MissingExtraError
from orakul.instruments import Distribution, Snapshot, expect_collection
from orakul.telemetry.destination import address
from orakul.telemetry.pump import DROPPED, SENT, exit_begins, time_left

try:
    import encodings.idna  # noqa: F401 (what the first request loads is loaded before anybody forks)

    from opentelemetry import metrics
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.metrics import CallbackOptions, NoOpMeterProvider, Observation
    from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
    from opentelemetry.sdk.metrics import export as points
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
except ImportError as _error:
    raise MissingExtraError("opentelemetry-exporter-otlp-proto-http", "opentelemetry") from _error

__all__ = ["Points", "of_process", "set_up_metrics"]

log = logging.getLogger(__name__)

_SCOPE = InstrumentationScope("orakul.instruments")
_BEGAN = time.time()


def of_process(described: Resource) -> Resource:
    """Return the resource of this very process: two that count the same thing must not be taken for one."""
    return described.merge(Resource({"process.pid": os.getpid(), "service.instance.id": str(uuid.uuid4())}))


# -- metrics


def set_up_metrics(
    described: Resource, *, endpoint: str | None, headers: Mapping[str, str], shutdown_seconds: float = 3.0
) -> bool:
    """Send metrics every `OTEL_METRIC_EXPORT_INTERVAL`; say whether: not where the application sends its own."""
    known = metrics.get_meter_provider()
    if isinstance(known, MeterProvider | NoOpMeterProvider):
        log.info("the application has set up a meter provider: Orakul's own metrics are not sent over OTLP")
        return False
    where = None if endpoint is None else address(endpoint, "v1/metrics")
    exporter = _Both(OTLPMetricExporter(endpoint=where, headers=dict(headers) or None), described)
    reader = points.PeriodicExportingMetricReader(exporter)
    provider = MeterProvider(metric_readers=[reader], resource=described, shutdown_on_exit=False)
    # The SDK tells its exporter nothing where nothing is measured: one figure of its own sees to it.
    provider.get_meter("orakul").create_observable_gauge("process.uptime", [_uptime], "s", "How long it has run.")
    metrics.set_meter_provider(provider)
    expect_collection()
    atexit.register(_end, provider, shutdown_seconds)
    return True


def _uptime(_: CallbackOptions) -> list[Observation]:
    return [Observation(time.time() - _BEGAN)]


def _end(provider: MeterProvider, seconds: float) -> None:
    """Send the last figures, within the time; what else is to be sent goes meanwhile."""
    exit_begins()
    seconds = time_left(seconds)

    def shut_down() -> None:
        with contextlib.suppress(Exception):
            provider.shutdown(timeout_millis=seconds * 1000)

    thread = threading.Thread(target=shut_down, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no thread begins any more
        return
    thread.join(seconds)


class _Both(points.MetricExporter):
    """Sends what the SDK has collected, and what Orakul's instruments say, as of one process."""

    def __init__(self, exporter: OTLPMetricExporter, described: Resource) -> None:
        self._exporter = exporter
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)  # noqa: SLF001 (as the SDK does)
        temporality = exporter._preferred_temporality or {}  # noqa: SLF001 (as above)
        delta = points.AggregationTemporality.DELTA
        self._points = Points(
            delta_counters=temporality.get(Counter) is delta, delta_histograms=temporality.get(Histogram) is delta
        )
        self._described = described
        self._pid = 0
        self._resource = described

    def export(self, metrics_data: Any, timeout_millis: float = 10_000, **kwargs: Any) -> points.MetricExportResult:
        """Send both."""
        if self._pid != os.getpid():
            self._pid, self._resource = os.getpid(), of_process(self._described)
        ours = self._points.of(instruments.collect())
        # One resource, once: the encoder keeps the last of those that are equal.
        scopes = [scope for each in metrics_data.resource_metrics for scope in each.scope_metrics]
        scopes.append(points.ScopeMetrics(scope=_SCOPE, metrics=ours, schema_url=""))
        told = [points.ResourceMetrics(resource=self._resource, scope_metrics=scopes, schema_url="")]
        outcome = self._exporter.export(points.MetricsData(told), timeout_millis=timeout_millis, **kwargs)
        if outcome is points.MetricExportResult.SUCCESS:
            self._points.taken()
            SENT.add(len(ours), "metrics")
        else:
            DROPPED.add(len(ours), "metrics", "refused")
        return outcome

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing waits here."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Send no more."""
        self._exporter.shutdown(timeout_millis=timeout_millis, **kwargs)


class Points:
    """Makes points of OTLP of snapshots: as they stand, or as what was added since the last time."""

    def __init__(self, *, delta_counters: bool = False, delta_histograms: bool = False) -> None:
        self._delta_counters, self._delta_histograms = delta_counters, delta_histograms
        self._began = time.time_ns()
        self._last = self._began
        self._before: dict[tuple[str, tuple[str, ...]], Any] = {}
        self._now: dict[tuple[str, tuple[str, ...]], Any] = {}
        self._told = self._began
        self._pid = os.getpid()

    def of(self, snapshots: list[Snapshot]) -> list[points.Metric]:
        """Return a metric an instrument."""
        now = time.time_ns()
        if self._pid != os.getpid():  # a forked child counts from zero
            self._pid, self._before, self._began, self._last = os.getpid(), {}, now, now
        self._now, self._told = {}, now
        return [
            points.Metric(name=each.name, description=each.said, unit=each.unit, data=self._data(each, now))
            for each in snapshots
            if each.samples
        ]

    def taken(self) -> None:
        """Begin the next differences where the last ones ended; those that were not taken are told again."""
        self._before, self._last = self._now, self._told

    def _data(self, each: Snapshot, now: int) -> Any:
        samples: list[tuple[tuple[str, ...], dict[str, str], Any]] = [
            (values, dict(zip(each.labels, values, strict=True)), sample) for values, sample in each.samples.items()
        ]
        if each.kind == "histogram":
            return points.Histogram(
                data_points=[self._histogram(each.name, *sample, now) for sample in samples],
                aggregation_temporality=_temporality(self._delta_histograms),
            )
        if each.kind == "gauge":
            return points.Gauge([points.NumberDataPoint(labels, now, now, value) for _, labels, value in samples])
        return points.Sum(
            data_points=[self._sum(each.name, *sample, now) for sample in samples],
            aggregation_temporality=_temporality(self._delta_counters),
            is_monotonic=True,
        )

    def _sum(self, name: str, values: tuple[str, ...], labels: dict[str, str], value: Any, now: int) -> Any:
        if not self._delta_counters:
            return points.NumberDataPoint(labels, self._began, now, value)
        before = self._before.get((name, values), 0)
        self._now[name, values] = value
        return points.NumberDataPoint(labels, self._last, now, max(0, value - before))

    def _histogram(
        self, name: str, values: tuple[str, ...], labels: dict[str, str], seen: Distribution, now: int
    ) -> Any:
        counts, total, began = seen.counts, seen.sum, self._began
        if self._delta_histograms:
            before = self._before.get((name, values))
            self._now[name, values] = seen
            began = self._last
            if before is not None:
                counts = tuple(new - old for new, old in zip(counts, before.counts, strict=True))
                total -= before.sum
        return points.HistogramDataPoint(
            attributes=labels,
            start_time_unix_nano=began,
            time_unix_nano=now,
            count=sum(counts),
            sum=total,
            bucket_counts=counts,
            explicit_bounds=seen.bounds,
            min=None,  # type: ignore[arg-type] # not kept: OTLP has both optional
            max=None,  # type: ignore[arg-type] # as above
        )


def _temporality(delta: bool) -> points.AggregationTemporality:  # noqa: FBT001 (one of two)
    return points.AggregationTemporality.DELTA if delta else points.AggregationTemporality.CUMULATIVE
