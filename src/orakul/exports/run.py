"""A run: all groups of a plan, one group or one script, told to a dispatcher as it happens.

    with Dispatcher([MyObserver()]) as dispatcher:
        result = run_export(plan, plan.choose(), dispatcher)

What observers are told is, to the letter and in every case,

    AllGroupsStart → (GroupStart → (ScriptStart → ScriptFinished)*)* → RunFinished

where `AllGroupsStart` is told only when all groups were started, and `GroupStart` only when a group was (by itself or
as one of all): a script that is started alone is `ScriptStart → ScriptFinished → RunFinished`. Groups run one after
the other, in the order of the plan; a script that never began, as the run was stopped before, is told of only in the
summary of `RunFinished`, as `Cancelled`. `RunFinished` comes last, and once, whatever happens.

Scripts of a group run at the same time, within the plan's `parallel`, and are *announced* one after the other, in the
order of the plan: what one does while an earlier one is not finished is told when that one is. The events' timestamps
are the moments when it happened. Progress is told at once. With `parallel: 1`, or a strict dispatcher, scripts run one
after the other, so that a script's observers have been told (strict: and have agreed) before its variants run.

With a strict dispatcher an observer's error stops the run: what runs is cancelled, `RunFinished` is told, and the
errors are raised as one ExceptionGroup.
"""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from datetime import datetime
from typing import Any

import msgspec

from orakul.events import Dispatcher, utc_now
from orakul.exports.events import (
    AllGroupsStart,
    ExportEvent,
    ExportFailure,
    ExportProgress,
    GroupStart,
    GroupSummary,
    RunFinished,
    ScriptFinished,
    ScriptStart,
    ScriptSummary,
)
from orakul.exports.names import group_task, new_run_id, script_task
from orakul.exports.plan import Choice, Group, Plan, Script
from orakul.exports.script import Cancelled, Failure, Outcome, Progress, ScriptResult, export_script

__all__ = ["ExportRun", "RunResult", "outcome_of", "run_export"]

_PROGRESS_EVERY = 0.5


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended."""

    run_id: str
    outcome: Outcome
    groups: list[GroupSummary]
    results: dict[tuple[str, str], ScriptResult]
    """What each script that began left, by group and script."""
    rows_exported: int
    bytes_written: int
    duration_ms: float
    started_at: datetime
    error: ExportFailure | None = None


def run_export(plan: Plan, choice: Choice, dispatcher: Dispatcher, **options: Any) -> RunResult:
    """Run what was chosen of a plan, tell the dispatcher, and say how it ended; the options are `ExportRun`'s."""
    return ExportRun(plan, choice, dispatcher, **options).run()


