"""Exports: groups → scripts → variants → files. `run_export` runs what was chosen of a plan."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orakul.exports.events import AllGroupsStart, GroupStart, RunFinished, ScriptFinished, ScriptStart
    from orakul.exports.observer import ExportObserver
    from orakul.exports.plan import Plan, load_plan
    from orakul.exports.run import ExportRun, RunResult, run_export
    from orakul.exports.script import Outcome

__all__ = [
    "AllGroupsStart",
    "ExportObserver",
    "ExportRun",
    "GroupStart",
    "Outcome",
    "Plan",
    "RunFinished",
    "RunResult",
    "ScriptFinished",
    "ScriptStart",
    "load_plan",
    "run_export",
]

# Loaded when it is asked for: a plan can be read where nothing of the engine is installed.
_ELSEWHERE = {
    **dict.fromkeys(("AllGroupsStart", "GroupStart", "RunFinished", "ScriptFinished", "ScriptStart"), "events"),
    **dict.fromkeys(("Plan", "load_plan"), "plan"),
    **dict.fromkeys(("ExportRun", "RunResult", "run_export"), "run"),
    "ExportObserver": "observer",
    "Outcome": "script",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for."""
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
