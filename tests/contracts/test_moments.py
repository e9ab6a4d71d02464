"""The room at any moment is what the plain rule makes of the events until then, however they came."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from task_events import BEGIN, events_about

from orakul.errors import InvalidQueryError
from orakul.events import Event
from orakul.journals.postgres import Connections, PostgresJournal, PostgresMoments
from orakul.tasks import Status, Task, TaskQuery
from orakul.tasks.moments import Moment, Turn
from orakul.tasks.projection import project
from orakul.tasks.storable import json_text

_examples = count()
TASKS = ("a", "b", "ä")
NOW = datetime.now(UTC)
ENDS = ("pending", "in_progress", "in_progress", "completed", "failed", "cancelled")


@pytest.fixture
def journal(database_url: str) -> PostgresJournal:
    return PostgresJournal(Connections(database_url))


def known(task: Task) -> Task:
    """Return what a list shows of a task."""
    error = task.error and msgspec.structs.replace(task.error, traceback=None)
    # A task whose error is a traceback alone has nothing to show of it in a list.
    shown = error if error and (error.type or error.message or error.place) else None
    return msgspec.structs.replace(task, arguments=None, result=None, error=shown)


def stored(event: Event) -> Event:
    """Return the event as the journal stores it: what PostgreSQL does not take (NUL) is replaced."""
    return msgspec.structs.replace(event, data=msgspec.json.decode(json_text(event.data, 1 << 20, ordered=False)))


def then(events: Iterable[Event], at: datetime) -> dict[str, Task]:
    """Return the tasks as the plain rule makes them of the events until a moment."""
    told: dict[str, list[Event]] = {}
    for event in events:
        if event.task_id is not None and event.timestamp <= at:
            told.setdefault(event.task_id, []).append(event)
    made = {task_id: project(mine) for task_id, mine in told.items()}
    return {task_id: known(task) for task_id, task in made.items() if task is not None}


def shown(moment: Moment) -> dict[str, Task]:
    return {task.task_id: known(task) for task in moment.items}


def paged(moments: PostgresMoments, at: datetime, query: TaskQuery) -> list[Task]:
    found: list[Task] = []
    while True:
        page = moments.moment(at, query)
        assert not page.partial
        found += page.items
        if page.next is None:
            return found
        query = msgspec.structs.replace(query, cursor=page.next)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=events_about(st.sampled_from(TASKS)), order=st.randoms(use_true_random=False))
def test_a_moment_is_what_the_rule_says_of_the_events_until_then(
    journal: PostgresJournal, events: list[Event], order: random.Random
) -> None:
    example = next(_examples)
    mine = [
        msgspec.structs.replace(event, task_id=f"{example}-{event.task_id}", event_id=f"{example}-{event.event_id}")
        for event in events
    ]
    again = [*mine, *order.choices(mine, k=order.randint(0, 4))]
    order.shuffle(again)
    while again:
        size = order.randint(1, len(again))
        journal.append(again[:size])
        del again[:size]
    moments = PostgresMoments(journal.connections)
    for seconds in (-1, *sorted(order.sample(range(5), 3)), 9):
        at = BEGIN + timedelta(seconds=seconds)
        expected = then(map(stored, mine), at)
        found = moments.moment(at, TaskQuery(search=f"{example}-", limit=500))
        assert not found.partial
        assert shown(found) == expected
        assert found.counts is not None
        assert {each.status: each.count for each in found.counts if each.count} == Counter(
            task.status for task in expected.values()
        )
        wanted = (order.choice(list(Status)), order.choice(list(Status)))
        of_status = paged(moments, at, TaskQuery(search=f"{example}-", status=wanted, limit=1))
        assert {task.task_id for task in of_status} == {
            task_id for task_id, task in expected.items() if task.status in wanted
        }


def life_of_a_house(order: random.Random, tasks: int) -> list[Event]:
    """Return events of tasks over a week: short and long lives, retries, redeliveries, losses, some that never end."""
    found = []
    for number in range(tasks):
        at = NOW - timedelta(days=7) * order.random()
        kind, owner = order.choice(("celery", "export")), order.choice(("7", "8"))
        base = {"kind": kind, "name": f"name {order.randint(0, 4)}", "queue": order.choice(("mail", "slow"))}
        attempt, run = 1, 0
        steps: list[tuple[str, dict[str, Any]]] = [("pending", {})]
        for _ in range(order.randint(0, 5)):
            end = order.choice(ENDS)
            stage = order.choice((None, None, "lost")) if end == "failed" else None
            steps.append((end, {"stage": stage} if stage else {}))
        for place, (status, data) in enumerate(steps):
            if status == "pending" and place:
                attempt += 1
            if order.random() < 0.05:
                run = 1_772_000_000_000 + place
            if order.random() < 0.1:
                base["queue"] = order.choice(("mail", "slow", "other"))
            found.append(
                Event(
                    event_type=f"task.{status}",
                    event_id=f"e{number:05d}-{place}",
                    task_id=f"t{number:05d}",
                    user_id=owner,
                    timestamp=at,
                    data={**base, **data, "attempt": attempt, "run": run},
                )
            )
            at += timedelta(seconds=order.choice((0, 0.2, 3, 40, 600, 5_000, 90_000)) * order.random())
    return found


@pytest.fixture(scope="module")
def house(postgres: Any, migrated_template: str) -> Any:
    """A journal of a week, told in another order and partly twice, and its events."""
    name = f"{migrated_template}_moments"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_template}"')  # type: ignore[arg-type]
    order = random.Random(11)  # noqa: S311 (no secret)
    events = life_of_a_house(order, 800)
    for number, queue in enumerate(("mail", "*", "slow", "mail", "*", "slow", "mail", "slow")):
        kind = "queue.resumed" if number in {3, 4, 7} else "queue.paused"
        at = NOW - timedelta(days=6 - number * 0.7)
        data = {"queue": queue, "reason": f"reason {number}"} if queue != "*" else {}
        events.append(Event(event_type=kind, event_id=f"q{number}", user_id="1", timestamp=at, data=data))
    told = [*events, *order.choices(events, k=300)]
    order.shuffle(told)
    with Connections(psycopg.conninfo.make_conninfo(postgres.url, dbname=name)) as connections:
        journal = PostgresJournal(connections)
        for start in range(0, len(told), 200):
            journal.append(told[start : start + 200])
        journal.maintain()
        yield PostgresMoments(connections), events
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')  # type: ignore[arg-type]


def moments_of(events: Sequence[Event], order: random.Random, number: int) -> list[datetime]:
    """Return random moments, half of them exactly those of events."""
    times = [event.timestamp for event in order.sample(list(events), number // 2)]
    return times + [NOW - timedelta(days=7.1) * order.random() for _ in range(number - number // 2)]


def test_at_random_moments_of_a_week_the_room_is_what_its_events_say(house: Any) -> None:
    moments, events = house
    order = random.Random(12)  # noqa: S311 (no secret)
    for at in moments_of(events, order, 16):
        expected = then(events, at)
        found = moments.moment(at, TaskQuery(limit=500))
        assert not found.partial
        assert {count.status: count.count for count in found.counts} == {
            status: sum(task.status is status for task in expected.values()) for status in Status
        }
        newest = sorted(expected.values(), key=lambda task: (task.created_at, task.task_id), reverse=True)
        assert [known(task) for task in found.items] == newest[:500]
        waiting = Counter(task.queue for task in expected.values() if task.status is Status.PENDING)
        running = Counter(task.queue for task in expected.values() if task.status is Status.IN_PROGRESS)
        pauses: dict[str, Event] = {}
        for event in sorted(events, key=lambda event: event.timestamp):
            if event.event_type.startswith("queue.") and event.timestamp <= at:
                pauses[event.data.get("queue", "*")] = event
        paused = {queue: event for queue, event in pauses.items() if event.event_type == "queue.paused"}
        assert {each.queue: (each.pending, each.in_progress) for each in found.queues} == {
            queue: (waiting[queue], running[queue]) for queue in {*waiting, *running, *paused}
        }
        for each in found.queues:
            said = paused.get(each.queue) or paused.get("*")
            assert each.paused is (said is not None)
            assert (each.paused_at, each.reason) == (
                (said.timestamp, said.data.get("reason")) if said else (None, None)
            )


@pytest.mark.parametrize("sort", ["-created_at", "created_at", "name", "-kind", "task_id"])
def test_pages_of_a_moment_have_each_task_once_in_order(house: Any, sort: str) -> None:
    moments, events = house
    order = random.Random(sort)  # noqa: S311 (no secret)
    [at] = moments_of(events, order, 1)
    expected = then(events, at)
    wanted = order.sample(list(Status), 3)
    found = paged(moments, at, TaskQuery(sort=sort, status=wanted, limit=37))
    column = sort.removeprefix("-")
    columns = {"created_at": ("created_at",), "task_id": ()}.get(column, (column, "created_at"))
    keys = [(*(getattr(task, each) for each in columns), task.task_id) for task in found]
    assert keys == sorted(keys, reverse=sort.startswith("-"))
    assert len(keys) == len(set(keys))
    assert {task.task_id for task in found} == {key for key, task in expected.items() if task.status in wanted}


def test_an_owner_looks_back_at_their_own_tasks_only(house: Any) -> None:
    moments, events = house
    order = random.Random(13)  # noqa: S311 (no secret)
    for at in moments_of(events, order, 4):
        expected = {key: task for key, task in then(events, at).items() if task.user_id == "7"}
        found = moments.moment(at, TaskQuery(owner="7", limit=500))
        assert shown(found) == expected
        assert sum(each.count for each in found.counts) == len(expected)
        open_then = sum(task.status in {Status.PENDING, Status.IN_PROGRESS} for task in expected.values())
        assert sum(each.pending + each.in_progress for each in found.queues) == open_then
        told = played(moments, at, at + timedelta(hours=30), TaskQuery(owner="7", limit=50))
        assert {turn.user_id for turn in told if turn.task_id} <= {"7"}


def played(moments: PostgresMoments, since: datetime, until: datetime, query: TaskQuery) -> list[Turn]:
    found: list[Turn] = []
    while True:
        page = moments.turns(since, until, query)
        assert not page.partial
        assert len(page.items) <= query.limit
        found += page.items
        if page.next is None:
            return found
        query = msgspec.structs.replace(query, cursor=page.next)


@pytest.mark.parametrize("filters", [{}, {"owner": "8"}, {"kind": ["export"]}], ids=str)
def test_played_forward_one_moment_becomes_the_other(house: Any, filters: dict[str, Any]) -> None:
    moments, events = house
    order = random.Random(14)  # noqa: S311 (no secret)
    for _ in range(3):
        since, until = sorted(moments_of(events, order, 2))
        query = TaskQuery(limit=order.choice((7, 100, 1_000)), **filters)
        turns = played(moments, since, until, query)
        assert [turn.at for turn in turns] == sorted(turn.at for turn in turns)

        def fits(task: Task) -> bool:
            return ("owner" not in filters or task.user_id == "8") and ("kind" not in filters or task.kind == "export")

        state = {key: task.status for key, task in then(events, since).items() if fits(task)}
        for turn in turns:
            if turn.task_id is not None and turn.status is not None:
                assert state.get(turn.task_id) == turn.previous
                state[turn.task_id] = turn.status
        assert state == {key: task.status for key, task in then(events, until).items() if fits(task)}
        if not filters:
            assert [turn.seq for turn in turns if turn.paused is not None] == [
                turn.seq for turn in turns if turn.task_id is None
            ]
            told = sum(e.event_type.startswith("queue.") and since < e.timestamp <= until for e in events)
            assert sum(turn.paused is not None for turn in turns) == told


def test_the_range_goes_from_the_first_task_to_the_last_change(house: Any) -> None:
    moments, events = house
    of_tasks = [event for event in events if event.task_id]
    found = moments.range()
    assert found.oldest == min(event.timestamp for event in of_tasks)
    assert found.newest > found.oldest
    mine = moments.range(owner="7")
    assert mine.oldest == min(event.timestamp for event in of_tasks if event.user_id == "7")
    assert moments.range(owner="nobody").oldest is None


def test_what_cannot_be_asked_is_said(house: Any) -> None:
    moments, _ = house
    with pytest.raises(InvalidQueryError, match="sort a moment"):
        moments.moment(NOW, TaskQuery(sort="finished_at"))
    with pytest.raises(InvalidQueryError, match="before"):
        moments.turns(NOW, NOW, TaskQuery())
    with pytest.raises(InvalidQueryError, match="cursor"):
        moments.turns(NOW - timedelta(days=1), NOW, TaskQuery(cursor="nonsense"))
