"""What an export tells its observers: the start of the run, of each group and script, each script's finish, the end.

Every event says which run and which attempt of it, by whom (the plan's user), and of which plan. `paths` are absolute.
A long script also tells now and then how far it is (`export.progress`): no step of the work, so it is not among the
five that an observer has to know.
"""

from typing import Any, ClassVar

import msgspec

from orakul.events.catalogue import EventType, event_type
from orakul.exports.plan import Mode
from orakul.exports.script import Outcome

__all__ = [
    "AllGroupsStart",
    "ExportEvent",
    "ExportFailure",
    "ExportProgress",
    "GroupStart",
    "GroupSummary",
    "RunFinished",
    "ScriptFinished",
    "ScriptStart",
    "ScriptSummary",
]


class ExportEvent(EventType, kw_only=True):
    """What every event of an export says."""

    explains: ClassVar[dict[str, str]] = {
        "run_id": "which run; also the id of its task",
        "attempt": "which attempt of the run, from 1: a retry is the next",
        "plan": "the plan's name",
        "login": "of the plan's user, as are database_id, manager_id and stream_id",
    }

    run_id: str
    attempt: int = 1
    plan: str = ""
    login: str | None = None
    database_id: int | None = None
    manager_id: int | None = None
    stream_id: int | None = None


class ExportFailure(msgspec.Struct, kw_only=True):
    """Why a script, or the whole run, failed."""

    type: str = ""
    message: str = ""
    variant: str | None = None


@event_type("export.all_groups_start")
class AllGroupsStart(ExportEvent, kw_only=True):
    """Somebody has started all groups of a plan."""

    explains: ClassVar[dict[str, str]] = {"group_ids": "the groups that are enabled, in the order of the plan"}

    group_ids: list[str]


@event_type("export.group_start")
class GroupStart(ExportEvent, kw_only=True):
    """A group begins, by itself or as one of all."""

    explains: ClassVar[dict[str, str]] = {"script_ids": "its scripts that are enabled, in the order of the plan"}

    group_id: str
    script_ids: list[str]


@event_type("export.script_start")
class ScriptStart(ExportEvent, kw_only=True):
    """A script begins; none of its variants has run yet."""

    explains: ClassVar[dict[str, str]] = {
        "mode": "`Default`: all columns; `Custom`: the chosen ones",
        "column_item_ids": "the ids of the columns that were chosen; empty by default",
    }

    group_id: str
    script_id: str
    mode: Mode
    column_item_ids: list[int]


@event_type("export.script_finished")
class ScriptFinished(ExportEvent, kw_only=True):
    """A script is done: all its variants ended, its files are whole and under their final names."""

    explains: ClassVar[dict[str, str]] = {
        "outcome": "`Success`, `NoData`, `Failed` or `Cancelled`",
        "paths": "the files that it left, none where there are none",
        "duration_ms": "from its start to here",
        "error": "why it failed",
    }

    group_id: str
    script_id: str
    outcome: Outcome
    paths: list[str]
    rows_exported: int
    bytes_written: int
    duration_ms: float
    error: ExportFailure | None = None
    files: list[dict[str, Any]] = msgspec.field(default_factory=list)

    @property
    def status(self) -> Outcome:
        """The same as `outcome`, by the requirement's word."""
        return self.outcome


class ScriptSummary(msgspec.Struct, kw_only=True):
    """What came of one script. One that never began, as the run was stopped before, is `Cancelled`."""

    script_id: str
    outcome: Outcome
    rows_exported: int = 0
    bytes_written: int = 0
    duration_ms: float = 0
    files: int = 0
    error: ExportFailure | None = None


class GroupSummary(msgspec.Struct, kw_only=True):
    """What came of one group."""

    group_id: str
    outcome: Outcome
    scripts: list[ScriptSummary]

    @property
    def rows_exported(self) -> int:
        """The rows of all its scripts."""
        return sum(script.rows_exported for script in self.scripts)

    @property
    def bytes_written(self) -> int:
        """The bytes of all its scripts."""
        return sum(script.bytes_written for script in self.scripts)

    @property
    def files(self) -> int:
        """The files of all its scripts."""
        return sum(script.files for script in self.scripts)


@event_type("export.run_finished")
class RunFinished(ExportEvent, kw_only=True):
    """The run has ended, whatever happened: always the last event of an attempt, and once."""

    explains: ClassVar[dict[str, str]] = {
        "summary": "what came of each group and script",
        "error": "what broke the run off, where it was not a script's failure",
        "started_at": "when the run began, ISO 8601",
    }

    outcome: Outcome
    summary: list[GroupSummary]
    rows_exported: int
    bytes_written: int
    duration_ms: float
    started_at: str
    error: ExportFailure | None = None

    @property
    def status(self) -> Outcome:
        """The same as `outcome`, by the requirement's word."""
        return self.outcome


@event_type("export.progress")
class ExportProgress(ExportEvent, kw_only=True):
    """How far a script is, at most about twice a second."""

    explains: ClassVar[dict[str, str]] = {"share": "0 to 1, where it is known how much there is"}

    group_id: str
    script_id: str
    rows: int
    bytes: int
    share: float | None = None
