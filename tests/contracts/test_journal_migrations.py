"""The tables are made once, by whoever comes first, and their partitions are there before they are needed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from orakul.errors import JournalUnavailableError
from orakul.events import Event
from orakul.journals.postgres import PostgresJournal, PostgresReader
from orakul.journals.postgres.migrations import maintain, status, upgrade


def partitions(url: str, parent: str = "events") -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", (f"orakul.{parent}",)
        ).fetchall()
    return {row[0].removeprefix("orakul.") for row in rows}


def test_status_tells_what_is_missing_and_upgrade_brings_it(empty_database_url: str) -> None:
    before = status(empty_database_url)
    assert (before.current, before.pending[-1]) == (None, before.head)
    after = upgrade(empty_database_url)
    assert (after.current, after.pending) == (after.head, [])
    assert upgrade(empty_database_url) == status(empty_database_url) == after


def test_upgrades_at_once_do_not_meet(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(upgrade, [empty_database_url] * 4))
    assert {state.current for state in found} == {found[0].head}


def test_a_users_own_tables_are_left_alone(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE tasks (mine text)")
        connection.execute("CREATE TABLE alembic_version (version_num text)")
        upgrade(empty_database_url)
        assert connection.execute("SELECT count(*) FROM public.tasks").fetchone() == (0,)
        PostgresJournal(empty_database_url).append([Event(event_type="task.pending", task_id="t")])
        assert connection.execute("SELECT count(*) FROM public.tasks").fetchone() == (0,)


def test_partitions_are_made_ahead_for_events_and_logs(database_url: str) -> None:
    days = {f"_{datetime.now(UTC) + timedelta(days=day):%Y%m%d}" for day in range(-1, 8)}
    for parent in ("events", "logs"):
        assert partitions(database_url, parent) >= {parent + day for day in days} | {f"{parent}_rest"}


def test_events_of_a_day_without_a_partition_get_one_later(database_url: str) -> None:
    journal, reader = PostgresJournal(database_url), PostgresReader(database_url)
    late = datetime.now(UTC) - timedelta(days=20)
    journal.append(
        [Event(event_type="task.log", task_id="t", timestamp=late), Event(event_type="late", timestamp=late)]
    )
    name = f"events_{late:%Y%m%d}"
    assert name not in partitions(database_url)
    assert maintain(database_url) == 2
    assert maintain(database_url) == 0
    assert name in partitions(database_url)
    assert [stored.event.event_type for stored in reader.events().items] == ["late"]
    assert journal.append([Event(event_type="task.pending", task_id="t", timestamp=late)]) > 0


def test_a_journal_that_nobody_maintains_makes_todays_partition_itself(database_url: str) -> None:
    today = f"events_{datetime.now(UTC):%Y%m%d}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"DROP TABLE orakul.{today}")  # type: ignore[arg-type]  # a name of ours
    PostgresJournal(database_url).append([Event(event_type="x")])
    assert today in partitions(database_url)


def test_a_database_that_does_not_answer_is_named(tmp_path: object) -> None:
    with pytest.raises(JournalUnavailableError, match="does not answer"):
        upgrade(f"postgresql:///x?host={tmp_path}&port=5999")
