"""Whoever carries an export out: who is told, what is recorded, what is handed out."""

import sqlite3
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orakul.errors import NotPossibleError, PlanError, SettingsError, TaskNotFoundError
from orakul.events import Event, utc_now
from orakul.exports.desk import ExportDesk
from orakul.exports.exporter import Exporter, named_observers
from orakul.exports.launcher import Launcher
from orakul.exports.library import PlanLibrary
from orakul.exports.names import group_task, script_task
from orakul.exports.order import ExportOrder, decode_order, encode_order
from orakul.exports.stops import Stops, ask_to_stop
from orakul.settings import ExportSettings, load_settings
from orakul.tasks import Status, Task
from orakul.tasks.sealing import Sealer

PLAN = """
database: sqlite:///shop.db
output: {directory: out}
groups:
  - id: sales
    scripts:
      - id: orders
        columns: [{id: 1, name: a}, {id: 2, name: b}]
        variants: [{id: v, sql: "select * from t"}]
      - id: none
        variants: [{id: v, sql: "select 1 as a where 0"}]
  - id: wrong
    scripts:
      - id: missing
        variants: [{id: v, sql: "select * from nowhere"}]
"""


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    folder = tmp_path / "plans"
    folder.mkdir()
    (folder / "sales.yaml").write_text(PLAN, "utf-8")
    connection = sqlite3.connect(folder / "shop.db")
    connection.executescript("create table t (a int, b text); insert into t values (1, 'x'), (2, 'y')")
    connection.close()
    return folder


@pytest.fixture
def told() -> Iterator[list[Event]]:
    HEARD.clear()
    yield HEARD
    HEARD.clear()


HEARD: list[Event] = []


class Listener:
    """Made by its class, as `module:Listener` in the settings."""

    def observe(self, event: Event) -> None:
        HEARD.append(event)


def failing(_event: Event) -> None:
    raise RuntimeError("an observer's bug")


def settings(plans: Path, **more: Any) -> ExportSettings:
    return ExportSettings(plans=(str(plans),), **more)


def order(**facts: Any) -> ExportOrder:
    return ExportOrder(**{"run_id": "r", "task_id": "r", "plan": "sales.yaml", "user_id": "7", **facts})


# -- who is told


def test_observers_named_in_the_settings_are_told_beside_others_and_cannot_harm(
    plans: Path, tmp_path: Path, told: list[Event]
) -> None:
    names = (f"{__name__}:Listener", f"{__name__}:failing")
    result = Exporter(settings(plans, observers=names), tmp_path / "data").run(order(group="sales"))
    assert result.outcome == "Success"
    kinds = [event.event_type.removeprefix("export.") for event in told if event.event_type != "export.progress"]
    assert kinds == ["group_start", *["script_start", "script_finished"] * 2, "run_finished"]
    assert told[0].user_id == "7"


