"""The reader pages through everything once, shows an owner nothing of others, and tells a true history."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orakul.errors import InvalidQueryError, TaskNotFoundError
from orakul.events import Event
from orakul.journals.postgres import Connections, PostgresJournal, PostgresReader
from orakul.journals.postgres.paging import SORTS
from orakul.tasks.reader import TaskQuery
from orakul.tasks.status import Status
from orakul.tasks.task import Task

BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture
def journal(database_url: str) -> PostgresJournal:
    return PostgresJournal(Connections(database_url))


@pytest.fixture
def reader(journal: PostgresJournal) -> PostgresReader:
    return PostgresReader(journal.connections)


def about(task_id: str, event_type: str, seconds: float, user_id: str | None = None, **data: Any) -> Event:
    moment = BEGIN + timedelta(seconds=seconds)
    return Event(event_type=f"task.{event_type}", task_id=task_id, user_id=user_id, timestamp=moment, data=data)


def fill(journal: PostgresJournal, count: int = 60) -> None:
    """Store tasks of which many share their times, names, users, queues, and some have none."""
    for number in range(count):
        task_id = f"{number * 37 % 256:02x}-{number}"
        common = {"name": f"shop.{'abc'[number % 3]}", "kind": ("celery", "export")[number % 2]}
        owner, queue = (None, "7", "8", "70")[number % 4], (None, "mail", "Mail")[number % 3]
        events = [about(task_id, "pending", number // 5, owner, queue=queue, **common)]
        if number % 3:
            events.append(about(task_id, "in_progress", 10 + number // 7, worker="w"))
        if number % 3 == 2:
            ending = ("completed", "failed", "cancelled")[number // 3 % 3]
            events.append(about(task_id, ending, 20 + number // 9, error={"type": "E"} if ending == "failed" else None))
        journal.append(events)


def everything(reader: PostgresReader, limit: int = 7, **wanted: Any) -> list[Task]:
    found: list[Task] = []
    cursor = None
    for _ in itertools.count():
        page = reader.tasks(TaskQuery(limit=limit, cursor=cursor, **wanted))
        found += page.items
        cursor = page.next
        if cursor is None:
            return found
    raise AssertionError


# --- the list ---


def test_every_sort_pages_through_everything_once_and_puts_missing_values_last(
    journal: PostgresJournal, reader: PostgresReader
) -> None:
    fill(journal)
    for column, direction in itertools.product(SORTS, ("", "-")):
        tasks = everything(reader, sort=direction + column)
        assert len({task.task_id for task in tasks}) == len(tasks) == 60, (direction, column)
        values = [getattr(task, column) for task in tasks]
        there = [value for value in values if value is not None]
        assert values == [*sorted(there, reverse=bool(direction)), *[None] * (60 - len(there))]


def test_a_page_does_not_shift_when_tasks_come_in_above_it(journal: PostgresJournal, reader: PostgresReader) -> None:
    fill(journal)
    first = reader.tasks(TaskQuery(limit=10))
    before = reader.tasks(TaskQuery(limit=10, cursor=first.next)).items
    journal.append([about(f"new-{number}", "pending", 1_000 + number) for number in range(5)])
    assert reader.tasks(TaskQuery(limit=10, cursor=first.next)).items == before


_FILTERS: list[tuple[dict[str, Any], Any]] = [
    ({"status": (Status.FAILED,)}, lambda task: task.status == "failed"),
    ({"status": (Status.PENDING, Status.CANCELLED)}, lambda task: task.status in ("pending", "cancelled")),
    ({"status": tuple(Status)}, lambda _: True),
    ({"name": "shop.a"}, lambda task: task.name == "shop.a"),
    ({"name": "shop.*"}, lambda _: True),
    ({"name": "shop"}, lambda _: False),
    ({"user": "7"}, lambda task: task.user_id == "7"),
    ({"user": "7*"}, lambda task: task.user_id in ("7", "70")),
    ({"kind": ("export",)}, lambda task: task.kind == "export"),
    ({"kind": ("export", "celery"), "queue": ("mail", "Mail")}, lambda task: task.queue),
    (
        {"queue": ("mail",), "status": (Status.COMPLETED, Status.FAILED)},
        lambda task: task.queue == "mail" and task.finished_at and task.status != "cancelled",
    ),
    ({"search": "0"}, lambda task: task.task_id.startswith("0")),
    ({"search": "00-0"}, lambda task: task.task_id == "00-0"),
    ({"owner": "8"}, lambda task: task.user_id == "8"),
    ({"owner": "8", "user": "7"}, lambda _: False),
    ({"search": "%"}, lambda _: False),
    ({"name": "'; DROP TABLE tasks; --"}, lambda _: False),
    ({"name": "\x00\ud800"}, lambda _: False),
]


@pytest.mark.parametrize("number", range(len(_FILTERS)))
def test_a_filter_gives_what_fits_it_in_every_sort(
    journal: PostgresJournal, reader: PostgresReader, number: int
) -> None:
    wanted, fits = _FILTERS[number]
    fill(journal)
    expected = {task.task_id for task in everything(reader, 500) if fits(task)}
    for sort in ("-created_at", "name", "-finished_at", "task_id"):
        found = [task.task_id for task in everything(reader, 4, sort=sort, **wanted)]
        assert len(found) == len(set(found))
        assert set(found) == expected


@pytest.mark.parametrize(
    "wanted",
    [
        {"sort": "result"},
        {"sort": "--name"},
        {"limit": 0},
        {"limit": 501},
        {"cursor": "!"},
        {"cursor": "bm9wZQ"},
        {"cursor": "eyJzb3J0IjoibmFtZSIsInZhbHVlcyI6W119"},
        {"status": ("done",)},
    ],
)
def test_what_cannot_be_asked_is_refused(reader: PostgresReader, wanted: dict[str, Any]) -> None:
    with pytest.raises(InvalidQueryError):
        reader.tasks(TaskQuery(**wanted))


def test_a_cursor_belongs_to_its_sort(journal: PostgresJournal, reader: PostgresReader) -> None:
    fill(journal)
    cursor = reader.tasks(TaskQuery(sort="name", limit=5)).next
    with pytest.raises(InvalidQueryError, match="belongs to sort=name"):
        reader.tasks(TaskQuery(sort="-name", limit=5, cursor=cursor))


# --- one task ---


def test_lists_leave_out_what_is_large_and_the_task_has_it(journal: PostgresJournal, reader: PostgresReader) -> None:
    error = {"type": "E", "message": "m", "traceback": "tb", "place": "f.py:1 g"}
    journal.append([about("t", "pending", 0, arguments={"args": [1]}), about("t", "failed", 1, error=error, result=3)])
    task, (listed,) = reader.task("t"), reader.tasks(TaskQuery()).items
    assert (task.arguments, task.result) == ({"args": [1]}, 3)
    assert task.error is not None
    assert (task.error.traceback, task.error.place) == ("tb", "f.py:1 g")
    assert (listed.arguments, listed.result) == (None, None)
    assert listed.error is not None
    assert (listed.error.type, listed.error.message, listed.error.traceback) == ("E", "m", None)


def test_another_users_task_does_not_exist(journal: PostgresJournal, reader: PostgresReader) -> None:
    journal.append([about("t", "pending", 0, "7"), about("nobodys", "pending", 0), about("t", "log", 1)])
    for task_id, owner in (("t", "8"), ("nobodys", "8"), ("nobodys", ""), ("none", None)):
        for call in (reader.task, reader.history, reader.logs, reader.children):
            with pytest.raises(TaskNotFoundError):
                call(task_id, owner=owner)
    for call in (reader.task, reader.history, reader.logs, reader.children):
        assert call("t", owner="7")


def test_history_tells_each_change_with_what_the_status_before_it_lasted(
    journal: PostgresJournal, reader: PostgresReader
) -> None:
    story = [
        about("t", "pending", 0, "7"),
        about("t", "in_progress", 1.2, worker="w1"),
        about("t", "progress", 2, progress={}),
        about("t", "failed", 35.7, error={"type": "E", "message": "m"}),
        about("t", "retry_requested", 60, "admin", attempt=2, reason="again, please"),
        about("t", "pending", 60, attempt=2, author="admin"),
        about("t", "in_progress", 61, attempt=2, worker="w2"),
        about("t", "cancel_requested", 70, "admin", attempt=2),
        about("t", "cancelled", 71.5, attempt=2),
    ]
    journal.append(story[::-1])
    journal.append(
        [story[3], about("t", "failed", 36, error={"type": "E"}), about("t", "in_progress", 500, worker="w1")]
    )
    told = [(change.status or change.event_type, change.duration_ms) for change in reader.history("t").items]
    assert told == [
        ("pending", None),
        ("in_progress", 1200),
        ("failed", 34800),
        ("task.retry_requested", None),
        ("pending", 24000),
        ("in_progress", 1000),
        ("task.cancel_requested", None),
        ("cancelled", 10500),
    ]
    changes = {(change.event_type, change.attempt): change for change in reader.history("t").items}
    assert (changes["task.retry_requested", 2].author, changes["task.retry_requested", 2].reason) == (
        "admin",
        "again, please",
    )
    assert changes["task.in_progress", 1].worker == "w1"
    assert changes["task.in_progress", 1].previous is Status.PENDING
    assert all(change.duration_ms is None or change.duration_ms >= 0 for change in changes.values())


def test_an_end_that_tells_of_its_start_is_two_changes(journal: PostgresJournal, reader: PostgresReader) -> None:
    started = (BEGIN + timedelta(seconds=1)).isoformat()
    journal.append([about("t", "failed", 4, started_at=started, error={"type": "E", "message": "m"})])
    begun, ended = reader.history("t").items
    assert (begun.event_type, begun.status, begun.error) == ("task.in_progress", Status.IN_PROGRESS, None)
    assert (ended.status, ended.previous, ended.duration_ms) == (Status.FAILED, Status.IN_PROGRESS, 3000)
    assert (begun.timestamp, ended.error is not None) == (BEGIN + timedelta(seconds=1), True)


def test_the_last_change_of_the_history_is_the_tasks_state(journal: PostgresJournal, reader: PostgresReader) -> None:
    """Also where a task was given up as lost and then reported its end, or an end came twice."""
    journal.append([about("t", "in_progress", 0), about("t", "failed", 40, stage="lost"), about("t", "completed", 30)])
    journal.append([about("u", "failed", 5), about("u", "failed", 6), about("u", "pending", 7)])
    for task_id, told in (("t", ["in_progress", "failed", "completed"]), ("u", ["pending", "failed"])):
        task, changes = reader.task(task_id), reader.history(task_id).items
        assert [change.status for change in changes] == told
        assert (changes[-1].status, changes[-1].timestamp) == (task.status, task.updated_at)


def test_children_are_the_whole_subtree_parents_first(journal: PostgresJournal, reader: PostgresReader) -> None:
    tree = {"root": None, "a": "root", "b": "root", "a1": "a", "a2": "a", "deep": "a2", "other": None, "theirs": "b"}
    for number, (task_id, parent) in enumerate(reversed(tree.items())):
        owner = "8" if task_id == "theirs" else "7"
        journal.append([about(task_id, "pending", -number, owner, parent_id=parent)])
    found = [task.task_id for task in reader.children("root").items]
    assert found == ["a", "b", "a1", "a2", "theirs", "deep"]
    assert "theirs" not in [task.task_id for task in reader.children("root", owner="7").items]


def test_a_circle_of_parents_ends(journal: PostgresJournal, reader: PostgresReader) -> None:
    journal.append([about("a", "pending", 0, parent_id="b"), about("b", "pending", 0, parent_id="a")])
    journal.append([about("own", "pending", 0, parent_id="own")])
    assert [task.task_id for task in reader.children("a").items] == ["b"]
    assert reader.children("own").items == []


# --- the figures ---


def test_the_summary_counts_for_everybody_and_for_an_owner(journal: PostgresJournal, reader: PostgresReader) -> None:
    empty = reader.summary()
    assert (empty.queued, empty.active, empty.failure_rate_24h, empty.mean_duration_24h) == (0, 0, None, None)
    for number, owner in enumerate(("7", "7", "8")):
        journal.append([about(f"p{number}", "pending", 0, owner), about(f"r{number}", "in_progress", 0, owner)])
        journal.append([about(f"c{number}", "in_progress", 0, owner), about(f"c{number}", "completed", 10 + number)])
    journal.append([about("f", "in_progress", 0, "8"), about("f", "failed", 20)])
    journal.append([about("old", "in_progress", -100_000, "8"), about("old", "failed", -90_000)])
    last = journal.append([Event(event_type="queue.paused", user_id="admin", data={"queue": "mail"})])
    everybody, seven = reader.summary(), reader.summary(owner="7")
    assert (everybody.queued, everybody.active, everybody.capped) == (3, 3, False)
    assert everybody.failure_rate_24h == pytest.approx(0.25)
    assert everybody.mean_duration_24h == pytest.approx((10 + 11 + 12 + 20) / 4)
    assert [queue.queue for queue in everybody.paused_queues] == ["mail"]
    assert everybody.seq == last
    assert (seven.queued, seven.active, seven.failure_rate_24h) == (2, 2, 0.0)
    assert seven.mean_duration_24h == pytest.approx(10.5)
    journal.append([about("f", "pending", 30, attempt=2)])
    assert reader.summary(owner="8").failure_rate_24h == 0.0


def test_counts_are_bounded_and_say_so(journal: PostgresJournal, reader: PostgresReader) -> None:
    for part in range(11):
        journal.append([about(f"{part}-{number}", "pending", 0, "7") for number in range(1_000)])
    for summary in (reader.summary(), reader.summary(owner="7")):
        assert (summary.queued, summary.capped) == (10_000, True)
    assert reader.summary(owner="8").capped is False


def test_events_are_found_by_pattern_in_the_order_of_seq(journal: PostgresJournal, reader: PostgresReader) -> None:
    for number in range(4):
        journal.append([Event(event_type="queue.paused", data={"queue": f"q{number}"}), about("t", "pending", number)])
    page = reader.events(types=["queue.*", "nothing"], limit=3)
    assert [stored.event.data["queue"] for stored in page.items] == ["q0", "q1", "q2"]
    rest = reader.events(types=["queue.*"], after=int(page.next or 0))
    assert [stored.event.data["queue"] for stored in rest.items] == ["q3"]
    assert rest.next is None
    assert len(reader.events(types=["*"]).items) == len(reader.events().items) == 8
    assert reader.events(types=["x.*"]).items == []
    with pytest.raises(InvalidQueryError):
        reader.events(after=-1)


def test_names_and_queues_are_suggested_from_what_was_seen(journal: PostgresJournal, reader: PostgresReader) -> None:
    fill(journal)
    journal.append([Event(event_type="queue.paused", user_id="admin", data={"queue": "new"})])
    journal.append([Event(event_type="worker.online", data={"worker": "w", "queues": ["idle"]})])
    assert reader.names() == reader.names("shop.") == ["shop.a", "shop.b", "shop.c"]
    assert reader.names("shop.", limit=2) == ["shop.a", "shop.b"]
    assert reader.names("x") == reader.names(owner="none") == []
    assert reader.names("shop.b", owner="7") == ["shop.b"]
    queues = {queue["queue"]: queue for queue in reader.queues()}
    assert list(queues) == ["Mail", "idle", "mail", "new"]
    assert (queues["new"]["paused"], queues["new"]["paused_by"], queues["mail"]["paused"]) == (True, "admin", False)
    assert queues["mail"]["in_progress"] == 20
    journal.append([Event(event_type="queue.paused", user_id="admin")])
    assert all(queue["paused"] for queue in reader.queues())
