"""What the control room finds: by every filter, counted, grouped by error, within its time or said to be partial."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from orakul.errors import InvalidQueryError, NotPossibleError
from orakul.events import Event
from orakul.journals.postgres import Connections, PostgresJournal, PostgresReader, finding
from orakul.journals.postgres.room import PostgresRoom
from orakul.tasks.reader import TaskQuery
from orakul.tasks.status import Status

NOW = datetime.now(UTC).replace(microsecond=0)
LATER = TaskQuery(limit=500)


class Shop:
    """A journal with tasks in it, and who reads it."""

    def __init__(self, url: str) -> None:
        self.connections = Connections(url)
        self.journal = PostgresJournal(self.connections)
        self.reader = PostgresReader(self.connections)
        self.room = PostgresRoom(self.connections)

    def tell(self, task_id: str, status: str, minutes_ago: float, user: str | None = None, **data: Any) -> None:
        """Let a task be created so long ago, begin ten seconds later and end after twenty more."""
        told: dict[str, Any] = {"kind": "celery", "name": "pay", "queue": "mail", **data}
        error = told.pop("error", None)
        created = NOW - timedelta(minutes=minutes_ago)
        steps = [("pending", created, told)]
        if status != "pending":
            steps.append(("in_progress", created + timedelta(seconds=10), {"worker": told.get("worker", "w1")}))
        if status not in {"pending", "in_progress"}:
            steps.append((status, created + timedelta(seconds=30), {"error": error} if error else {}))
        self.journal.append(
            [
                Event(event_type=f"task.{step}", task_id=task_id, timestamp=moment, user_id=user, data=facts)
                for step, moment, facts in steps
            ]
        )

    def found(self, **wanted: Any) -> set[str]:
        page = self.reader.tasks(TaskQuery(limit=500, **wanted))
        assert not page.partial
        return {task.task_id for task in page.items}


@pytest.fixture
def shop(database_url: str) -> Shop:
    return Shop(database_url)


def error(kind: str | None, place: str | None, message: str = "no money") -> dict[str, Any]:
    return {key: value for key, value in (("type", kind), ("place", place), ("message", message)) if value}


# --- filters ---


def test_each_filter_finds_what_it_says_and_they_combine(shop: Shop) -> None:
    shop.tell("a", "completed", 90, worker="w1", queue="mail")
    shop.tell("b", "completed", 60, worker="w2", queue="default")
    shop.tell("c", "failed", 30, worker="w2", queue="slow", kind="export", error=error("KeyError", "shop.py:7 pay"))
    shop.tell("d", "pending", 5)
    assert shop.found(worker=["w2"]) == {"b", "c"}
    assert shop.found(worker=["w1", "w2"]) == {"a", "b", "c"}
    assert shop.found(queue=["default", "slow"]) == {"b", "c"}
    assert shop.found(kind=["export"], worker=["w2"]) == {"c"}
    assert shop.found(since=NOW - timedelta(minutes=60)) == {"b", "c", "d"}
    assert shop.found(until=NOW - timedelta(minutes=60)) == {"a"}
    assert shop.found(since=NOW - timedelta(minutes=60), until=NOW - timedelta(minutes=5)) == {"b", "c"}
    (group,) = shop.room.errors(LATER).items
    assert shop.found(error=group.key) == {"c"}
    assert shop.found(error="0" * 16) == set()
    for wrong in ("x", "1" * 17, "-1"):
        with pytest.raises(InvalidQueryError):
            shop.found(error=wrong)


@pytest.mark.parametrize("sample", [10_000, 100], ids=["as rare ones", "as frequent ones"])
def test_words_of_arguments_and_errors_are_found_by_their_beginnings(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, sample: int
) -> None:
    monkeypatch.setattr(finding, "_SAMPLE", sample)  # one in a hundred of them is frequent
    shop.tell("a", "completed", 9, arguments={"args": [4711, "Анна"], "kwargs": {"email": "ann@example.org"}})
    shop.tell("b", "failed", 8, arguments={"args": [4712]}, error=error("Refused", None, "card 99 was declined"))
    shop.tell("c", "pending", 7, user="7", arguments={"args": ["declined"]})
    assert shop.found(text="4711") == set(), "before the words are taken, in seconds"
    shop.room.rollups.fold()
    assert shop.found(text="4711") == {"a"}
    assert shop.found(text="471") == {"a", "b"}
    assert shop.found(text="Анна") == {"a"}
    assert shop.found(text="ann@example.org") == {"a"}
    assert shop.found(text="DECLIN") == {"b", "c"}
    assert shop.found(text="declined card") == {"b"}
    assert shop.found(text="declined", status=[Status.PENDING]) == {"c"}
    assert shop.found(text="declined", since=NOW - timedelta(minutes=7)) == {"c"}
    assert shop.found(text="declined", owner="7") == {"c"}
    assert shop.found(text="4711", owner="7") == set()
    assert shop.found(text='\' & ! <-> :* \\ "declined" | x:*') == set()
    for nothing in ("&", "''", " - "):
        with pytest.raises(InvalidQueryError):
            shop.found(text=nothing)


def test_words_follow_the_task(shop: Shop) -> None:
    shop.tell("a", "failed", 9, error=error("Refused", None, "declined"))
    shop.room.rollups.fold()
    shop.journal.append([Event(event_type="task.pending", task_id="a", data={"attempt": 2})])
    shop.room.rollups.fold()
    assert shop.found(text="declined") == set()
    with psycopg.connect(shop.connections.url) as connection:
        connection.execute("DELETE FROM orakul.tasks")
        assert connection.execute("SELECT count(*) FROM orakul.task_words").fetchone() == (0,)


def test_a_list_that_takes_too_long_is_of_the_latest_and_says_so(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.tell("old", "completed", 3000)
    shop.tell("new", "completed", 30)
    asked = finding._page

    def slow(connections: Any, query: TaskQuery, cursor: Any, milliseconds: int | None) -> Any:
        if query.since is None:
            with connections.open("read") as connection:
                connection.execute(f"SET statement_timeout = {milliseconds}")
                connection.execute("SELECT pg_sleep(5)")
        return asked(connections, query, cursor, milliseconds)

    monkeypatch.setattr(finding, "_page", slow)
    page = shop.reader.tasks(TaskQuery(kind=["celery"]))
    assert [task.task_id for task in page.items] == ["new"]
    assert page.partial
    older = shop.reader.tasks(TaskQuery(kind=["celery"], cursor=page.next))
    assert older.partial
    assert older.items == []


# --- counts ---


def test_counts_are_of_all_statuses_with_the_other_filters(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, status in enumerate(("pending", "in_progress", "completed", "completed", "failed", "cancelled")):
        shop.tell(f"t{number}", status, 5, user="7" if number % 2 else "8")
    shop.tell("other", "completed", 5, name="send")
    counts = shop.room.counts(TaskQuery(name="pay", status=[Status.FAILED]))
    assert {item.status: item.count for item in counts.items} == dict(zip(Status, (1, 1, 2, 1, 1), strict=True))
    assert not counts.partial
    mine = shop.room.counts(TaskQuery(owner="8"))
    assert {item.status.value: item.count for item in mine.items if item.count} == {
        "pending": 1,
        "completed": 1,
        "failed": 1,
    }
    monkeypatch.setattr(finding, "MOST_COUNTED", 2)
    completed = next(item for item in shop.room.counts(TaskQuery()).items if item.status is Status.COMPLETED)
    assert (completed.count, completed.capped) == (2, True)


# --- errors ---


def test_failures_of_one_exception_at_one_place_are_one_group(shop: Shop) -> None:
    shop.tell("a", "failed", 60, error=error("KeyError", "shop.py:7 pay", "'x'"))
    shop.tell("b", "failed", 30, user="7", name="send", error=error("KeyError", "shop.py:7 pay", "'y'"))
    shop.tell("c", "failed", 20, error=error("KeyError", "shop.py:9 pay"))
    shop.tell("d", "failed", 10, error=error("ValueError", "shop.py:7 pay"))
    shop.tell("e", "failed", 9, error=error(None, None, "exit code 17"))
    shop.tell("f", "failed", 8, error=error(None, None, "exit code 3"))
    shop.tell("g", "completed", 7)
    found = shop.room.errors(LATER)
    assert [(group.type, group.place, group.count, group.task_id) for group in found.items] == [
        (None, None, 2, "f"),
        ("ValueError", "shop.py:7 pay", 1, "d"),
        ("KeyError", "shop.py:9 pay", 1, "c"),
        ("KeyError", "shop.py:7 pay", 2, "b"),
    ]
    assert not found.partial
    last = found.items[-1]
    assert (last.message, last.names, last.capped) == ("'y'", ["pay", "send"], False)
    assert (last.first_seen, last.last_seen) == (NOW - timedelta(minutes=60), NOW - timedelta(minutes=30))
    assert all(sum(group.trend) == group.count and len(group.trend) == 24 for group in found.items)
    assert found.since == last.first_seen
    assert last.trend[0] == 1, "the first failure shown stands in the first step"
    day = shop.room.errors(TaskQuery(since=NOW - timedelta(hours=24), until=NOW)).items[-1]
    assert day.trend[-1] == 2 - day.trend[-2], "an hour a step"
    (mine,) = shop.room.errors(TaskQuery(owner="7")).items
    assert (mine.key, mine.count, mine.names, mine.message) == (last.key, 1, ["send"], "'y'")
    assert [group.type for group in shop.room.errors(TaskQuery(since=NOW - timedelta(minutes=15), limit=1)).items] == [
        None
    ]
    shop.journal.append([Event(event_type="task.pending", task_id="d", data={"attempt": 2})])
    assert len(shop.room.errors(LATER).items) == 3, "a retried one has failed no more"


# --- charts ---


def test_a_chart_counts_each_task_where_it_came_began_and_ended(shop: Shop) -> None:
    for number in range(40):
        shop.tell(f"t{number}", "failed" if number % 4 == 0 else "completed", 30, user="7")
    shop.tell("other", "completed", 30, name="send", queue="slow")
    shop.tell("late", "pending", 100)
    shop.room.rollups.fold()
    since, until = NOW - timedelta(minutes=60), NOW
    for chart in (
        shop.room.chart(since, until, name="pay"),
        shop.room.chart(since, until, name="p*", queue=["mail"], kind=["celery"]),
        shop.room.chart(since, until, name="pay", owner="7"),
    ):
        assert chart.step == 60
        assert len(chart.points) in {60, 61}
        assert not chart.partial
        total = chart.total
        assert (total.created, total.started, total.completed, total.failed, total.cancelled) == (40, 40, 30, 10, 0)
        assert total.failure_rate == 0.25
        assert total.duration.mean == 20_000
        assert total.duration.p50 is not None
        assert 13_000 < total.duration.p50 < 30_000
        assert total.waiting.mean == 10_000
        came = [point.at for point in chart.points if point.created]
        assert came == [(NOW - timedelta(minutes=30)).replace(second=0)]
    assert shop.room.chart(since, until).total.created == 41
    assert shop.room.chart(since, until, owner="8").total.created == 0
    assert shop.room.chart(since, until, queue=["slow"]).total.created == 1
    for hours, step in ((5, 300), (24, 600), (24 * 7, 3600), (24 * 14, 7200), (24 * 30, 14400)):
        chart = shop.room.chart(NOW - timedelta(hours=hours), until)
        assert (chart.step, chart.total.created) == (step, 42)
    for wrong in ((until, since), (since, since), (until - timedelta(days=900), until)):
        with pytest.raises(InvalidQueryError):
            shop.room.chart(*wrong)


def test_insights_name_what_stands_out_against_before(shop: Shop) -> None:
    for number in range(25):
        for name, days, took in (("slow", 1, 600), ("slow", 10, 60), ("fast", 1, 1), ("fast", 10, 1)):
            task_id, begin = f"{name}-{days}-{number}", NOW - timedelta(days=days)
            failed = name == "fast" and days == 1 and number < 5
            shop.journal.append(
                [
                    Event(event_type=f"task.{step}", task_id=task_id, timestamp=begin + timedelta(seconds=s), user_id=7,
                          data={"name": name, "queue": f"q-{name}"})
                    for step, s in (("pending", 0), ("in_progress", 9), ("failed" if failed else "completed", 9 + took))
                ]
            )  # fmt: skip
    shop.room.rollups.fold()
    for owner in (None, "7"):
        found = shop.room.insights(owner=owner)
        assert [figure.name for figure in found.slowest] == ["slow", "fast"]
        assert [(figure.name, figure.failed, figure.failure_rate) for figure in found.most_failing] == [
            ("fast", 5, 0.2)
        ]
        first = found.most_changed[0]
        assert (first.name, first.ended, first.ended_before) == ("slow", 25, 25)
        assert first.changed is not None
        assert 6 < first.changed < 15
        assert [(each.queue, each.share) for each in found.bottlenecks] == [("q-fast", 0.9), ("q-slow", 0.0148)]
    assert shop.room.insights(owner="8").slowest == []


# --- queues and workers ---


def test_queues_tell_how_long_their_oldest_waits_and_their_rates(shop: Shop) -> None:
    shop.tell("old", "pending", 50)
    shop.tell("later", "pending", 90, eta=(NOW + timedelta(days=1)).isoformat())
    behind = (datetime.now(UTC) - NOW) / timedelta(minutes=1)  # rates are of the last minutes, and NOW may be older
    for number in range(10):
        shop.tell(f"t{number}", "in_progress", 3 - behind, worker="w7")
    shop.room.rollups.fold()
    figures = shop.room.queue_figures(["mail", "none"])
    assert figures["mail"].oldest_waiting_at == NOW - timedelta(minutes=50)
    assert (figures["mail"].rate_in, figures["mail"].rate_out) == (2.0, 2.0)
    assert figures["none"].oldest_waiting_at is None
    running = shop.room.running(["w7", "w8"])
    assert running["w7"][0] == len(running["w7"][1]) == 10
    assert running["w8"] == (0, [])


# --- saved views ---


def test_views_are_ones_own_or_shared(shop: Shop) -> None:
    room = shop.room
    mine = room.save_view("7", name="my failures", query="status=failed", columns=["name", "queue"], shared=False)
    ours = room.save_view("7", name="slow ones", query="queue=slow", columns=[], shared=True)
    assert [view.name for view in room.views("7")] == ["my failures", "slow ones"]
    (seen,) = room.views("8")
    assert (seen.view_id, seen.mine, seen.columns) == (ours.view_id, False, [])
    assert not room.delete_view("8", mine.view_id, any_shared=True)
    assert not room.delete_view("8", ours.view_id)
    assert room.delete_view("8", ours.view_id, any_shared=True)
    assert room.delete_view("7", mine.view_id)
    assert room.views("7") == []
    for number in range(200):
        room.save_view("9", name=str(number), query="", columns=[], shared=False)
    with pytest.raises(NotPossibleError):
        room.save_view("9", name="one more", query="", columns=[], shared=False)
