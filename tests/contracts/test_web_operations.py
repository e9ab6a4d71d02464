"""The report on operations: figures by name, bottlenecks, errors, two periods; to each, of what is theirs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from web_world import World

from orakul.events import Event
from orakul.web.routes import operations

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)


def ran(
    task_id: str,
    name: str,
    seconds: float,
    *,
    began: datetime = NOW,
    user: str = "7",
    error: str | None = None,
    **more: Any,
) -> list[Event]:
    data = {"kind": "operation", "name": name, "attempt": 1, "run": 0, **more}
    end: dict[str, Any] = {**data, **({"error": {"type": "OSError", "message": error}} if error else {})}
    return [
        Event(event_type="task.in_progress", task_id=task_id, user_id=user, data=data, timestamp=began),
        Event(
            event_type="task.failed" if error else "task.completed",
            task_id=task_id,
            user_id=user,
            data=end,
            timestamp=began + timedelta(seconds=seconds),
        ),
    ]


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    found = World.on(database_url).tell()
    inside = {"parent_id": "o-1", "root_id": "o-1"}
    found.journal.append(
        [
            *ran("o-1", "IMPORT", 10.0),
            *ran("o-2", "LOAD", 8.0, began=NOW + timedelta(seconds=1), **inside),
            *ran("o-3", "LOAD", 1.0, began=NOW + timedelta(seconds=9), error="no disk", **inside),
            *ran("o-4", "LOAD", 2.0, began=NOW - timedelta(hours=1)),
            *ran("o-5", "EXPORT", 1.0, user="8"),
        ]
    )
    yield found
    found.connections.close()


def report(world: World, who: str, **query: str) -> Any:
    response = world.client(who)("GET", "/api/operations", params=query)
    assert response.status_code == 200, response.text
    return response.json()


def test_figures_bottlenecks_and_errors(world: World) -> None:
    since = (NOW - timedelta(minutes=1)).isoformat()
    told = report(world, "admin", **{"from": since})
    by_name = {each["name"]: each for each in told["statistics"]}
    assert set(by_name) == {"IMPORT", "LOAD", "EXPORT"}, "tasks of other kinds are not among them"
    assert (by_name["LOAD"]["count"], by_name["LOAD"]["errors"], by_name["LOAD"]["total_ms"]) == (2, 1, 9000.0)
    assert by_name["IMPORT"]["self_ms"] == pytest.approx(1000.0)
    assert (told["bottlenecks"][0]["name"], told["bottlenecks"][0]["parent"]) == ("LOAD", "IMPORT")
    assert told["bottlenecks"][0]["share"] == pytest.approx(0.9)
    assert [(each["name"], each["message"], each["count"]) for each in told["errors"]] == [("LOAD", "no disk", 1)]
    assert (told["read"], told["partial"], told["compared"]) == (4, False, None)


def test_two_periods_side_by_side(world: World) -> None:
    begin, end = NOW - timedelta(minutes=30), NOW + timedelta(minutes=30)
    told = report(world, "admin", **{"from": begin.isoformat(), "to": end.isoformat(), "before": "previous"})
    load = next(each for each in told["compared"] if each["name"] == "LOAD")
    assert (load["before"]["count"], load["after"]["count"], load["count_ratio"]) == (1, 2, 2.0)
    assert load["error_rate_change"] == 0.5
    at = (begin - timedelta(hours=1)).isoformat()
    assert (
        report(world, "admin", **{"from": begin.isoformat(), "to": end.isoformat(), "before": at})["compared"]
        == (told["compared"])
    )


def test_everybody_sees_their_own(world: World) -> None:
    assert {each["name"] for each in report(world, "other")["statistics"]} == {"EXPORT"}
    assert {each["name"] for each in report(world, "owner")["statistics"]} == {"IMPORT", "LOAD"}
    assert {each["name"] for each in report(world, "viewer")["statistics"]} == {"IMPORT", "LOAD", "EXPORT"}
    assert {each["name"] for each in report(world, "owner", name="LO*")["statistics"]} == {"LOAD"}
    assert {each["name"] for each in report(world, "owner", kind="celery")["statistics"]} == {"shop.pay"}


def test_more_than_is_looked_at_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MOST", 2)
    monkeypatch.setattr(operations, "_A_PAGE", 2)
    told = report(world, "admin")
    assert (told["read"], told["partial"]) == (2, True)


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        {"before": "yesterday"},
        {"from": "0001-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z", "before": "previous"},
        {"since": "2026-01-01T00:00:00Z"},
    ],
)
def test_what_does_not_fit_is_named(world: World, query: dict[str, str]) -> None:
    response = world.client("admin")("GET", "/api/operations", params=query)
    assert response.status_code == 422
    assert response.json()["detail"]


def test_an_operation_cannot_be_run_again_from_here_and_it_says_why(world: World) -> None:
    detail = world.client("owner")("GET", "/api/tasks/o-3").json()
    assert detail["can"]["retry"]["allowed"] is False
    assert "inside a program of its own" in detail["can"]["retry"]["why"]
    response = world.client("owner")("POST", "/api/tasks/o-3/retry")
    assert (response.status_code, "inside a program of its own" in response.json()["detail"]) == (409, True)
