"""Carries orders out: reads the plan, tells the observers, shows that it lives, stops when asked.

It is the same wherever it runs: `orakul export`, the process of `orakul serve`, a Celery worker.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

from orakul import extensions
from orakul.errors import OrakulError, SettingsError
from orakul.events import Dispatcher, Event
from orakul.events.installed import installed_observers
from orakul.events.observer import telling
from orakul.events.work import Work, at_work
from orakul.exports.library import PlanLibrary
from orakul.exports.names import EXPORT, GROUP, SCRIPT, group_task, script_task
from orakul.exports.order import ExportOrder
from orakul.exports.plan import Choice, Group, Plan, Script
from orakul.exports.presence import Presence
from orakul.exports.recording import ExportTasks
from orakul.exports.run import ExportRun, RunResult
from orakul.exports.script import ScriptResult, export_script
from orakul.exports.stops import Stops
from orakul.instruments import span
from orakul.settings import ExportSettings
from orakul.tasks.lines import lines_recorded
from orakul.tasks.orders import StandingOrders
from orakul.tasks.sealing import Sealer

__all__ = ["Exporter", "named_observers"]

_log = logging.getLogger("orakul.exports")

_DRAIN_SECONDS = 10.0


class Exporter:
    """Runs orders, each in the thread that calls; safe to call from several.

    `record` takes the events of tasks (`Recorder.record`), None where nothing is recorded. `observers` are told beside
    those that the settings name and that are installed. The process is in the fleet while it exports, or, where it
    `stays`, until `close`.
    """

    def __init__(
        self,
        settings: ExportSettings,
        data: Path,
        record: Callable[[Event], None] | None = None,
        *,
        observers: Iterable[Any] = (),
        sealer: Sealer | None = None,
        orders: Callable[[], StandingOrders | None] | None = None,
        stays: bool = False,
    ) -> None:
        self.settings = settings
        self.library = PlanLibrary(settings.plans)
        self._data = data
        self._record = record
        self._observers = list(observers)
        self._sealer = sealer
        self._orders = orders
        self._stays = stays
        self._busy = 0
        self._presence: Presence | None = None
        self._stops: dict[str, Stops] = {}
        self._lock = threading.Lock()

    def run(self, order: ExportOrder, plan: Plan | None = None, cancelled: Any = None) -> RunResult:
        """Carry an order out and say how it ended.

        Raises PlanError where there is no such plan, group or script, and what strict observers raised.
        """
        with self._lock:
            self._busy += 1
        self._count(1)
        try:
            with span("orakul.export", plan=order.title(order.plan_name()), run_id=order.run_id), self._logged(order):
                return self._run(order, plan, cancelled)
        finally:
            self._count(-1)
            with self._lock:
                self._busy -= 1
                idle = not self._busy and not self._stays
            if idle:
                self.close()

    def _run(self, order: ExportOrder, plan: Plan | None, cancelled: Any) -> RunResult:
        tasks = self._tasks(order)
        if tasks is not None:
            if plan is not None:
                tasks.knows(plan)
            tasks.begin()
        try:
            if plan is None:
                plan = self.library.load(order.plan)
            choice = order.choice(plan)
            if tasks is not None:
                tasks.knows(plan)
        except BaseException as error:
            if tasks is not None:
                tasks.fail(error)
            raise
        return self._carry_out(order, plan, choice, tasks, cancelled)

    @contextmanager
    def _logged(self, order: ExportOrder) -> Iterator[None]:
        """Let what is logged meanwhile be the log of the order's task; of a script's, while one runs (`run`)."""
        kind = EXPORT if order.is_run else GROUP if order.script is None else SCRIPT
        work = self._work(order, order.task_id, kind, order.title(order.plan_name()))
        with at_work(work), lines_recorded(self._record) if self._record is not None else nullcontext():
            yield

    def _work(self, order: ExportOrder, task_id: str, kind: str, name: str) -> Work:
        attempt = order.attempts.get(task_id, order.attempt)
        user = None if order.user_id is None else str(order.user_id)
        return Work(task_id=task_id, kind=kind, name=name, attempt=attempt, worker=self.name, user_id=user)

    def _export_script(self, order: ExportOrder) -> Callable[..., ScriptResult]:
        """Return what exports a script, so that its lines are its task's."""

        def export(plan: Plan, group: Group, script: Script, **options: Any) -> ScriptResult:
            task_id = script_task(order.run_id, group.id, script.id)
            with at_work(self._work(order, task_id, SCRIPT, script.id)):
                return export_script(plan, group, script, **options)

        return export

    def stop(self, task_id: str) -> bool:
        """Ask a task that runs in this process to stop; say whether there is one."""
        found = [stops for run, stops in list(self._stops.items()) if task_id == run or task_id.startswith(f"{run}:")]
        for stops in found:
            stops.ask(task_id)
        return bool(found)

    @property
    def running(self) -> list[str]:
        """The runs that are being carried out here."""
        return list(self._stops)

    @property
    def name(self) -> str | None:
        """The name that this process bears in the fleet, None where it records nothing."""
        with self._lock:
            if self._presence is None and self._record is not None:
                self._presence = Presence(self._data, self._record, at_once=self.settings.at_once)
            return self._presence.name if self._presence is not None else None

    def close(self) -> None:
        """Say good-bye, when nothing runs any more."""
        with self._lock:
            if self._presence is not None and not self._busy:
                self._presence.close()
                self._presence = None

    # -- inside

    def _count(self, change: int) -> None:
        if self.name is not None and self._presence is not None:
            self._presence.working(change)

    def _tasks(self, order: ExportOrder) -> ExportTasks | None:
        if self._record is None:
            return None
        return ExportTasks(self._record, order, worker=self.name, sealer=self._sealer)

    def _carry_out(
        self, order: ExportOrder, plan: Plan, choice: Choice, tasks: ExportTasks | None, cancelled: Any
    ) -> RunResult:
        observers = self._all_observers(plan, tasks)
        stops = Stops(_tasks_of(order, choice), self._data if self._data.is_dir() else None, self._orders)
        self._stops[order.run_id] = stops
        try:
            with Dispatcher(observers, strict=self.settings.strict) as dispatcher:
                run = ExportRun(
                    plan,
                    choice,
                    dispatcher,
                    run_id=order.run_id,
                    attempt=order.attempt,
                    user_id=order.user_id,
                    cancelled=_Either(stops, order, cancelled),
                    stops=stops.is_asked,
                    export=self._export_script(order),
                )
                try:
                    return run.run()
                finally:
                    dispatcher.close(_DRAIN_SECONDS)
        finally:
            del self._stops[order.run_id]
            stops.close()

    def _all_observers(self, plan: Plan, tasks: ExportTasks | None) -> list[Any]:
        found: list[Any] = [] if tasks is None else [tasks]
        found += self._observers
        found += named_observers(self.settings.observers)
        found += installed_observers()
        if plan.result_log is not None:
            try:
                found.append(extensions.load("orakul.result_logs", plan.result_log.type)(plan))
            except OrakulError as error:
                _log.warning("The end of this export is not told to %s: %s", plan.result_log.name, error)
        return found


