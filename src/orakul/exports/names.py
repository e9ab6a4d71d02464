"""The ids of a run's tasks: the run's own, and those below it, the same in every attempt."""

from hashlib import sha256

from orakul.events import new_event_id

__all__ = ["EXPORT", "GROUP", "KINDS", "SCRIPT", "group_task", "new_run_id", "run_of", "script_task"]

EXPORT, GROUP, SCRIPT = "export", "export_group", "export_script"
KINDS = (EXPORT, GROUP, SCRIPT)


_LONGEST = 200


def new_run_id() -> str:
    """Return the id of a new run: of its events, its task, and the beginning of the ids of the tasks below it."""
    return new_event_id()


def group_task(run_id: str, group_id: str) -> str:
    """Return the id of the task of a group."""
    return _fit(f"{run_id}:{group_id}")


def script_task(run_id: str, group_id: str, script_id: str) -> str:
    """Return the id of the task of a script."""
    return _fit(f"{run_id}:{group_id}:{script_id}")


def run_of(task_id: str) -> str:
    """Return the id of the run that a task belongs to."""
    return task_id.partition(":")[0]


def _fit(task_id: str) -> str:
    """Return an id that every part of Orakul takes; long ones are cut, and stay different."""
    if len(task_id) <= _LONGEST:
        return task_id
    return f"{task_id[: _LONGEST - 17]}~{sha256(task_id.encode()).hexdigest()[:16]}"
