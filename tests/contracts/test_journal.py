"""The journal stores each event once, whatever is in it, and routes it by its type."""

import base64
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orakul.errors import JournalUnavailableError, TaskNotFoundError, WrongStateError
from orakul.events import Event
from orakul.journals.postgres import Connections, PostgresJournal, PostgresOrders, PostgresReader
from orakul.tasks.status import Status
from orakul.tasks.task import Task


@pytest.fixture
def connections(database_url: str) -> Connections:
    return Connections(database_url)


@pytest.fixture
def journal(connections: Connections) -> PostgresJournal:
    return PostgresJournal(connections)


@pytest.fixture
def reader(connections: Connections) -> PostgresReader:
    return PostgresReader(connections)


@pytest.fixture
def orders(connections: Connections) -> PostgresOrders:
    return PostgresOrders(connections)


def about(task_id: str, event_type: str, user_id: str | int | None = None, **data: Any) -> Event:
    return Event(event_type=f"task.{event_type}", task_id=task_id, user_id=user_id, data=data)


def message(task_id: str, content: bytes, **data: Any) -> Event:
    return about(task_id, "message", sealed=base64.b64encode(content).decode(), **data)


# --- once, and in order ---


def test_an_event_is_stored_once_however_often_it_comes(journal: PostgresJournal, reader: PostgresReader) -> None:
    events = [Event(event_type="shop.sold", data={"n": n}) for n in range(5)]
    assert journal.append([*events, events[0]]) == 5
    assert journal.append(events) == 0
    assert journal.append([events[3], Event(event_type="shop.sold")]) > 5
    assert [stored.event.data.get("n") for stored in reader.events().items] == [0, 1, 2, 3, 4, None]


def test_nothing_is_a_batch_too(journal: PostgresJournal) -> None:
    assert journal.append([]) == 0