class _Either:
    """Stopped by whoever asks first."""

    def __init__(self, stops: Stops, order: ExportOrder, cancelled: Any) -> None:
        self._stops, self._order, self._cancelled = stops, order, cancelled

    def is_set(self) -> bool:
        if self._stops.is_asked(self._order.task_id):
            return True
        return self._cancelled is not None and bool(self._cancelled.is_set())


def _tasks_of(order: ExportOrder, choice: Choice) -> list[tuple[str, int]]:
    """Return the tasks that an order is for, with their attempts."""
    run = order.run_id
    found = [order.task_id]
    for group in choice.groups:
        found.append(group_task(run, group.id))
        found += [script_task(run, group.id, script.id) for script in group.scripts]
    return [(task, order.attempts.get(task, order.attempt)) for task in dict.fromkeys(found)]


def named_observers(names: Sequence[str]) -> list[Any]:
    """Return the observers that the settings name as `module:object`: the object, or what its class or function makes.

    Raises SettingsError that says which one cannot be had, and why.
    """
    found = []
    for name in names:
        module, _, attribute = name.partition(":")
        try:
            named: Any = import_module(module)
            for part in attribute.split("."):
                named = getattr(named, part)
            made = named() if isinstance(named, type) else named
            telling(made)
        except Exception as error:
            raise SettingsError(
                f"exports.observers: {name!r} is no observer: {type(error).__name__}: {error} "
                "(write module:object; the module must be importable where the export runs)"
            ) from error
        found.append(made)
    return found
