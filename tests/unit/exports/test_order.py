"""Design §5: however scripts end, fail and are stopped, observers are told by one grammar, RunFinished last."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orakul.events import Dispatcher, Event
from orakul.exports.events import RunFinished, ScriptFinished
from orakul.exports.observer import ExportObserver
from orakul.exports.plan import Choice, Group, Output, Plan, Script, Variant
from orakul.exports.run import ExportRun, RunResult
from orakul.exports.script import Outcome, Progress, ScriptResult

ENDS = ["Success", "NoData", "Failed", "raises", "Cancelled by itself"]


def plan_of(shape: list[int], parallel: int, on_error: str) -> Plan:
    groups = tuple(
        Group(
            id=f"g{number}",
            scripts=tuple(Script(id=f"s{each}", variants=(Variant(id="v", sql="select 1"),)) for each in range(size)),
        )
        for number, size in enumerate(shape)
    )
    output = Output(directory=Path("/nowhere"), parallel=parallel, on_error=on_error)  # type: ignore[arg-type]
    return Plan(database="sqlite:///x.db", output=output, groups=groups, name="random")


class Ends:
    """Scripts that end as they are told to, after a while; a cancelled one ends so."""

    def __init__(self, ends: list[str], waits: list[int], cancel_at: int | None) -> None:
        self.ends, self.waits, self.cancel_at = ends, waits, cancel_at
        self.cancelled = threading.Event()
        self._lock = threading.Lock()
        self._began = 0

    def __call__(self, _plan: Plan, _group: Group, _script: Script, **given: Any) -> ScriptResult:
        with self._lock:
            number, self._began = self._began, self._began + 1
        if number == self.cancel_at:
            self.cancelled.set()
        given["on_progress"](Progress(rows=1, bytes=1, expected=None, variants_done=0, variants=1))
        for _ in range(self.waits[number % len(self.waits)]):
            if given["cancelled"].is_set():
                return ScriptResult(outcome=Outcome.CANCELLED)
            time.sleep(0.0005)
        end = self.ends[number % len(self.ends)]
        if end == "raises":
            raise ValueError("a bug")
        if end == "Cancelled by itself":
            return ScriptResult(outcome=Outcome.CANCELLED)
        return ScriptResult(outcome=Outcome(end), rows_exported=2 if end == "Success" else 0)


class Failing(ExportObserver):
    """Fails at every n-th call."""

    def __init__(self, every: int) -> None:
        self.every, self.calls = every, 0

    def _hear(self, _event: Any) -> None:
        self.calls += 1
        if self.calls % self.every == 0:
            raise RuntimeError("an observer's bug")

    on_all_groups_start = on_group_start = on_script_start = on_script_finished = on_run_finished = _hear


class Slow(ExportObserver):
    """Sleeps over each event, in an event loop."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def on_script_finished(self, event: ScriptFinished) -> None:
        time.sleep(0.001)  # noqa: ASYNC251 (a bad observer is meant)
        self.heard.append(f"{event.group_id}/{event.script_id}")

    async def on_run_finished(self, _event: RunFinished) -> None:
        self.heard.append("end")