def test_an_installed_observer_is_told_too(
    plans: Path, tmp_path: Path, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orakul.events.installed.names", lambda _group: ["listener"])
    monkeypatch.setattr("orakul.events.installed.load", lambda _group, _name: Listener)
    Exporter(settings(plans), tmp_path / "data").run(order(script="none"))
    assert told[-1].event_type == "export.run_finished"
    assert told[-1].data["outcome"] == "NoData"


def test_a_strict_export_stops_at_an_observers_error(plans: Path, tmp_path: Path) -> None:
    exporter = Exporter(settings(plans, observers=(f"{__name__}:failing",), strict=True), tmp_path / "data")
    with pytest.raises(ExceptionGroup, match="observers failed"):
        exporter.run(order(group="sales"))
    assert not list((plans / "out").rglob("*.csv"))


@pytest.mark.parametrize("name", ["nowhere:thing", f"{__name__}:nothing", f"{__name__}:PLAN", "", "os"])
def test_a_name_that_is_no_observer_is_told_as_a_wrong_setting(name: str) -> None:
    with pytest.raises(SettingsError, match=r"exports\.observers"):
        named_observers([name])


# -- what is recorded


def test_every_task_of_a_run_has_its_end_and_its_sealed_order(plans: Path, tmp_path: Path) -> None:
    recorded: list[Event] = []
    sealer = Sealer("a secret key of tests, long enough")
    exporter = Exporter(settings(plans), tmp_path / "data", recorded.append, sealer=sealer)
    exporter.run(order())
    last = {
        event.task_id: event for event in recorded if event.event_type.startswith("task.") and "outcome" in event.data
    }
    assert {task: (event.event_type, event.data["outcome"]) for task, event in last.items()} == {
        "r": ("task.failed", "Failed"),
        "r:sales": ("task.completed", "Success"),
        "r:sales:orders": ("task.completed", "Success"),
        "r:sales:none": ("task.completed", "NoData"),
        "r:wrong": ("task.failed", "Failed"),
        "r:wrong:missing": ("task.failed", "Failed"),
    }
    assert all(event.user_id == "7" for event in last.values())
    messages = {event.task_id: event.data["sealed"] for event in recorded if event.event_type == "task.message"}
    assert messages.keys() == last.keys()
    again = decode_order(sealer.open(b64decode(messages["r:wrong:missing"]), "r:wrong:missing"))
    assert (again.group, again.script, again.task_id, again.run_id) == ("wrong", "missing", "r:wrong:missing", "r")
    signs = [event.event_type for event in recorded if event.event_type.startswith("worker.")]
    assert (signs[0], signs[-1]) == ("worker.online", "worker.offline")


def test_a_retry_gives_each_task_below_the_attempt_that_it_is_for(plans: Path, tmp_path: Path) -> None:
    recorded: list[Event] = []
    exporter = Exporter(settings(plans), tmp_path / "data", recorded.append)
    exporter.run(order(group="sales", attempt=2, attempts={"r:sales:orders": 4}))
    attempts = {event.task_id: event.data["attempt"] for event in recorded if event.event_type == "task.completed"}
    assert attempts == {"r": 2, "r:sales": 2, "r:sales:orders": 4, "r:sales:none": 2}


def test_a_plan_that_is_not_there_fails_the_task(plans: Path, tmp_path: Path) -> None:
    recorded: list[Event] = []
    with pytest.raises(PlanError):
        Exporter(settings(plans), tmp_path / "data", recorded.append).run(order(plan="sale.yaml"))
    ended = [event for event in recorded if event.event_type == "task.failed"]
    assert "there is no plan 'sale.yaml'" in ended[0].data["error"]["message"]


# -- orders


def test_a_letter_stops_the_attempt_that_it_is_for(tmp_path: Path) -> None:
    ask_to_stop(tmp_path, "r", 1)
    ask_to_stop(tmp_path, "r:g:s", 3)
    stops = Stops([("r", 2), ("r:g:s", 3)], tmp_path)
    assert not stops.is_asked("r")
    assert stops.is_asked("r:g:s")
    stops.close()
    assert Stops([("r:g:s", 3)], tmp_path).is_asked("r:g:s") is False, "it was taken away"


def test_an_order_travels_as_it_is() -> None:
    given = order(group="g", columns=(1, 2), attempt=3, attempts={"r:g": 2})
    assert decode_order(encode_order(given)) == given
    with pytest.raises(NotPossibleError):
        decode_order(b"{}")


def test_ids_of_tasks_stay_different_when_they_are_cut() -> None:
    long = "я" * 300
    assert len(group_task("r", long)) <= 255
    assert script_task("r", long, "a") != script_task("r", long, "b")


# -- plans and files


def test_plans_are_found_by_name_and_nothing_else_is(plans: Path) -> None:
    (plans / "deep").mkdir()
    (plans / "deep/month.yml").write_text(PLAN, "utf-8")
    (plans / ".hidden.yaml").write_text(PLAN, "utf-8")
    library = PlanLibrary([plans, plans / "absent"])
    assert library.names() == ["deep/month.yml", "sales.yaml"]
    for name in ("../plans/sales.yaml", ".hidden.yaml", "sales", "/etc/passwd", ""):
        with pytest.raises(PlanError):
            library.path(name)


def task_with(*files: dict[str, Any], kind: str = "export") -> Task:
    now = utc_now()
    return Task(
        task_id="r", kind=kind, status=Status.COMPLETED, created_at=now, updated_at=now, result={"files": list(files)}
    )


def test_only_files_that_a_run_left_in_a_plans_folder_are_handed_out(plans: Path, tmp_path: Path) -> None:
    given = msgspec.structs.replace(load_settings({"data": str(tmp_path / "data")}), exports=settings(plans))
    desk = ExportDesk(Launcher(given, None, None), None, None)  # type: ignore[arg-type]
    out = plans / "out"
    out.mkdir()
    (out / "a.csv").write_text("12345")
    (tmp_path / "secret").write_text("12345")
    (out / "link.csv").symlink_to(tmp_path / "secret")
    good = {"path": str(out / "a.csv"), "bytes": 5}
    assert desk.file(task_with(good), 0) == (out / "a.csv").resolve()
    for number in (-1, 1, 99):
        with pytest.raises(TaskNotFoundError):
            desk.file(task_with(good), number)
    with pytest.raises(TaskNotFoundError):
        desk.file(task_with(good, kind="celery"), 0)
    for path, size in (
        (tmp_path / "secret", 5),
        (out / "link.csv", 5),
        (out / ".." / ".." / "secret", 5),
        (out / "gone.csv", 5),
        (out, 5),
        (out / "a.csv", 6),
    ):
        with pytest.raises(NotPossibleError):
            desk.file(task_with({"path": str(path), "bytes": size}), 0)
    for odd in ({}, {"path": "x\0y", "bytes": 5}, {"path": 7, "bytes": 5}):
        with pytest.raises(NotPossibleError):
            desk.file(task_with(odd), 0)
