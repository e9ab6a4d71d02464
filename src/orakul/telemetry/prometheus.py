"""Operations in Prometheus: counters and histograms, updated by the writer, never by the caller."""

from collections.abc import Sequence
from typing import Any

from orakul.errors import MissingExtraError
from orakul.operations.collection import Call, collector
from orakul.operations.record import OperationLog

__all__ = ["OperationMetrics"]

BUCKETS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0)
OTHER = "(other)"


class OperationMetrics:
    """A sink of the collector: `orakul_operation_duration_seconds` by name and outcome, and what runs and was dropped.

    At most `names` names are told apart; those beyond are counted together as `(other)`, so that a program that makes
    names up cannot fill the scraper's memory.
    """

    def __init__(self, registry: Any = None, *, names: int = 500, buckets: Sequence[float] = BUCKETS) -> None:
        try:
            import prometheus_client as prometheus  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise MissingExtraError("prometheus-client", "prometheus") from error
        registry = registry if registry is not None else prometheus.REGISTRY
        self._durations = prometheus.Histogram(
            "orakul_operation_duration_seconds",
            "Time from start to end of an operation.",
            ("operation", "outcome"),
            registry=registry,
            buckets=buckets,
        )
        prometheus.Gauge(
            "orakul_operations_running", "Operations that have begun and not ended.", registry=registry
        ).set_function(lambda: len(collector.running))
        prometheus.Gauge(
            "orakul_operations_dropped", "Operations counted whose records were dropped.", registry=registry
        ).set_function(lambda: collector.dropped)
        self._names = names
        self._children: dict[tuple[str, str], Any] = {}
        self._known: set[str] = set()

    def on_calls(self, calls: list[Call]) -> None:
        """Count finished calls."""
        for call in calls:
            key = (call.spec.name, call.outcome)
            child = self._children.get(key)
            if child is None:
                child = self._children[key] = self._durations.labels(self._label(call.spec.name), str(call.outcome))
            child.observe((call.end - call.start) / 1e9)

    def _label(self, name: str) -> str:
        if name in self._known or len(self._known) < self._names:
            self._known.add(name)
            return name
        return OTHER

    def on_tree(self, log: OperationLog) -> None:
        """Pass over trees: single calls are counted."""

    def on_running(self, log: OperationLog) -> None:
        """Pass over what runs: the gauge tells."""
