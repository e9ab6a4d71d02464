"""Retention: what is old goes whole, what is open or young stays."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner
from web_world import World

from orakul.cli import app
from orakul.events import Event
from orakul.journals.postgres import Connections, PostgresJournal, PostgresReader, PostgresRetention, retention
from orakul.journals.postgres.retention import forget
from orakul.tasks import TaskQuery
from orakul.tasks.retention import Rules, RulesChange

NOW = datetime.now(UTC)


def told(task_id: str, event_type: str, days_ago: float) -> Event:
    return Event(
        event_type=event_type,
        task_id=task_id,
        timestamp=NOW - timedelta(days=days_ago),
        data={"kind": "celery", "name": "work", "attempt": 1, "run": 0, "level": "info", "logger": "l", "message": "m"},
    )


def test_old_days_go_with_their_ended_tasks_and_open_and_young_ones_stay(database_url: str) -> None:
    with Connections(database_url) as connections:
        journal, reader = PostgresJournal(connections), PostgresReader(connections)
        for task_id, days_ago in (("old", 40), ("young", 3)):
            journal.append([told(task_id, kind, days_ago) for kind in ("task.pending", "task.log", "task.completed")])
        journal.append([told("waiting", "task.pending", 40)])
        journal.maintain()
        with connections.open("write") as raw:
            days = raw.execute("SELECT count(*) FROM pg_class WHERE relname ~ '^events_[0-9]{8}$'").fetchone()

        assert forget(connections, events_days=30, logs_days=14) >= 1
        assert forget(connections, events_days=30, logs_days=14) == 0

        assert {task.task_id for task in reader.tasks(TaskQuery()).items} == {"young", "waiting"}
        assert [change.status for change in reader.history("young").items] == ["pending", "completed"]
        assert len(reader.logs("young").items) == 1
        assert [change.status for change in reader.history("waiting").items] == ["pending"]
        with connections.open("write") as raw:
            left = raw.execute("SELECT count(*) FROM pg_class WHERE relname ~ '^events_[0-9]{8}$'").fetchone()
        assert days is not None
        assert left is not None
        assert 0 < left[0] < days[0]


def test_logs_may_go_before_events(database_url: str) -> None:
    with Connections(database_url) as connections:
        journal, reader = PostgresJournal(connections), PostgresReader(connections)
        journal.append([told("t", kind, 3) for kind in ("task.pending", "task.log", "task.completed")])
        journal.maintain()
        forget(connections, events_days=30, logs_days=1)
        assert len(reader.history("t").items) == 2
        assert reader.logs("t").items == []


def rules(**days: Any) -> Rules:
    return Rules(**{"tasks_days": 30, "events_days": 30, "logs_days": 14, **days})


@pytest.fixture
def house(database_url: str) -> Iterator[tuple[Connections, PostgresJournal, PostgresReader]]:
    with Connections(database_url) as connections:
        yield connections, PostgresJournal(connections), PostgresReader(connections)


House = tuple[Connections, PostgresJournal, PostgresReader]


def test_tasks_go_by_kind(house: House) -> None:
    connections, journal, reader = house
    for kind, days_ago in (("export", 20), ("export", 3), ("celery", 20), ("celery", 8), ("operation", 8)):
        name = f"{kind}-{days_ago}"
        for event in (told(name, "task.pending", days_ago), told(name, "task.completed", days_ago)):
            journal.append([msgspec.structs.replace(event, data={**event.data, "kind": kind})])
    kept = PostgresRetention(connections, rules(tasks_days=10, kinds={"export": 365, "operation": 7}))
    going = {(each.kind, each.count) for each in kept.preview().items if each.what == "tasks"}
    kept.forget()
    left = {task.task_id for task in reader.tasks(TaskQuery()).items}
    assert left == {"export-20", "export-3", "celery-8"}
    assert going == {("celery", 1), ("operation", 1)}
    assert [each for each in kept.preview().items if each.what == "tasks"] == []


def test_what_runs_keeps_its_events_and_its_log_until_it_ends(house: House) -> None:
    connections, journal, reader = house
    for task_id in ("long", "done"):
        journal.append([told(task_id, kind, 40) for kind in ("task.pending", "task.in_progress", "task.log")])
    journal.append([told("done", "task.completed", 40)])
    child = told("child", "task.completed", 40)
    journal.append([msgspec.structs.replace(child, data={**child.data, "parent_id": "long", "root_id": "long"})])
    journal.maintain()
    kept = PostgresRetention(connections, rules())
    held = {each.what: each.held for each in kept.preview().items if each.what != "tasks"}
    assert held == {"events": 1, "logs": 1}

    for _ in range(2):  # again and again: a day of its own is made for what is held, and stays
        kept.forget()
        journal.maintain()
        assert {task.task_id for task in reader.tasks(TaskQuery()).items} == {"long", "child"}
        assert [change.status for change in reader.history("long").items] == ["pending", "in_progress"]
        assert [line.message for line in reader.logs("long").items] == ["m"]
    with connections.open("write") as raw:
        events = raw.execute("SELECT count(*) FROM orakul.events").fetchone()
    assert events == (2,)

    journal.append([told("long", "task.completed", 35)])
    kept.forget()
    assert reader.tasks(TaskQuery()).items == []
    with connections.open("write") as raw:
        assert raw.execute("SELECT count(*) FROM orakul.events").fetchone() == (0,)
        assert raw.execute("SELECT count(*) FROM orakul.logs").fetchone() == (0,)


def test_what_is_said_of_a_task_that_goes_at_that_moment_is_not_lost(house: House) -> None:
    """Each task is tried again while it is let go: it is there afterwards, pending, whichever came first."""
    connections, journal, reader = house
    ids = [f"t{number:04}" for number in range(1_500)]
    for first in range(0, len(ids), 500):
        journal.append([told(task_id, "task.failed", 40) for task_id in ids[first : first + 500]])
    kept = PostgresRetention(connections, rules())
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(kept.forget)
        for first in range(0, len(ids), 10):
            again = [told(task_id, "task.pending", 0) for task_id in ids[first : first + 10]]
            journal.append([msgspec.structs.replace(each, data={**each.data, "attempt": 2}) for each in again])
        going.result()
    kept.forget()
    left, cursor = {}, None
    while page := reader.tasks(TaskQuery(limit=500, cursor=cursor)):
        left.update({task.task_id: (task.status, task.attempt) for task in page.items})
        if (cursor := page.next) is None:
            break
    assert left == dict.fromkeys(ids, ("pending", 2))


def test_rules_set_in_the_control_room_stand_above_the_settings(house: House) -> None:
    connections, _, _ = house
    kept = PostgresRetention(connections, rules(kinds={"export": 90}))
    assert (kept.rules().events_days, kept.rules().changed_by) == (30, None)
    changed = kept.change(RulesChange(events_days=7, kinds={"celery": 3}), "ada")
    assert (changed.events_days, changed.logs_days, changed.kinds) == (7, 14, {"export": 90, "celery": 3})
    assert changed.changed_by == "ada"
    assert kept.change(RulesChange(), "ada") == rules(kinds={"export": 90})


def test_a_preview_by_other_rules_changes_nothing_and_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    connections, journal, reader = house
    journal.append([told(f"t{number}", "task.completed", 5 + number % 2) for number in range(30)])
    journal.maintain()
    kept = PostgresRetention(connections, rules())
    assert kept.preview().items == []
    found = kept.preview(RulesChange(tasks_days=1, events_days=2))
    assert sorted((each.what, each.count) for each in found.items if each.what == "tasks") == [("tasks", 15)] * 2
    assert sum(each.what == "events" for each in found.items) == 2
    assert not found.partial
    monkeypatch.setattr(retention, "_COUNT_TIMES", ((1_000, 10),))
    cut = kept.preview(RulesChange(tasks_days=1))
    assert cut.partial
    assert sum(each.count for each in cut.items) == 10
    assert len(reader.tasks(TaskQuery(limit=100)).items) == 30


def test_it_is_changed_by_administrators_and_stands_in_the_audit(database_url: str) -> None:
    world = World.on(database_url)
    admin = world.client("admin")
    answer = admin("PUT", "/api/retention", json={"events_days": 60, "kinds": {"export": 365}, "reason": "the law"})
    assert answer.status_code == 200
    assert world.client("viewer")("GET", "/api/retention").json()["events_days"] == 60
    assert admin("PUT", "/api/retention", json={"events_days": 0}).status_code == 422
    assert admin("GET", "/api/retention/preview?kinds=export").status_code == 422
    assert admin("GET", "/api/retention/preview?kinds=export=2&tasks_days=4").json()["rules"]["kinds"] == {"export": 2}
    [entry] = admin("GET", "/api/audit?type=retention.changed").json()["items"]
    assert (entry["author"], entry["reason"], entry["result"]) == ("1", "the law", "changed")
    world.connections.close()


def test_the_command_line_shows_what_is_kept_and_what_would_go(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORAKUL_DATABASE_URL", database_url)
    monkeypatch.setenv("ORAKUL_RETENTION_KINDS", "export=365")
    with Connections(database_url) as connections:
        journal = PostgresJournal(connections)
        journal.append([told("old", "task.completed", 40)])
        journal.maintain()

    def run(*words: str) -> str:
        return str(CliRunner().invoke(app, ["db", "retention", "--data", str(tmp_path), *words]).output)

    assert "ended tasks of export" in run()
    assert "365 days" in run()
    shown = run("--preview")
    assert "celery" in shown
    assert "events" in shown
    assert "dropped 1 days" in run("--now")
    assert "nothing is past its retention" in run("--preview")