def test_an_event_comes_back_as_it_was(journal: PostgresJournal, reader: PostgresReader) -> None:
    form = {
        "event_id": "e-1",
        "event_type": "project.created",
        "data": {"id": 10**40, "deep": [{"ä": "𝄞\t\n\\u0000"}], "half": 0.1, "none": None},
        "user_id": 5,
        "timestamp": "2025-12-01T12:00:00.000001Z",
        "trace_id": "t",
        "source": "billing",
        "dataschema": {"v": 2},
    }
    event = Event.from_dict(form)
    journal.append([event, Event(event_type="x", user_id="5", timestamp=datetime(2026, 1, 1))])  # noqa: DTZ001 (naive)
    first, second = (stored.event for stored in reader.events().items)
    assert first.to_dict() == form
    assert (second.user_id, second.timestamp) == ("5", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("year", [1, 1969, 9999])
def test_an_event_of_any_day_is_stored(journal: PostgresJournal, reader: PostgresReader, year: int) -> None:
    journal.append([Event(event_type="old", timestamp=datetime(year, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))])
    assert reader.events(types=["old"]).items[0].event.timestamp.year == year


# --- what is in it ---

_ODD: list[Any] = [
    "\x00",
    "\ud800",
    float("nan"),
    float("-inf"),
    10**5000,
    "x" * 3_000_000,
    {"a" * 100_000: 1},
    [[]] * 300_000,
    {("a", 1): {1, 2}},
    object(),
    "</script><img src=x onerror=alert(1)>",
    b"\xff\x00",
]


@pytest.mark.parametrize(
    "odd", _ODD, ids=lambda odd: f"{type(odd).__name__}-{str(odd)[:5]!a}" if odd != 10**5000 else "int"
)
def test_any_value_in_any_place_is_stored(journal: PostgresJournal, reader: PostgresReader, odd: Any) -> None:
    """As it is, or replaced by something that can be seen; and what comes after it in the batch is stored as well."""
    named = (
        "name",
        "kind",
        "queue",
        "worker",
        "parent_id",
        "root_id",
        "group_id",
        "outcome",
        "error",
        "result",
        "arguments",
    )
    everywhere = dict.fromkeys(
        (*named, "priority", "eta", "stage", "attempt", "run", "level", "message", "sealed"), odd
    )
    text = odd if isinstance(odd, str) else "t"
    batch = [
        Event(event_type=f"task.{kind}", task_id=text, user_id=text, trace_id=text, source=text, data=everywhere)
        for kind in ("pending", "failed", "progress", "log", "message", "cancel_requested")
    ]
    batch += [
        Event(event_type="worker.online", data=everywhere | {"concurrency": odd, "queues": [odd]}),
        Event(event_type="queue.paused", user_id=text, data=everywhere | {"reason": odd}),
        Event(event_type=text, task_id=text, event_id=text, extra={"odd": odd}),
        about("after", "pending"),
    ]
    assert journal.append(batch) > 0
    assert reader.task(text).status is Status.FAILED
    assert reader.task("after").status is Status.PENDING
    sealed = odd == "x" * 3_000_000  # by chance, base64
    assert len(reader.events(limit=100).items) == 9 - sealed
    assert len(reader.logs(text).items) == 1
    json.dumps([stored.event.data for stored in reader.events().items])
    with psycopg.connect(journal.connections.url) as connection:
        assert connection.execute("SELECT count(*) FROM orakul.rejected_events").fetchone() == (0,)


def test_two_long_ids_that_begin_alike_are_two_tasks(journal: PostgresJournal, reader: PostgresReader) -> None:
    one, other = "x" * 5_000 + "1", "x" * 5_000 + "2"
    journal.append([about(one, "pending"), about(other, "in_progress")])
    assert reader.task(one).status is Status.PENDING
    assert reader.task(reader.task(other).task_id).status is Status.IN_PROGRESS


def test_an_event_that_the_database_refuses_is_kept_aside_and_holds_up_nothing(
    journal: PostgresJournal, reader: PostgresReader, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "ALTER TABLE orakul.events ADD CONSTRAINT no_poison "
            "CHECK (data ->> 'poison' IS NULL AND event_type <> 'bad')"
        )
        batch = [about(f"t{number}", "pending", name=f"n{number}") for number in range(20)]
        batch[7] = about("t7", "pending", name="n7", poison="yes")
        batch[13] = Event(event_type="bad", data={"why": "not at all"})
        assert journal.append(batch) > 0
        rejected = connection.execute(
            "SELECT event_id, stored_reduced, convert_from(body, 'UTF8')"
            " FROM orakul.rejected_events ORDER BY rejected_at"
        ).fetchall()
    assert len(reader.events(limit=100).items) == 19
    assert reader.task("t7").name == "n7"
    assert [(event_id, reduced) for event_id, reduced, _ in rejected] == [
        (batch[7].event_id, True),
        (batch[13].event_id, False),
    ]
    assert "not at all" in rejected[1][2]


# --- where it goes ---


def test_log_lines_are_not_among_the_events(journal: PostgresJournal, reader: PostgresReader) -> None:
    lines = [about("t", "log", attempt=2, level="INFO", logger="shop", message=f"line {n}\nmore") for n in range(3)]
    journal.append([about("t", "pending"), *lines, *lines])
    page = reader.logs("t", limit=2)
    assert [(line.message, line.level, line.attempt) for line in page.items] == [
        ("line 0\nmore", "INFO", 2),
        ("line 1\nmore", "INFO", 2),
    ]
    assert page.next is not None
    assert [line.message for line in reader.logs("t", after=int(page.next)).items] == ["line 2\nmore"]
    assert len(reader.events().items) == 1


def test_the_message_is_kept_until_the_task_has_completed(journal: PostgresJournal, orders: PostgresOrders) -> None:
    first, second = message("t", b"\x00first"), message("t", b"second", attempt=2)
    journal.append([about("t", "pending"), second, first])
    assert orders.message("t") == b"second"
    journal.append([about("t", "failed")])
    assert orders.message("t") == b"second"
    journal.append([about("t", "completed", attempt=2)])
    assert orders.message("t") is None
    journal.append([first])
    assert orders.message("t") is None


def test_a_message_that_is_none_is_kept_as_an_event(journal: PostgresJournal, reader: PostgresReader) -> None:
    journal.append([about("t", "message", sealed="not base64!"), about("t", "message")])
    assert [stored.event.event_type for stored in reader.events().items] == ["task.message", "task.message"]


def test_the_last_word_on_a_queue_holds_in_whatever_order_it_comes(
    journal: PostgresJournal, orders: PostgresOrders
) -> None:
    now = datetime.now(UTC)
    said = [
        Event(event_type=f"queue.{word}", user_id="admin", timestamp=now + timedelta(seconds=n), data={"queue": "mail"})
        for n, word in enumerate(("paused", "resumed", "paused"))
    ]
    journal.append([said[1]])
    assert orders.pauses() == []
    journal.append([said[0]])
    assert orders.pauses() == []
    journal.append([said[2], said[0]])
    assert [(queue.queue, queue.paused_by, queue.paused_at) for queue in orders.pauses()] == [
        ("mail", "admin", said[2].timestamp)
    ]


def test_a_cancellation_is_open_until_its_attempt_has_ended(journal: PostgresJournal, orders: PostgresOrders) -> None:
    asked = about("t", "cancel_requested", "admin", attempt=1, grace_seconds=3)
    journal.append([about("t", "in_progress"), asked])
    (order,) = orders.cancellations(["t", "u"])
    assert (order.task_id, order.attempt, order.author, order.grace_seconds) == ("t", 1, "admin", 3.0)
    assert orders.cancellations(["u"]) == []
    journal.append([about("t", "cancelled")])
    assert orders.cancellations() == []
    journal.append([asked])
    assert orders.cancellations() == []


def test_a_task_cancelled_while_it_waits_stays_under_orders_until_a_worker_has_met_it(
    journal: PostgresJournal, orders: PostgresOrders
) -> None:
    journal.append([about("t", "pending"), about("t", "cancel_requested", "admin")])
    journal.append([about("t", "cancelled", stage="before_start", author="admin")])
    assert [order.task_id for order in orders.cancellations()] == ["t"]
    journal.append([about("t", "cancelled", stage="before_start", worker="w1")])
    assert orders.cancellations() == []


def test_workers_are_known_by_their_last_heartbeat(journal: PostgresJournal, orders: PostgresOrders) -> None:
    now = datetime.now(UTC)

    def word(said: str, seconds: float, **data: Any) -> Event:
        moment = now + timedelta(seconds=seconds)
        return Event(event_type=f"worker.{said}", timestamp=moment, data={"worker": "w1", **data})

    online = word("online", 0, kind="celery", pool="prefork", concurrency=4, queues=["a", "b"], pid=17)
    journal.append([word("heartbeat", 9, active=2), online])
    (worker,) = orders.workers()
    assert (worker.status, worker.last_seen, worker.started_at) == ("online", now + timedelta(seconds=9), now)
    assert (worker.pool, worker.concurrency, worker.queues) == ("prefork", 4, ("a", "b"))
    journal.append([word("offline", 10), word("heartbeat", 5)])
    assert [worker.status for worker in orders.workers()] == ["offline"]


def test_tasks_on_silent_and_departed_workers_are_found(journal: PostgresJournal, orders: PostgresOrders) -> None:
    now = datetime.now(UTC)
    for name, age in (("alive", 1), ("silent", 60)):
        beat = Event(event_type="worker.heartbeat", timestamp=now - timedelta(seconds=age), data={"worker": name})
        journal.append([beat, about(f"on-{name}", "in_progress", worker=name, run=5)])
    journal.append([about("unheard", "in_progress", worker="agentless")])
    assert orders.abandoned(30) == [("on-silent", 1, 5, "silent")]
    journal.append([Event(event_type="worker.offline", data={"worker": "alive"})])
    assert sorted(orders.abandoned(30)) == [("on-alive", 1, 5, "alive"), ("on-silent", 1, 5, "silent")]
    journal.append([about("on-silent", "completed", run=5), about("on-alive", "completed", run=5)])
    assert orders.abandoned(30) == []


# --- who is told ---


def test_each_change_of_status_is_told_once_and_in_order(journal: PostgresJournal, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("LISTEN oracle_channel")
        listener.execute("LISTEN oracle_feed")
        listener.execute("LISTEN oracle_orders")
        whole = [about("t", "pending"), about("t", "in_progress"), about("t", "log"), about("t", "completed")]
        journal.append(whole)
        journal.append(whole)
        journal.append([about("t", "in_progress"), about("x" * 50_000, "pending")])
        journal.append([about("t", "cancel_requested", "admin", attempt=2)])
        notes = list(listener.notifies(timeout=0.5))
    told = [json.loads(note.payload) for note in notes if note.channel == "oracle_channel"]
    assert [(note["new_status"], note["task_id"][:1]) for note in told] == [
        ("pending", "t"),
        ("in_progress", "t"),
        ("completed", "t"),
        ("pending", "x"),
    ]
    assert told[0].keys() == {"seq", "task_id", "new_status", "timestamp"}
    assert told[0]["timestamp"] == whole[0].to_dict()["timestamp"]
    assert [note["seq"] for note in told] == sorted(note["seq"] for note in told)
    assert all(len(note.payload.encode()) < 8_000 for note in notes)
    assert sum(note.channel == "oracle_feed" for note in notes) == 3
    assert sum(note.channel == "oracle_orders" for note in notes) == 1


# --- transitions ---


def test_of_two_commands_at_once_one_sees_the_other(journal: PostgresJournal, reader: PostgresReader) -> None:
    journal.append([about("t", "failed")])
    barrier = threading.Barrier(8)
    outcomes: list[str] = []

    def retry(task: Task) -> list[Event]:
        if task.status is not Status.FAILED:
            raise WrongStateError(task.status)
        return [about("t", "pending", attempt=task.attempt + 1)]

    def press() -> None:
        barrier.wait()
        try:
            outcomes.append(f"attempt {journal.transition('t', retry).attempt}")
        except WrongStateError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=press) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["attempt 2", *["pending"] * 7]
    assert reader.task("t").attempt == 2


def test_a_refused_transition_stores_nothing(journal: PostgresJournal, reader: PostgresReader) -> None:
    journal.append([about("t", "pending", "7")])

    def refuse(task: Task) -> list[Event]:
        raise WrongStateError(f"no, it is {task.status}")

    with pytest.raises(WrongStateError, match="no, it is pending"):
        journal.transition("t", refuse, owner="7")
    for owner, task_id in (("8", "t"), (None, "none")):
        with pytest.raises(TaskNotFoundError):
            journal.transition(task_id, refuse, owner=owner)
    assert journal.transition("t", lambda _: []).status is Status.PENDING
    assert len(reader.events().items) == 1


# --- what does not answer ---


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    journal = PostgresJournal(f"postgresql://me:secret@/db?host={tmp_path}&port=5999")
    with pytest.raises(JournalUnavailableError, match=r"me@.*:5999/db does not answer") as raised:
        journal.append([about("t", "pending")])
    assert "secret" not in str(raised.value)


def test_a_database_without_tables_says_how_to_make_them(empty_database_url: str) -> None:
    with pytest.raises(JournalUnavailableError, match="orakul db upgrade"):
        PostgresJournal(empty_database_url).append([about("t", "pending")])
