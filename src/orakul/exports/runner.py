"""Exports as a runner: a run, a group or a script is run again from its sealed order, and stopped on demand.

Three kinds of tasks, one launcher: `orakul.runners` names a function for each.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from orakul.errors import NotPossibleError
from orakul.exports.launcher import Launcher
from orakul.exports.names import EXPORT, GROUP, SCRIPT
from orakul.exports.order import decode_order
from orakul.settings import Settings
from orakul.tasks.orders import Cancellation, Fleet
from orakul.tasks.reader import PausedQueue
from orakul.tasks.sealing import Sealer
from orakul.tasks.task import Task

__all__ = ["ExportRunner", "export_runner", "group_runner", "script_runner"]


class ExportRunner:
    """Fulfils `Runner` for one kind of the tasks of exports."""

    def __init__(self, kind: str, launcher: Launcher) -> None:
        self.kind = kind
        self.launcher = launcher
        self.attempts_below: Callable[[str], Mapping[str, int]] | None = None
        """Which attempts the tasks below one have come to, for who can read the journal."""

    def retry(self, task: Task, sealed: bytes) -> None:
        """Carry the kept order out again, as attempt `task.attempt`."""
        if self.launcher.sealer is None:
            raise NotPossibleError("kept orders cannot be opened here: no secret key is set (ORAKUL_SECRET_KEY)")
        order = decode_order(self.launcher.sealer.open(sealed, task.task_id))
        below = self.attempts_below(task.task_id) if self.attempts_below is not None else {}
        again = msgspec.structs.replace(
            order,
            task_id=task.task_id,
            attempt=task.attempt,
            run=0,
            attempts={each: max(attempt + 1, task.attempt) for each, attempt in below.items()},
        )
        self.launcher.start(again, self.launcher.carrier())

    def cancel(self, task: Task, order: Cancellation) -> None:
        """Ask it to stop, wherever it runs."""
        del order
        self.launcher.stop(task.task_id, task.attempt)

    def pause(self, queue: str) -> None:
        """Do nothing: the queue that exports wait in is the fleet's, and paused there."""

    def resume(self, queue: str) -> None:
        """Do nothing, likewise."""

    def repeat(self, pauses: Sequence[PausedQueue], cancellations: Sequence[Cancellation]) -> None:
        """Ask again what runs in this process."""
        del pauses
        for each in cancellations:
            if self.kind == EXPORT and self.launcher.is_mine(each.task_id):
                self.launcher.exporter.stop(each.task_id)


_launchers: dict[tuple[object, ...], Launcher] = {}


def _made(kind: str, settings: Settings, sealer: Sealer, fleet: Fleet) -> ExportRunner:
    # The kinds are asked for one after the other; they are to share what they start.
    key = (settings.data, settings.database_url, settings.celery.broker, id(fleet))
    if key not in _launchers:
        _launchers.clear()
        _launchers[key] = Launcher(settings, sealer, fleet)
    return ExportRunner(kind, _launchers[key])


def export_runner(settings: Settings, sealer: Sealer, fleet: Fleet) -> ExportRunner:
    """Return the runner of whole runs."""
    return _made(EXPORT, settings, sealer, fleet)


def group_runner(settings: Settings, sealer: Sealer, fleet: Fleet) -> ExportRunner:
    """Return the runner of groups."""
    return _made(GROUP, settings, sealer, fleet)


def script_runner(settings: Settings, sealer: Sealer, fleet: Fleet) -> ExportRunner:
    """Return the runner of scripts."""
    return _made(SCRIPT, settings, sealer, fleet)
