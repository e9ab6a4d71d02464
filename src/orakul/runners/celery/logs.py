"""The log of a task: what it writes to `logging` (and prints) while it runs, as `task.log` events.

Bounded for each run in lines and characters; where the bound is reached, the last line says so.
"""

import logging
from typing import Any

from orakul.runners.celery.parts import Parts, complain
from orakul.runners.celery.runs import Run, current_run
from orakul.tasks.lines import line_text

__all__ = ["TaskLogHandler", "attach"]

LINES = 1000
CHARACTERS = 256_000

# Celery's own accounts of a task (received, succeeded in …) are what Orakul tells anyway.
_OWN = ("celery.app.", "celery.worker", "celery.pool", "celery.concurrency", "celery.backends", "orakul")


class TaskLogHandler(logging.Handler):
    """Records the lines of the task that runs now, from `level` on."""

    def __init__(self, parts: Parts, secrets_of: Any, level: int) -> None:
        super().__init__(level)
        self._parts = parts
        self._secrets_of = secrets_of

    def emit(self, record: logging.LogRecord) -> None:
        """Record a line, once, though it may pass both the root logger and Celery's."""
        run = current_run()
        if run is None or run.lines > LINES or record.name.startswith(_OWN) or "_orakul" in record.__dict__:
            return
        record.__dict__["_orakul"] = True
        try:
            self._record(run, record)
        except Exception:  # noqa: BLE001 (a line that cannot be formatted is the user's, and Celery tells of it)
            complain("Orakul could not record a log line of a task.")

    def _record(self, run: Run, record: logging.LogRecord) -> None:
        run.lines += 1
        if run.lines > LINES or run.characters > CHARACTERS:
            run.lines = LINES + 1
            text = "[the log is cut here: a run keeps its first 1,000 lines or 256,000 characters]"
        else:
            text = line_text(record, self._secrets_of(run), self.formatter)
            run.characters += len(text)
        data = {
            "attempt": run.attempt,
            "run": run.run,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": text,
        }
        self._parts.emit("task.log", run.task_id, data, user=run.user, trace_id=run.trace_id)


def attach(handler: TaskLogHandler, to: logging.Logger | None = None) -> None:
    """Put the handler on `to`, else on the root logger and, as that gets none of theirs, on Celery's for tasks.

    While Celery sets its loggers up one by one, each gets it when it is done: one that has a handler already would get
    none of Celery's, and what tasks write to `get_task_logger` would be nowhere to be read.
    """
    names = (None, "celery.task", "celery.redirected")
    for logger in (to,) if to is not None else map(logging.getLogger, names):
        if handler not in logger.handlers:
            logger.addHandler(handler)
