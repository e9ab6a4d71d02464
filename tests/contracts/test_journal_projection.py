"""The journal's SQL and the plain rule give the same task, whatever the order, the repetition and the batches."""

import random
import threading
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from task_events import BEGIN, events_about

from orakul.errors import TaskNotFoundError
from orakul.events import Event
from orakul.journals.postgres import Connections, PostgresJournal, PostgresReader
from orakul.journals.postgres.append import _call
from orakul.journals.postgres.batch import Batch
from orakul.journals.postgres.fresh import store
from orakul.tasks.projection import project
from orakul.tasks.task import Task

_examples = count()
TASKS = ("a", "b", "ä")


def renamed(event: Event, example: int) -> Event:
    """Return the event as one of this example's own: tasks and ids that no other example has."""
    return msgspec.structs.replace(event, task_id=f"{example}-{event.task_id}", event_id=f"{example}-{event.event_id}")


def stored(reader: PostgresReader, task_id: str) -> Task | None:
    try:
        return reader.task(task_id)
    except TaskNotFoundError:
        return None


@pytest.fixture
def journal(database_url: str) -> PostgresJournal:
    return PostgresJournal(Connections(database_url))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=events_about(st.sampled_from(TASKS), starts=True), order=st.randoms(use_true_random=False))
def test_a_row_is_what_the_rule_says(journal: PostgresJournal, events: list[Event], order: random.Random) -> None:
    example = next(_examples)
    mine = [renamed(event, example) for event in events]
    again = [*mine, *order.choices(mine, k=order.randint(0, 4))]
    order.shuffle(again)
    while again:
        size = order.randint(1, len(again))
        journal.append(again[:size])
        del again[:size]
    reader = PostgresReader(journal.connections)
    for name in TASKS:
        task_id = f"{example}-{name}"
        assert stored(reader, task_id) == project([event for event in mine if event.task_id == task_id])


def test_the_minutes_of_the_last_day_agree_with_the_tasks(journal: PostgresJournal, database_url: str) -> None:
    """What ended is counted by what the appends change: it must come to what a count of the rows comes to."""
    order = random.Random(4)  # noqa: S311 (no secret)
    tasks = [f"t{number}" for number in range(40)]
    ends = ("pending", "in_progress", "in_progress", "completed", "failed", "failed", "cancelled")
    for number in range(100):
        events = [
            Event(
                event_type=f"task.{order.choice(ends)}",
                task_id=(task_id := order.choice(tasks)),
                event_id=f"e{number}-{place}",
                user_id=order.choice((None, "7" if int(task_id[1:]) % 2 else "8")),
                data={
                    "attempt": order.randint(1, 1 + number // 10),
                    "stage": order.choice((None, "lost", "before_start")),
                },
            )
            for place in range(order.randint(1, 8))
        ]
        journal.append(events)
        journal.append(events[:2])
    ended = "FROM orakul.tasks WHERE status IN ('completed', 'failed')"
    sums = (
        "SELECT sum(completed), sum(failed), sum(timed), round(sum(micros)) FROM orakul.ended_by_minute WHERE owner = "
    )
    counts = (
        "SELECT count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),"
        " count(started_at),"
        " coalesce(round(sum(greatest(extract(epoch FROM finished_at - started_at) * 1000000, 0))), 0) "
    )
    with psycopg.connect(database_url) as connection:
        for owner in ("7", "8"):
            given_sums = connection.execute(f"{sums} %s", (owner,)).fetchone()
            assert given_sums == connection.execute(f"{counts} {ended} AND user_id = %s", (owner,)).fetchone()
        everybody = connection.execute(f"{sums} ''").fetchone()
        assert everybody is not None
        assert min(everybody) > 0
        assert everybody == connection.execute(f"{counts} {ended}").fetchone()


# What each way has stored, without what is each way's own: ids, and numbers given.
STORED = (
    "SELECT to_jsonb(t) - 'task_id' - 'event_id' - 'progress_event' FROM orakul.tasks t",
    "SELECT to_jsonb(c) - 'task_id' FROM orakul.rollup_changes c",
    "SELECT to_jsonb(e) - 'seq' - 'event_id' - 'task_id' FROM orakul.events e",
    "SELECT to_jsonb(l) - 'seq' - 'event_id' - 'task_id' FROM orakul.logs l",
)
MINUTES = "SELECT owner, minute, completed, failed, timed, micros FROM orakul.ended_by_minute"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=events_about(st.sampled_from(TASKS), starts=True))
def test_the_short_way_stores_what_the_general_way_stores(journal: PostgresJournal, events: list[Event]) -> None:
    example, shift = next(_examples), datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - BEGIN
    told = []
    with psycopg.connect(journal.connections.url, autocommit=True) as connection:
        connection.execute("LISTEN oracle_channel")
        for way in ("short", "general"):
            mark = f"{way[0]}{example}-"
            mine = Batch(
                [
                    msgspec.structs.replace(
                        event,
                        task_id=f"{mark}{event.task_id}",
                        event_id=f"{mark}{event.event_id}",
                        timestamp=event.timestamp + shift,
                    )
                    for event in events
                ]
            )
            before = minutes(connection)
            if way == "short":
                assert journal.connections.run("write", partial(store, fresh=mine.fresh()))
            else:
                journal.connections.run("write", partial(_call, parameters=mine.parameters()))
            found: list[Any] = [
                connection.execute(f"{rows} WHERE task_id LIKE %s ORDER BY task_id", (f"{mark}%",)).fetchall()
                for rows in STORED[:2]
            ]
            found += [
                connection.execute(f"{rows} WHERE event_id LIKE %s ORDER BY seq", (f"{mark}%",)).fetchall()
                for rows in STORED[2:]
            ]
            found.append({key: value for key, value in minutes(connection, before).items() if any(value)})
            notices = [msgspec.json.decode(notice.payload) for notice in connection.notifies(timeout=0.01)]
            changes = [(said["task_id"][len(mark) :], said["new_status"], said["timestamp"]) for said in notices]
            found.append(sorted(changes))
            told.append(found)
    assert told[0] == told[1]