class ExportRun:
    """One attempt of one run. It knows the plan and the dispatcher, and nothing of who observes.

    `cancelled` stops all of it; `stops` is asked the same of one group or script, by the id of its task.
    """

    def __init__(
        self,
        plan: Plan,
        choice: Choice,
        dispatcher: Dispatcher,
        *,
        run_id: str | None = None,
        attempt: int = 1,
        user_id: str | int | None = None,
        cancelled: Cancelled | None = None,
        stops: Callable[[str], bool] | None = None,
        export: Callable[..., ScriptResult] = export_script,
    ) -> None:
        self.run_id = run_id or new_run_id()
        self._plan = plan
        self._choice = choice
        self._dispatcher = dispatcher
        self._attempt = attempt
        self._user_id = user_id
        self._export = export
        self._asked = cancelled
        self._stops = stops or (lambda _: False)
        self._broken = threading.Event()
        """Set where the run breaks off by itself: an observer's veto, an interrupt, an error of ours."""
        self._no_more = False
        """Whether a script has failed whose plan lets no other begin."""
        self._telling = threading.Lock()
        self._refusals: list[Exception] = []
        self._slots = threading.BoundedSemaphore(plan.output.parallel)
        self._at_once = 1 if dispatcher.strict else plan.output.parallel
        self._results: dict[tuple[str, str], ScriptResult] = {}
        self._open: tuple[Group, Script] | None = None
        """The script that was announced, and is not finished."""

    def is_set(self) -> bool:
        """Say whether scripts are to stop: what they are given as `cancelled`."""
        return self._broken.is_set() or (self._asked is not None and self._asked.is_set())

    def run(self) -> RunResult:
        """Run it, and say how it ended; raises only what strict observers raised, and interrupts."""
        began, start = utc_now(), time.monotonic()
        broken: BaseException | None = None
        try:
            if self._choice.everything:
                ids = [group.id for group in self._choice.groups]
                self._tell(AllGroupsStart(**self._facts(), group_ids=ids), self.run_id, began)
            for group in self._choice.groups:
                if self._may_begin():
                    self._run_group(group)
        except BaseException as error:  # noqa: BLE001 (RunFinished is told first; then it goes on its way)
            broken = error
            self._broken.set()
            if self._open is not None:
                self._finish(*self._open, ScriptResult(outcome=Outcome.CANCELLED))
        result = self._result(began, start, broken)
        self._tell(
            RunFinished(
                **self._facts(),
                outcome=result.outcome,
                summary=result.groups,
                rows_exported=result.rows_exported,
                bytes_written=result.bytes_written,
                duration_ms=result.duration_ms,
                started_at=began.isoformat(),
                error=result.error,
            ),
            self.run_id,
        )
        if broken is not None:
            raise broken
        if self._refusals:
            raise ExceptionGroup("the run was stopped, as observers failed", self._refusals)
        return result

    # -- groups and scripts

    def _run_group(self, group: Group) -> None:
        if not self._choice.script_alone:
            ids = [script.id for script in group.scripts]
            task = group_task(self.run_id, group.id)
            self._tell(GroupStart(**self._facts(), group_id=group.id, script_ids=ids), task)
        if self._at_once == 1 or len(group.scripts) == 1:
            for script in group.scripts:
                if self._may_begin() and not self._stops(group_task(self.run_id, group.id)):
                    self._announce(group, script, utc_now())
                    self._finish(group, script, self._export_one(group, script))
        else:
            self._run_together(group)

    def _run_together(self, group: Group) -> None:
        """Run the scripts of a group at the same time, and announce them one after the other."""
        first = group.scripts[0]
        moments: dict[str, datetime] = {first.id: utc_now()}
        begun = {script.id: threading.Event() for script in group.scripts}

        def work(script: Script) -> ScriptResult | None:
            try:
                if script is not first and (not self._may_begin() or self._stops(group_task(self.run_id, group.id))):
                    return None
                moments.setdefault(script.id, utc_now())
            finally:
                begun[script.id].set()
            return self._export_one(group, script)

        self._announce(group, first, moments[first.id])
        with ThreadPoolExecutor(self._at_once, thread_name_prefix="orakul-export") as pool:
            working = {script.id: pool.submit(copy_context().run, work, script) for script in group.scripts}
            try:
                for script in group.scripts:
                    begun[script.id].wait()
                    if script is not first and script.id in moments:
                        self._announce(group, script, moments[script.id])
                    result = self._await(working[script.id])
                    if result is not None:
                        self._finish(group, script, result)
            except BaseException:
                self._broken.set()  # before the pool waits for its threads
                raise

    def _await(self, working: "Future[ScriptResult | None]") -> ScriptResult | None:
        """Wait for a script; an interrupt stops it, and is raised when it has stopped and that was told."""
        try:
            return working.result()
        except KeyboardInterrupt:
            self._broken.set()
            return working.result()

    def _may_begin(self) -> bool:
        return not self.is_set() and not self._no_more

    def _export_one(self, group: Group, script: Script) -> ScriptResult:
        tasks = group_task(self.run_id, group.id), script_task(self.run_id, group.id, script.id)
        stop = _Stop(self, self._stops, *tasks)
        try:
            result = self._export(
                self._plan,
                group,
                script,
                columns=self._choice.columns,
                cancelled=stop,
                on_progress=_Throttle(lambda progress: self._tell_progress(group, script, progress)),
                slots=self._slots,
            )
        except Exception as error:  # noqa: BLE001 (it promises not to; should it, the others still run)
            result = ScriptResult(
                outcome=Outcome.FAILED, error=Failure(type=type(error).__name__, message=str(error) or repr(error))
            )
        if result.outcome is Outcome.CANCELLED and not stop.is_set():
            self._broken.set()  # by Ctrl-C, where this is the main thread: it is meant for all of the run
        if result.outcome is Outcome.FAILED and self._plan.output.on_error == "stop":
            self._no_more = True
        return result

    def _announce(self, group: Group, script: Script, moment: datetime) -> None:
        event = ScriptStart(
            **self._facts(),
            group_id=group.id,
            script_id=script.id,
            mode=self._choice.mode,
            column_item_ids=list(self._choice.columns or ()),
        )
        self._open = group, script
        self._tell(event, script_task(self.run_id, group.id, script.id), moment)

    def _finish(self, group: Group, script: Script, result: ScriptResult) -> None:
        self._open = None
        self._results[group.id, script.id] = result
        event = ScriptFinished(
            **self._facts(),
            group_id=group.id,
            script_id=script.id,
            outcome=result.outcome,
            paths=[str(file.path) for file in result.files],
            rows_exported=result.rows_exported,
            bytes_written=result.bytes_written,
            duration_ms=result.duration_ms,
            error=_failure(result.error),
            files=[_file(file) for file in result.files],
        )
        self._tell(event, script_task(self.run_id, group.id, script.id))

    # -- telling

    def _facts(self) -> dict[str, Any]:
        user = self._plan.user
        return {
            "run_id": self.run_id,
            "attempt": self._attempt,
            "plan": self._plan.name,
            "login": user.login,
            "database_id": user.database_id,
            "manager_id": user.manager_id,
            "stream_id": user.stream_id,
        }

    def _tell(self, said: ExportEvent, task_id: str, moment: datetime | None = None) -> None:
        event = said.event(task_id=task_id, user_id=self._user_id, source="exports", timestamp=moment or utc_now())
        with self._telling:  # one order, for every observer
            try:
                self._dispatcher.publish(event)
            except ExceptionGroup as errors:
                self._refusals.append(errors)
                self._broken.set()

    def _tell_progress(self, group: Group, script: Script, progress: Progress) -> None:
        share = min(1.0, progress.rows / progress.expected) if progress.expected else None
        said = ExportProgress(
            **self._facts(),
            group_id=group.id,
            script_id=script.id,
            rows=progress.rows,
            bytes=progress.bytes,
            share=share,
        )
        self._tell(said, script_task(self.run_id, group.id, script.id))

    # -- the end

    def _result(self, began: datetime, start: float, broken: BaseException | None) -> RunResult:
        groups = [self._summary(group) for group in self._choice.groups]
        error = None
        if self._refusals:
            error = ExportFailure(type="ExceptionGroup", message=_texts(self._refusals))
        elif isinstance(broken, Exception):
            error = ExportFailure(type=type(broken).__name__, message=str(broken))
        outcome = outcome_of((script.outcome for group in groups for script in group.scripts), stopped=self.is_set())
        if error is not None:
            outcome = Outcome.FAILED
        elif broken is not None:
            outcome = Outcome.CANCELLED
        return RunResult(
            run_id=self.run_id,
            outcome=outcome,
            groups=groups,
            results=dict(self._results),
            rows_exported=sum(group.rows_exported for group in groups),
            bytes_written=sum(group.bytes_written for group in groups),
            duration_ms=round((time.monotonic() - start) * 1000, 3),
            started_at=began,
            error=error,
        )

    def _summary(self, group: Group) -> GroupSummary:
        scripts = [_script_summary(script, self._results.get((group.id, script.id))) for script in group.scripts]
        outcome = outcome_of((script.outcome for script in scripts), stopped=self.is_set())
        return GroupSummary(group_id=group.id, outcome=outcome, scripts=scripts)


