"""The base of observers of exports: five methods, each `def` or `async def`; override what you want to know.

    class Audit(ExportObserver):
        async def on_script_finished(self, event: ScriptFinished) -> None:
            await write(event.run_id, event.script_id, event.outcome, event.rows_exported)

It is a typed observer like any other (`events.observer`), so what the dispatcher promises holds: in order, one event
at a time, apart from the export and from other observers, its errors logged and counted.
"""

from typing import Any

from orakul.events.observer import TypedObserver, declared
from orakul.exports.events import (
    AllGroupsStart,
    ExportProgress,
    GroupStart,
    RunFinished,
    ScriptFinished,
    ScriptStart,
)

__all__ = ["ExportObserver"]


class ExportObserver(TypedObserver, base=True):
    """Told of what happens in exports."""

    prefix = "export."

    @declared
    def on_all_groups_start(self, event: AllGroupsStart) -> Any:
        """Hear that somebody has started all groups."""

    @declared
    def on_group_start(self, event: GroupStart) -> Any:
        """Hear that a group begins."""

    @declared
    def on_script_start(self, event: ScriptStart) -> Any:
        """Hear that a script begins, before its variants run."""

    @declared
    def on_script_finished(self, event: ScriptFinished) -> Any:
        """Hear that a script is done and its files are on disk."""

    @declared
    def on_run_finished(self, event: RunFinished) -> Any:
        """Hear that the run has ended: always last."""

    @declared
    def on_progress(self, event: ExportProgress) -> Any:
        """Hear, beside the five, how far a script is."""