def minutes(connection: psycopg.Connection, before: dict[Any, tuple[Any, ...]] | None = None) -> dict[Any, Any]:
    """Return what is counted by owner and minute, less what was counted before."""
    rows = {tuple(row[:2]): row[2:] for row in connection.execute(MINUTES)}
    return {
        key: tuple(now - was for now, was in zip(row, (before or {}).get(key, (0,) * 4), strict=True))
        for key, row in rows.items()
    }


def test_a_batch_of_which_anything_is_known_goes_the_general_way(journal: PostgresJournal) -> None:
    def told(number: int, status: str) -> Event:
        return Event(event_type=f"task.{status}", task_id=f"t{number}", event_id=f"{status}{number}", timestamp=BEGIN)

    def pending(first: int, last: int) -> list[Event]:
        return [told(n, "pending") for n in range(first, last)]

    assert journal.prepare(pending(0, 60)).fresh is not None
    assert journal.append(pending(0, 60)) == 60
    journal.append([told(70, "completed")])
    # Known tasks, known events, one known and sixty new: each stored once, in one order.
    journal.append(pending(0, 60))
    journal.append(pending(40, 100))
    again = [
        Event(event_type="task.failed", task_id=f"t{n}", event_id=f"f{n}", data={"started_at": "2026-03-01"})
        for n in range(200, 260)
    ]
    journal.append(again + again)
    reader = PostgresReader(journal.connections)
    assert reader.task("t70").status == "completed"
    with psycopg.connect(journal.connections.url) as connection:
        found = connection.execute(
            "SELECT count(*), count(DISTINCT event_id), count(DISTINCT seq) FROM orakul.events"
        ).fetchone()
        assert found == (161, 161, 161)
        assert connection.execute("SELECT count(*) FROM orakul.tasks").fetchone() == (160,)


def test_a_reader_misses_nothing_of_writers_that_take_the_short_way(journal: PostgresJournal) -> None:
    """The order of `seq` is the order of commits there too: who reads forward from a number gets each event once."""
    writers, batches, size = 4, 8, 60
    url = journal.connections.url

    def write(writer: int) -> None:
        door = PostgresJournal(url)
        for batch in range(batches):
            mark = f"{writer}.{batch}"
            told = [Event(event_type="task.pending", task_id=f"{mark}.{n}") for n in range(size + batch % 2)]
            assert door.prepare(told).fresh is not None
            door.append(told)
        door.close()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    found: list[int] = []
    with psycopg.connect(url, autocommit=True) as connection:
        ended = False
        while not ended:
            ended = not any(thread.is_alive() for thread in threads)  # looked at before the last look
            after = found[-1] if found else 0
            rows = connection.execute("SELECT seq FROM orakul.events WHERE seq > %s ORDER BY seq", (after,))
            found += [seq for (seq,) in rows]
        stored = connection.execute(
            "SELECT count(*), (SELECT count(*) FROM orakul.tasks) FROM orakul.events"
        ).fetchone()
    total = writers * sum(size + batch % 2 for batch in range(batches))
    assert stored == (total, total)
    assert len(found) == len(set(found)) == total
