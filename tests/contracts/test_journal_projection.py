"""The journal's SQL and the plain rule give the same task, whatever the order, the repetition and the batches."""

import random
from itertools import count

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from task_events import events_about

from orakul.errors import TaskNotFoundError
from orakul.events import Event
from orakul.journals.postgres import Connections, PostgresJournal, PostgresReader
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
@given(events=events_about(st.sampled_from(TASKS)), order=st.randoms(use_true_random=False))
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