def check(events: list[Event], plan: Plan, choice: Choice) -> None:
    """Read the events by the grammar, with one look at each."""
    told = [event for event in events if event.event_type != "export.progress"]
    assert all(event.data["run_id"] == told[0].data["run_id"] for event in told)
    rest = list(told)

    def take(kind: str, **facts: str) -> bool:
        if rest and rest[0].event_type == f"export.{kind}" and facts.items() <= rest[0].data.items():
            rest.pop(0)
            return True
        return False

    assert take("all_groups_start") is choice.everything
    for group in choice.groups:
        if not choice.script_alone and not take("group_start", group_id=group.id):
            continue
        for script in group.scripts:
            names = {"group_id": group.id, "script_id": script.id}
            if take("script_start", **names):
                assert take("script_finished", **names)
    assert take("run_finished")
    assert rest == []
    assert plan.groups


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    parallel=st.integers(1, 4),
    on_error=st.sampled_from(["continue", "stop"]),
    what=st.sampled_from(["all", "group", "script"]),
    ends=st.lists(st.sampled_from(ENDS), min_size=1, max_size=6),
    waits=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    cancel_at=st.none() | st.integers(0, 8),
    every=st.integers(1, 5),
    strict=st.booleans(),
)
def test_the_guarantee_holds_in_every_case(
    *,
    shape: list[int],
    parallel: int,
    on_error: str,
    what: str,
    ends: list[str],
    waits: list[int],
    cancel_at: int | None,
    every: int,
    strict: bool,
) -> None:
    plan = plan_of(shape, parallel, on_error)
    choice = {
        "all": plan.choose,
        "group": lambda: plan.choose(group="g0"),
        "script": lambda: plan.choose(script="g0/s0"),
    }[what]()
    first: list[Event] = []
    last: list[Event] = []
    failing, slow = Failing(every), Slow()
    export = Ends(ends, waits, cancel_at)
    dispatcher = Dispatcher([first.append, failing, slow, last.append], strict=strict)
    result: RunResult | None = None
    refused = False
    try:
        result = ExportRun(plan, choice, dispatcher, cancelled=export.cancelled, export=export).run()
    except ExceptionGroup:
        refused = True
    dispatcher.close(30)

    assert [event.event_id for event in first] == [event.event_id for event in last]
    assert sum(stats.dropped for stats in dispatcher.stats()) == 0
    check(first, plan, choice)
    finished = [event for event in first if event.event_type == "export.script_finished"]
    names = [f"{event.data['group_id']}/{event.data['script_id']}" for event in finished]
    assert slow.heard == [*names, "end"]
    if not strict:
        assert not refused
    if result is not None:
        end = RunFinished.of(first[-1])
        assert end.outcome == result.outcome
        assert [s.script_id for g in end.summary for s in g.scripts] == [s.id for g in choice.groups for s in g.scripts]
        assert end.rows_exported == sum(event.data["rows_exported"] for event in finished)
        if "Cancelled" in (told := {event.data["outcome"] for event in finished}):
            assert end.outcome == "Cancelled"
        elif "Failed" in told and not export.cancelled.is_set():
            assert end.outcome == "Failed"


def test_a_strict_observer_is_asked_before_a_script_runs_and_can_stop_the_run() -> None:
    plan = plan_of([3], 3, "continue")
    ran: list[str] = []

    class Veto(ExportObserver):
        def on_script_start(self, event: Any) -> None:
            if event.script_id == "s1":
                raise PermissionError("not this one")

    def export(_plan: Plan, _group: Group, script: Script, **given: Any) -> ScriptResult:
        ran.append(script.id)
        stopped = given["cancelled"].is_set()
        return ScriptResult(outcome=Outcome.CANCELLED if stopped else Outcome.SUCCESS)

    told: list[Event] = []
    dispatcher = Dispatcher([told.append, Veto()], strict=True)
    with pytest.raises(ExceptionGroup) as caught:
        ExportRun(plan, plan.choose(), dispatcher, export=export).run()
    assert caught.group_contains(PermissionError)
    assert ran[:1] == ["s0"]
    assert "s2" not in ran
    check(told, plan, plan.choose())
    end = RunFinished.of(told[-1])
    assert end.outcome == "Failed"
    assert end.error is not None
    assert "not this one" in end.error.message


def test_scripts_of_a_group_run_at_the_same_time_and_are_announced_in_order() -> None:
    plan = plan_of([3], 3, "continue")
    together = threading.Barrier(3, timeout=30)

    def export(*_: Any, **__: Any) -> ScriptResult:
        together.wait()
        return ScriptResult(outcome=Outcome.SUCCESS)

    told: list[Event] = []
    with Dispatcher([told.append]) as dispatcher:
        ExportRun(plan, plan.choose(), dispatcher, export=export).run()
    check(told, plan, plan.choose())


def test_every_field_that_the_requirement_names_is_there() -> None:
    plan = plan_of([1], 1, "continue")
    told: list[Event] = []
    export = Ends(["Success"], [0], None)
    with Dispatcher([told.append]) as dispatcher:
        ExportRun(plan, plan.choose(), dispatcher, export=export, run_id="r").run()
    by_type = {event.event_type: event.data for event in told}
    for_all = {"run_id", "login", "database_id", "manager_id", "stream_id"}
    assert {"group_ids"} <= by_type["export.all_groups_start"].keys()
    assert {"group_id", "script_ids"} <= by_type["export.group_start"].keys()
    assert {"group_id", "script_id", "mode", "column_item_ids"} <= by_type["export.script_start"].keys()
    finished = {"group_id", "script_id", "outcome", "paths", "rows_exported", "bytes_written", "duration_ms"}
    assert finished <= by_type["export.script_finished"].keys()
    assert {"outcome", "summary"} <= by_type["export.run_finished"].keys()
    assert {name for data in by_type.values() for name in data} & for_all == {"run_id"}, "what is not known is left out"
    ran = RunFinished.of(told[-1])
    assert (ran.run_id, ran.status, ran.login) == ("r", "Success", None)
