"""What a task says of itself while it runs, as `task.progress` events."""

from typing import Any

from orakul.runners.celery import installation
from orakul.runners.celery.runs import current_run

__all__ = ["tell_progress"]


def tell_progress(facts: dict[str, Any]) -> None:
    """Record the progress of the run that the caller is part of; outside of a task nothing happens."""
    run = current_run()
    installed = installation._installation  # noqa: SLF001 (this room's own)
    if run is None or run.ended or installed is None:
        return
    parts = installed.parts
    data = {"attempt": run.attempt, "run": run.run, "progress": parts.masks.show(facts)}
    parts.emit("task.progress", run.task_id, data, user=run.user, trace_id=run.trace_id)
