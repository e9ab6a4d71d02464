"""The desk: where exports are ordered, and where their files are handed out."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from orakul.errors import NotPossibleError, PlanError, TaskNotFoundError
from orakul.events import Event
from orakul.exports.launcher import Launcher
from orakul.exports.library import PlanLibrary
from orakul.exports.names import EXPORT, KINDS, new_run_id
from orakul.exports.order import ExportOrder, encode_order
from orakul.exports.plan import Plan
from orakul.exports.presence import take_over
from orakul.exports.runner import ExportRunner
from orakul.tasks.journal import Journal
from orakul.tasks.reader import TaskReader
from orakul.tasks.runner import Runner
from orakul.tasks.task import Task

__all__ = ["ExportDesk", "PlanShown", "desk_of", "files_of"]

_FILES = "files"
_NEVER = 3600.0 * 24 * 365


class ColumnShown(msgspec.Struct, frozen=True, kw_only=True):
    """A column that may be chosen."""

    id: int
    name: str
    title: str | None


class ScriptShown(msgspec.Struct, frozen=True, kw_only=True):
    """A script of a plan."""

    id: str
    name: str | None
    enabled: bool
    variants: list[str]
    columns: list[ColumnShown]


class GroupShown(msgspec.Struct, frozen=True, kw_only=True):
    """A group of a plan."""

    id: str
    name: str | None
    enabled: bool
    scripts: list[ScriptShown]


class PlanShown(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as people see it: no password, no SQL. One that is wrong has an `error`, and nothing else."""

    plan: str
    name: str
    database: str | None = None
    format: str | None = None
    groups: list[GroupShown] = []
    error: str | None = None


class ExportDesk:
    """Takes orders for the plans of the library; an order is in the journal before it begins."""

    def __init__(self, launcher: Launcher, journal: Journal, reader: TaskReader) -> None:
        self.launcher = launcher
        self.who = launcher.settings.exports.who
        self._library = PlanLibrary(launcher.settings.exports.plans)
        self._journal = journal
        self._reader = reader

    @property
    def is_set_up(self) -> bool:
        """Whether there are folders of plans."""
        return bool(self._library.folders)

    def take_over(self) -> float:
        """Give up what a killed process of this one's name left open; return after how long to look again (never)."""
        name = self.launcher.exporter.name
        if name is not None:
            take_over(name, self._reader, lambda event: self._journal.append([event]), self.launcher.is_mine)
        return _NEVER

    def plans(self) -> list[PlanShown]:
        """Return all plans, also those that cannot be read, with the reason."""
        return [self._shown(name) for name in self._library.names()]

    def start(
        self,
        plan: str,
        *,
        group: str | None = None,
        script: str | None = None,
        columns: Sequence[int] | None = None,
        user_id: str | None = None,
    ) -> str:
        """Order a run; return its id. Raises PlanError, BrokerUnavailableError, JournalUnavailableError."""
        if plan not in self._library.names():
            raise PlanError(f"there is no plan {plan!r}")
        loaded = self._library.load(plan)
        run_id = new_run_id()
        chosen = None if columns is None else tuple(columns)
        order = ExportOrder(
            run_id=run_id, task_id=run_id, plan=plan, group=group, script=script, columns=chosen, user_id=user_id
        )
        order.choice(loaded)  # what cannot be run is said here, to whoever asks
        carrier = self.launcher.carrier()
        asked = {"plan": plan, "group": group, "script": script, "columns": columns}
        data: dict[str, Any] = {
            "kind": EXPORT,
            "name": order.title(loaded.name),
            "attempt": 1,
            "run": 0,
            "root_id": run_id,
            "author": user_id,
            "arguments": {name: value for name, value in asked.items() if value is not None},
        }
        if carrier is not None:
            data["queue"] = carrier.queue
        else:
            data["worker"] = self.launcher.exporter.name
        events = [Event(event_type="task.pending", task_id=run_id, user_id=user_id, data=data, source="exports")]
        if self.launcher.sealer is not None:
            sealed = base64.b64encode(self.launcher.sealer.seal(encode_order(order), run_id)).decode("ascii")
            message = {"attempt": 1, "sealed": sealed}
            events.append(Event(event_type="task.message", task_id=run_id, data=message, source="exports"))
        self._journal.append(events)
        try:
            self.launcher.start(order, carrier)
        except Exception as error:
            failed = {"type": type(error).__name__, "message": f"the order could not be sent: {error}"}
            data = {"kind": EXPORT, "attempt": 1, "run": 0, "stage": "before_start", "error": failed}
            self._journal.append([Event(event_type="task.failed", task_id=run_id, user_id=user_id, data=data)])
            raise
        return run_id

    def file(self, task: Task, number: int) -> Path:
        """Return the file of that number in the task's result.

        Raises TaskNotFoundError where the task has no such file, NotPossibleError where it is not to be handed out.
        """
        files = files_of(task)
        if not 0 <= number < len(files):
            raise TaskNotFoundError("there is no such file of this task")
        said = files[number]
        try:
            path = Path(str(said["path"])).resolve(strict=True)
        except (OSError, KeyError, ValueError) as error:
            raise NotPossibleError("the file is not here any more, or is on another machine") from error
        if not any(path.is_relative_to(folder) for folder in self._library.output_folders()):
            raise NotPossibleError("the file is in no output folder of the plans that are known here (exports.plans)")
        if not path.is_file() or path.stat().st_size != said.get("bytes"):
            raise NotPossibleError("the file was written anew since: its newest run has it")
        return path

    def _shown(self, name: str) -> PlanShown:
        try:
            plan = self._library.load(name)
        except PlanError as error:
            return PlanShown(plan=name, name=Path(name).stem, error=str(error))
        return PlanShown(
            plan=name,
            name=plan.name,
            database=plan.database_shown,
            format=plan.output.format,
            groups=_groups(plan),
        )


def _groups(plan: Plan) -> list[GroupShown]:
    return [
        GroupShown(
            id=group.id,
            name=group.name,
            enabled=group.enabled,
            scripts=[
                ScriptShown(
                    id=script.id,
                    name=script.name,
                    enabled=script.enabled,
                    variants=[variant.id for variant in script.variants],
                    columns=[ColumnShown(id=each.id, name=each.name, title=each.title) for each in script.columns],
                )
                for script in group.scripts
            ],
        )
        for group in plan.groups
    ]


def files_of(task: Task) -> list[dict[str, Any]]:
    """Return the files that stand in the result of an export's task."""
    if task.kind not in KINDS or not isinstance(task.result, dict):
        return []
    files = task.result.get(_FILES)
    return [each for each in files if isinstance(each, dict)] if isinstance(files, list) else []


def desk_of(runners: Mapping[str, Runner], journal: Journal, reader: TaskReader) -> ExportDesk | None:
    """Return the desk of the runners that carry exports out, None where there are none."""
    found = [runner for runner in runners.values() if isinstance(runner, ExportRunner)]
    for runner in found:
        runner.attempts_below = lambda task_id: {each.task_id: each.attempt for each in reader.children(task_id).items}
    return ExportDesk(found[0].launcher, journal, reader) if found else None
