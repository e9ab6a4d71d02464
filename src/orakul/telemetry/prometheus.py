"""Prometheus: the text form of what `orakul.instruments` tells, and a small server for programs that have none.

    from orakul.telemetry.prometheus import serve_metrics

    serve_metrics("127.0.0.1", 9810)   # http://127.0.0.1:9810/metrics

A program that has a `/metrics` of its own by prometheus_client takes Orakul's in: `join_prometheus()`.
"""

import contextlib
import logging
import math
import os
import resource
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Any, Final

from orakul import __version__
from orakul.errors import MissingExtraError
from orakul.instruments import Counter, Distribution, Gauge, Snapshot, collect, counter, gauge, histogram
from orakul.operations.collection import Call, collector
from orakul.operations.record import OperationLog

__all__ = [
    "CONTENT_TYPE",
    "OperationMetrics",
    "exposition",
    "join_prometheus",
    "observe_durations",
    "observe_process",
    "serve_metrics",
]

log = logging.getLogger("orakul.metrics")

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_STARTED = time.time()
_DURATIONS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0)


# -- the text form


def exposition(snapshots: Iterable[Snapshot] | None = None) -> str:
    """Return the text that Prometheus reads: of these, or of all that the process tells now."""
    return "".join(f"{line}\n" for each in (collect() if snapshots is None else snapshots) for line in _lines(each))


def _lines(snapshot: Snapshot) -> Iterator[str]:
    if not snapshot.samples:
        return
    said = snapshot.said.replace("\\", "\\\\").replace("\n", "\\n")
    yield f"# HELP {snapshot.name} {said}"
    yield f"# TYPE {snapshot.name} {snapshot.kind}"
    for values, sample in sorted(snapshot.samples.items()):
        pairs = [f'{name}="{_escaped(value)}"' for name, value in zip(snapshot.labels, values, strict=True)]
        if isinstance(sample, Distribution):
            yield from _distribution(snapshot.name, pairs, sample)
        else:
            yield f"{snapshot.name}{_braced(pairs)} {_number(sample)}"


def _distribution(name: str, pairs: list[str], sample: Distribution) -> Iterator[str]:
    so_far = 0
    for bound, count in zip((*sample.bounds, math.inf), sample.counts, strict=True):
        so_far += count
        le = f'le="{_number(bound)}"'
        yield f"{name}_bucket{_braced([*pairs, le])} {so_far}"
    yield f"{name}_sum{_braced(pairs)} {_number(sample.sum)}"
    yield f"{name}_count{_braced(pairs)} {so_far}"


def _braced(pairs: list[str]) -> str:
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(int(value))
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(float(value))


# -- the process itself, under the names that all exporters use


def observe_process() -> None:
    """Tell of the process too: processor time, memory, files, version."""
    counter("process_cpu_seconds_total", "Processor time, user and system.", read=_cpu)
    gauge("process_start_time_seconds", "When the process began, in seconds since 1970.", _started)
    gauge("process_resident_memory_bytes", "Memory that the process holds.", _memory)
    gauge("process_open_fds", "Open files and connections.", _files)
    gauge("orakul_build_info", "1, with the version of Orakul.", _version, ("version",))
    observe_operations()


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _started() -> float:
    return _STARTED


def _memory() -> float | None:
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None  # not Linux


def _files() -> float | None:
    with contextlib.suppress(OSError):
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (a count; Path objects for each would be thrown away)
    return None


def _version() -> Mapping[str, float]:
    return {__version__: 1}


# -- operations


class OperationMetrics:
    """A sink of the collector: `orakul_operation_duration_seconds` by name and outcome, observed by the writer.

    A bounded number of names is told apart; those beyond are counted together as `(other)`, so that a program that
    makes names up cannot fill the scraper's memory.
    """

    def __init__(self) -> None:
        said = "Time from start to end of an operation."
        self._durations = histogram(
            "orakul_operation_duration_seconds", said, _DURATIONS, labels=("operation", "outcome")
        )

    def on_calls(self, calls: list[Call]) -> None:
        """Count finished calls."""
        for call in calls:
            self._durations.observe((call.end - call.start) / 1e9, call.spec.name, str(call.outcome))

    def on_tree(self, log: OperationLog) -> None:
        """Pass over trees: single calls are counted."""

    def on_running(self, log: OperationLog) -> None:
        """Pass over what runs: the gauge tells."""