def outcome_of(outcomes: Iterable[Outcome], *, stopped: bool = False) -> Outcome:
    """Return how the whole ended whose parts ended so; where somebody stopped it, that counts before a failure."""
    found = set(outcomes)
    if stopped and Outcome.CANCELLED in found:
        return Outcome.CANCELLED
    for each in (Outcome.FAILED, Outcome.CANCELLED, Outcome.SUCCESS):
        if each in found:
            return each
    return Outcome.NO_DATA


class _Stop:
    """What a script is given as `cancelled`: asked of the run, of its group, of itself."""

    def __init__(self, run: ExportRun, stops: Callable[[str], bool], *tasks: str) -> None:
        self._run, self._stops, self._tasks = run, stops, tasks

    def is_set(self) -> bool:
        return self._run.is_set() or any(map(self._stops, self._tasks))


class _Throttle:
    """Passes on a call now and then: the first after half a second, so that what is short says nothing."""

    def __init__(self, tell: Callable[[Progress], None]) -> None:
        self._tell = tell
        self._next = time.monotonic() + _PROGRESS_EVERY

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _PROGRESS_EVERY
            self._tell(progress)


def _script_summary(script: Script, result: ScriptResult | None) -> ScriptSummary:
    if result is None:
        return ScriptSummary(script_id=script.id, outcome=Outcome.CANCELLED)
    return ScriptSummary(
        script_id=script.id,
        outcome=result.outcome,
        rows_exported=result.rows_exported,
        bytes_written=result.bytes_written,
        duration_ms=result.duration_ms,
        files=len(result.files),
        error=_failure(result.error),
    )


def _failure(error: Failure | None) -> ExportFailure | None:
    return None if error is None else ExportFailure(type=error.type, message=error.message, variant=error.variant)


def _file(file: Any) -> dict[str, Any]:
    return {
        "path": str(file.path),
        "name": file.path.name,
        "variant": file.variant,
        "rows": file.rows,
        "bytes": file.bytes,
        "sha256": file.sha256,
    }


def _texts(errors: Iterable[Exception]) -> str:
    return "; ".join(
        f"{type(each).__name__}: {each}"
        for group in errors
        for each in (group.exceptions if isinstance(group, ExceptionGroup) else (group,))
    )
