"""Retention: what is old goes whole, what is open or young stays."""

from datetime import UTC, datetime, timedelta

from orakul.events import Event
from orakul.journals.postgres import Connections, PostgresJournal, PostgresReader
from orakul.journals.postgres.retention import forget
from orakul.tasks import TaskQuery

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
        assert reader.history("waiting").items == []
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