def observe_operations() -> None:
    """Tell how many operations run, and whether records of them were dropped."""
    gauge("orakul_operations_running", "Operations that have begun and not ended.", _running)
    counter(
        "orakul_operations_dropped_total", "Operations that were counted and whose records were dropped.", read=_dropped
    )


def observe_durations() -> None:
    """Tell how long operations take too: from now on, and once however often this is called."""
    if not any(isinstance(sink, OperationMetrics) for sink in collector.sinks):
        collector.sinks.append(OperationMetrics())


def _running() -> float:
    return len(collector.running)


def _dropped() -> float:
    return collector.dropped


# -- a server of its own


class _Handler(BaseHTTPRequestHandler):
    server_version = "orakul"
    sys_version = ""
    timeout = 10.0

    def do_GET(self) -> None:
        """Answer with the figures."""
        if self.path.partition("?")[0] not in {"/metrics", "/"}:
            self.send_error(404, explain="The figures are at /metrics.")
            return
        body = exposition().encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """Log nothing: it is asked every few seconds."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16
    allow_reuse_address = True  # a port in its last minute of TIME_WAIT; one that somebody listens on is refused

    def __init__(self, host: str, port: int) -> None:
        self.address_family = AF_INET6 if ":" in host else AF_INET
        super().__init__((host, port), _Handler)

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Pass over a scraper that has gone away."""
        log.debug("a scrape by %s was broken off", client_address)


def serve_metrics(host: str, port: int) -> Callable[[], None]:
    """Serve `/metrics` in a thread, until what is returned is called; a port that is taken is a warning, not an error.

    A forked child lets go of the port: it belongs to the process that opened it.
    """
    observe_process()
    observe_durations()
    try:
        server = _Server(host, port)
    except (OSError, OverflowError) as error:  # the port is taken; there is no such port
        log.warning(
            "No metrics: %s:%d cannot be listened on (%s). Choose another port; the work goes on without them",
            host,
            port,
            getattr(error, "strerror", None) or error,
        )
        return lambda: None
    threading.Thread(target=server.serve_forever, name="orakul-metrics", daemon=True).start()
    mine = os.getpid()
    os.register_at_fork(after_in_child=lambda: server.socket.close() if os.getpid() != mine else None)
    log.info("Metrics: http://%s:%d/metrics", f"[{host}]" if ":" in host else host, server.server_address[1])

    def stop() -> None:
        if os.getpid() == mine:
            server.shutdown()
            server.server_close()

    return stop


# -- in a program's own registry


def join_prometheus(registry: Any = None) -> None:
    """Let a registry of prometheus_client (the global one by default) tell what Orakul's parts tell."""
    try:
        from prometheus_client import REGISTRY  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise MissingExtraError("prometheus-client", "prometheus") from error
    (registry if registry is not None else REGISTRY).register(_Collector())


class _Collector:
    """What a registry asks. It describes nothing, as instruments come with their parts."""

    def describe(self) -> Iterable[Any]:
        return ()

    def collect(self) -> Iterator[Any]:
        from prometheus_client import core  # noqa: PLC0415 (an extra)

        families: dict[str, Any] = {
            Counter.kind: core.CounterMetricFamily,
            Gauge.kind: core.GaugeMetricFamily,
            "histogram": core.HistogramMetricFamily,
        }
        for each in collect():
            if each.name.startswith("process_") or not each.samples:
                continue  # the registry has these of its own
            family = families[each.kind](each.name.removesuffix("_total"), each.said, labels=each.labels)
            for values, sample in each.samples.items():
                if isinstance(sample, Distribution):
                    family.add_metric(values, _cumulative(sample), sample.sum)
                else:
                    family.add_metric(values, sample)
            yield family


def _cumulative(sample: Distribution) -> list[tuple[str, float]]:
    so_far, found = 0, []
    for bound, count in zip((*sample.bounds, math.inf), sample.counts, strict=True):
        so_far += count
        found.append((_number(bound), float(so_far)))
    return found
