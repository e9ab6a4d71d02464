"""The log of work that runs in a process of ours (deliveries, exports): its lines as `task.log` events.

Celery's tasks have theirs from `runners/celery/logs.py`. Bounded three times over: each run has so many lines and
characters, and the process so many lines a second; what is beyond is counted, and a run that is cut says so.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from orakul.events import Event
from orakul.events.work import Work, current_work
from orakul.instruments import counter
from orakul.tasks.masking import clean_text, hide_in

__all__ = ["LINES", "TaskLines", "line_text", "lines_recorded"]

LINES = 500
_CHARACTERS = 128_000
_LINE = 8_000
_A_SECOND = 500
_RUNS = 5_000

_LEFT_OUT = counter(
    "orakul_task_lines_left_out_total", "Lines of logs of tasks that were not kept: more than may be.", ("kind",)
)
_plain = logging.Formatter()


class TaskLines(logging.Handler):
    """Records the lines of the deliveries and exports that run here."""

    def __init__(self, record: Callable[[Event], None], level: int = logging.INFO) -> None:
        super().__init__(level)
        self._record = record
        self._runs: OrderedDict[tuple[str, int | None, int], list[int]] = OrderedDict()
        self._second, self._in_second = 0, 0

    def emit(self, record: logging.LogRecord) -> None:
        """Record a line, once, whichever handlers it passes."""
        if record.name.startswith("orakul") or "_orakul" in record.__dict__:
            return
        work = current_work()
        if work is None or work.kind == "celery":
            return
        record.__dict__["_orakul"] = True
        try:
            self._tell(work, record)
        except Exception:  # noqa: BLE001 (logging's way: told on standard error)
            self.handleError(record)

    def _tell(self, work: Work, record: logging.LogRecord) -> None:
        seen = self._seen(work)
        if seen[0] > LINES or not self._has_room():
            _LEFT_OUT.add(1, work.kind)
            return
        seen[0] += 1
        if seen[0] > LINES or seen[1] > _CHARACTERS:
            seen[0] = LINES + 1
            text = f"[the log is cut here: a run keeps its first {LINES} lines or {_CHARACTERS:,} characters]"
        else:
            text = line_text(record, work.secrets)
            seen[1] += len(text)
        data: dict[str, Any] = {
            "attempt": work.attempt or 1,
            "run": work.run,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": text,
        }
        self._record(
            Event(
                event_type="task.log",
                task_id=work.task_id,
                user_id=work.user_id,
                trace_id=work.trace_id,
                data=data,
                source="consumer" if work.kind == "delivery" else work.kind,
            )
        )

    def _seen(self, work: Work) -> list[int]:
        key = (work.task_id, work.attempt, work.run)
        seen = self._runs.get(key)
        if seen is None:
            seen = self._runs[key] = [0, 0]
            if len(self._runs) > _RUNS:
                self._runs.popitem(last=False)
        return seen

    def _has_room(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._in_second = second, 0
        self._in_second += 1
        return self._in_second <= _A_SECOND


def line_text(record: logging.LogRecord, secrets: Sequence[str], formatter: logging.Formatter | None = None) -> str:
    """Return what a line says, its traceback too, with the secrets hidden, at most 8,000 characters."""
    text = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        text = f"{text}\n{record.exc_text or (formatter or _plain).formatException(record.exc_info)}"
    text = clean_text(text, 20 * _LINE)
    return clean_text(hide_in(text, secrets) if secrets else text, _LINE)


@contextmanager
def lines_recorded(record: Callable[[Event], None]) -> Iterator[None]:
    """Record lines of what runs inside the block, in any thread."""
    handler = TaskLines(record)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
