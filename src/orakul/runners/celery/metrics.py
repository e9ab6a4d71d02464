"""What a worker tells Prometheus: counted in its main process, which hears of every task of every pool.

A pool child is killed, recycled or scaled away; the main process receives each message, is told when a child begins a
task, and gets each end with its run time, also that a child was lost. So what is counted here is whole: there are no
files of children to be merged, cleaned and lost, and a `kill -9` of a child costs no count.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]  # its types are of an older one
from billiard.exceptions import SoftTimeLimitExceeded, Terminated, TimeLimitExceeded, WorkerLostError
from celery import signals
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.imports import symbol_by_name
from celery.worker import state

from orakul.extensions import load
from orakul.instruments import SECONDS, counter, gauge, histogram, is_collected
from orakul.runners.celery.headers import SENT, queue_of
from orakul.runners.celery.parts import Parts, quiet
from orakul.runners.celery.stopping import TaskCancelled

__all__ = ["WorkerMetrics"]

logger = logging.getLogger(__name__)

_LONG = (*SECONDS, 300.0, 1800.0, 7200.0)
_OUTCOMES: tuple[tuple[type[BaseException], str], ...] = (
    (TaskCancelled, "cancelled"),
    (Terminated, "cancelled"),
    (Retry, "retried"),
    (Reject, "rejected"),
    (Ignore, "ignored"),
    (WorkerLostError, "lost"),
    (SystemExit, "lost"),
    (KeyboardInterrupt, "lost"),
    (TimeLimitExceeded, "timed_out"),
    (SoftTimeLimitExceeded, "timed_out"),
)
_ENDED = counter(
    "orakul_worker_tasks_total",
    "Runs of tasks that ended, by how: completed, failed, retried, rejected, ignored, cancelled, expired, timed_out, "
    "lost (their process died), unregistered.",
    ("name", "queue", "outcome"),
)
_TOOK = histogram(
    "orakul_worker_task_seconds", "Run time of tasks, as their process measured it.", _LONG, "", ("name",)
)
_WAITED = histogram(
    "orakul_worker_waiting_seconds", "From sending, or the task's own time, to its start.", _LONG, "", ("queue",)
)
_MOST_SEEN = 1_000
_seen: set[tuple[str, str]] = set()
_LOST = counter(
    "orakul_worker_tasks_lost_total",
    "Runs of tasks whose process died; from zero on, so that the first one is seen to be one more.",
)
_RECEIVED = counter("orakul_worker_received_total", "Messages of tasks that came from the broker.", ("queue",))


class WorkerMetrics:
    """Counts what the main process of a worker hears, and serves it where the settings name a port."""

    def __init__(self, app: Any, parts: Parts) -> None:
        self._app = app
        self._parts = parts
        self._worker: Any = None
        self._stop: Callable[[], None] | None = None

    def install(self) -> None:
        """Count from the start of the worker to its end, and serve, where the settings name a port or OTLP is sent."""
        if not self._parts.settings.celery.metrics_port and not is_collected():
            return
        uid = f"orakul-metrics-{id(self._app)}"
        for signal, handler in (
            (signals.celeryd_after_setup, self._begin),
            (signals.task_received, self._received),
            (signals.task_revoked, self._revoked),
            (signals.task_unknown, self._unknown),
            (signals.task_rejected, self._unreadable),
            (signals.worker_shutdown, self._end),
        ):
            signal.connect(quiet(handler), weak=False, dispatch_uid=uid)

    def _begin(self, *, instance: Any, **_: Any) -> None:
        self._worker = instance
        for task in self._app.tasks.values():
            task.Request = _counted(symbol_by_name(task.Request))
        gauge("orakul_worker_tasks", "Tasks in the worker's hands: running, reserved.", self._in_hand, ("state",))
        gauge("orakul_worker_concurrency", "How many tasks the worker can run at once.", self._concurrency)
        who = ("process",)
        counter("orakul_worker_cpu_seconds_total", "Processor time by process.", who, read=self._cpu)
        gauge("orakul_worker_memory_bytes", "Resident memory by process of the worker.", self._memory, who)
        gauge("orakul_worker_open_fds", "Open files and connections by process of the worker.", self._files, who)
        self._serve()

    def _serve(self) -> None:
        celery = self._parts.settings.celery
        if celery.metrics_port:
            self._stop = load("orakul.exporters", "prometheus")(celery.metrics_host, celery.metrics_port)

    def _end(self, **_: Any) -> None:
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()

    # -- what signals tell

    def _received(self, *, request: Any, **_: Any) -> None:
        _RECEIVED.add(1, _queue(request))

    def _revoked(self, *, request: Any, terminated: bool = False, expired: bool = False, **_: Any) -> None:
        if not terminated:  # else it ran, and its end is counted
            delivery = request.delivery_info or {}
            queue = queue_of(request.__dict__, delivery.get("exchange"), delivery.get("routing_key")) or ""
            _ENDED.add(1, request.task or "", queue, "expired" if expired else "cancelled")

    def _unknown(self, *, message: Any = None, name: str = "", **_: Any) -> None:
        delivery = getattr(message, "delivery_info", None) or {}
        _ENDED.add(1, name, delivery.get("routing_key") or "", "unregistered")

    def _unreadable(self, *, message: Any = None, **_: Any) -> None:
        delivery = getattr(message, "delivery_info", None) or {}
        _ENDED.add(1, "(unreadable)", delivery.get("routing_key") or "", "rejected")

    # -- what is read at a collection

    def _in_hand(self) -> Mapping[str, float]:
        running = len(state.active_requests)
        return {"running": running, "reserved": max(0, len(state.reserved_requests) - running)}

    def _concurrency(self) -> float | None:
        pool = getattr(self._worker, "pool", None)
        return getattr(pool, "limit", None) or getattr(pool, "num_processes", None)

    def _processes(self) -> Iterator[tuple[str, int]]:
        yield "main", os.getpid()
        children = getattr(getattr(getattr(self._worker, "pool", None), "_pool", None), "_pool", None)
        for child in list(children or ()):
            index, pid = getattr(child, "index", None), getattr(child, "pid", None)
            if isinstance(index, int) and isinstance(pid, int):
                yield f"child {index + 1}", pid  # its place in the pool: a child that takes a dead one's is the same

    def _cpu(self) -> Mapping[str, float]:
        ticks = os.sysconf("SC_CLK_TCK")
        return {name: sum(map(int, facts[11:13])) / ticks for name, facts in self._stats()}

    def _memory(self) -> Mapping[str, float]:
        page = os.sysconf("SC_PAGE_SIZE")
        return {name: int(facts[21]) * page for name, facts in self._stats()}

    def _files(self) -> Mapping[str, float]:
        found = {}
        for name, pid in self._processes():
            with suppress(OSError):
                found[name] = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 (a count, of names nobody reads)
        return found

    def _stats(self) -> Iterator[tuple[str, list[str]]]:
        for name, pid in self._processes():
            with suppress(OSError):  # it has just gone, or this is not Linux
                yield name, Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()


def _counted(base: type) -> type:
    """Return the request class of a task, made to count what becomes of it."""
    if getattr(base, "_orakul_counted", False):
        return base

    class CountedRequest(base):  # type: ignore[misc]
        _orakul_counted = True
        _orakul_ended = False

        def __init_subclass__(cls, **kwargs: Any) -> None:
            # Celery derives a class for each task, with an `on_success` that calls nobody's.
            super().__init_subclass__(**kwargs)
            if "on_success" in cls.__dict__:
                cls.on_success = _counting(cls.__dict__["on_success"])

        def on_accepted(self, pid: int, time_accepted: float) -> None:
            _began(self)
            super().on_accepted(pid, time_accepted)

        def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
            _ended(self, _outcome(exc_info))
            return super().on_failure(exc_info, *args, **kwargs)

        def on_timeout(self, soft: bool, timeout: float) -> Any:  # noqa: FBT001 (Celery's own signature)
            if not soft:
                _ended(self, "timed_out")
            return super().on_timeout(soft, timeout)

    return CountedRequest


def _counting(on_success: Callable[..., Any]) -> Callable[..., Any]:
    def counted(self: Any, failed__retval__runtime: tuple[int, Any, float], **kwargs: Any) -> Any:
        failed, _, runtime = failed__retval__runtime
        if not failed:
            _ended(self, "completed", runtime)
        else:
            self._orakul_runtime = runtime
        return on_success(self, failed__retval__runtime, **kwargs)

    return counted


def _outcome(exc_info: Any) -> str:
    error = getattr(exc_info, "exception", None)
    if isinstance(error, ExceptionWithTraceback):
        error = error.exc
    return next((outcome for kind, outcome in _OUTCOMES if isinstance(error, kind)), "failed")


@quiet
def _began(request: Any) -> None:
    request._orakul_began = time.monotonic()  # noqa: SLF001 (our own mark)
    sent = request.request_dict.get(SENT)
    if isinstance(sent, int):
        due = request.eta.timestamp() if request.eta is not None else 0.0
        _WAITED.observe(max(0.0, time.time() - max(sent / 1000, due)), _queue(request))


@quiet
def _ended(request: Any, outcome: str, runtime: float | None = None) -> None:
    if request._orakul_ended:  # noqa: SLF001 (our own mark: Celery tells some ends twice)
        return
    request._orakul_ended = True  # noqa: SLF001 (as above)
    queue = _queue(request)
    if (request.name, queue) not in _seen and len(_seen) < _MOST_SEEN:
        _seen.add((request.name, queue))
        for failure in ("failed", "lost", "timed_out"):  # from zero on, so that the first one is seen to be one more
            _ENDED.add(0, request.name, queue, failure)
    _ENDED.add(1, request.name, queue, outcome)
    if outcome == "lost":
        _LOST.add()
    if runtime is None:
        runtime = getattr(request, "_orakul_runtime", None)
    if runtime is None and (began := getattr(request, "_orakul_began", None)) is not None:
        runtime = time.monotonic() - began  # its process cannot say any more
    if runtime is not None:
        _TOOK.observe(runtime, request.name)


def _queue(request: Any) -> str:
    delivery = request.delivery_info
    return queue_of(request.request_dict, delivery.get("exchange"), delivery.get("routing_key")) or ""
