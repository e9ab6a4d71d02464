"""Prometheus's text form of what the header shows, and of the process itself."""

import os
import resource
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from orakul.tasks import Summary

__all__ = ["exposition", "label"]

_STARTED = time.time()


def exposition(summary: Summary | None, facts: Mapping[str, float]) -> str:
    """Return the metrics; without a summary (the journal is away) those that need none."""
    return "\n".join(_lines(summary, facts)) + "\n"


def _lines(summary: Summary | None, facts: Mapping[str, float]) -> Iterator[str]:
    yield from _metric("orakul_journal_up", "gauge", "1 where the journal answers.", 0 if summary is None else 1)
    if summary is not None:
        yield from _of_summary(summary)
    for name, value in sorted(facts.items()):
        yield from _metric(name, "counter" if name.endswith("_total") else "gauge", "A fact of this process.", value)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = usage.ru_utime + usage.ru_stime
    yield from _metric("process_cpu_seconds_total", "counter", "User and system CPU time.", cpu)
    yield from _metric("process_start_time_seconds", "gauge", "When the process began, epoch seconds.", _STARTED)
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (a count; Path objects for each would be thrown away)
    except OSError:
        return  # not Linux
    yield from _metric("process_resident_memory_bytes", "gauge", "Resident memory.", pages * os.sysconf("SC_PAGE_SIZE"))
    yield from _metric("process_open_fds", "gauge", "Open file descriptors.", files)


def _of_summary(summary: Summary) -> Iterator[str]:
    yield "# HELP orakul_tasks Tasks now, by status; counted up to 10,000."
    yield "# TYPE orakul_tasks gauge"
    yield f'orakul_tasks{{status="pending"}} {summary.queued}'
    yield f'orakul_tasks{{status="in_progress"}} {summary.active}'
    if summary.failure_rate_24h is not None:
        said = "Failed of all that ended in 24 hours, 0 to 1."
        yield from _metric("orakul_failure_ratio_24h", "gauge", said, summary.failure_rate_24h)
    if summary.mean_duration_24h is not None:
        said = "Mean time from start to end in 24 hours."
        yield from _metric("orakul_mean_duration_seconds_24h", "gauge", said, summary.mean_duration_24h)
    yield from _metric("orakul_journal_seq", "gauge", "The last number that the journal gave.", summary.seq)
    yield "# HELP orakul_queue_paused 1 for each queue that is paused."
    yield "# TYPE orakul_queue_paused gauge"
    for paused in summary.paused_queues:
        yield f'orakul_queue_paused{{queue="{label(paused.queue)}"}} 1'


def _metric(name: str, kind: str, said: str, value: float) -> Iterator[str]:
    yield f"# HELP {name} {said}"
    yield f"# TYPE {name} {kind}"
    yield f"{name} {value}"


def label(text: str) -> str:
    """Return a text as the value of a label."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
