"""The audit: every command is there, with who, why and what came of it."""

from collections.abc import Iterator

import pytest
from web_world import World, story

from orakul.events import Event


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    found = World.on(database_url).tell()
    yield found
    found.connections.close()


def test_every_command_is_told_with_its_author_its_reason_and_its_result(world: World) -> None:
    admin, owner = world.client("admin"), world.client("owner")
    assert owner("POST", "/api/tasks/t-failed/retry", json={"reason": "the bank is back"}).status_code == 200
    assert admin("DELETE", "/api/tasks/t-pending").status_code == 200
    pause = admin("POST", "/api/admin/queue/pause", json={"queue": "celery", "reason": "repairs"})
    assert pause.status_code == 200
    assert admin("POST", "/api/admin/queue/resume", json={"queue": "celery"}).status_code == 200

    page = world.client("viewer")("GET", "/api/audit").json()
    told = [
        (each["command"], each["author"], each["reason"], each["task_id"], each["queue"], each["result"])
        for each in page["items"]
    ]
    assert told == [
        ("queue.resumed", "1", None, None, "celery", "resumed"),
        ("queue.paused", "1", "repairs", None, "celery", "paused"),
        ("task.cancel_requested", "1", None, "t-pending", None, "cancelled"),
        ("task.retry_requested", "7", "the bank is back", "t-failed", None, "sent"),
        ("queue.paused", "1", "a flood", None, "slow", "paused"),
    ]
    assert page["next"] is None

    [done] = [event for event in story("t-failed", "completed", attempt=2) if event.event_type == "task.completed"]
    world.journal.append([Event.from_dict({**done.to_dict(), "data": {"attempt": 2}})])
    [retry] = admin("GET", "/api/audit?author=7").json()["items"]
    assert (retry["result"], retry["attempt"]) == ("completed", 2)


def test_the_audit_is_filtered_and_paged(world: World) -> None:
    admin = world.client("admin")
    for _ in range(3):
        admin("POST", "/api/admin/queue/pause", json={"queue": "celery"})
        admin("POST", "/api/admin/queue/resume", json={"queue": "celery"})
    admin("DELETE", "/api/tasks/t-pending")

    def seqs(query: str) -> list[int]:
        return [each["seq"] for each in admin("GET", f"/api/audit?{query}").json()["items"]]

    assert len(seqs("")) == 8
    assert len(seqs("type=queue.paused")) == 4
    assert len(seqs("task_id=t-pending")) == 1
    assert len(seqs("author=1&type=queue.paused,queue.resumed")) == 7
    assert seqs("author=7") == []
    assert admin("GET", "/api/audit?type=task.failed").status_code == 422
    found: list[int] = []
    after = "0"
    while after is not None:
        page = admin("GET", f"/api/audit?limit=3&after={after}").json()
        found += [each["seq"] for each in page["items"]]
        after = page["next"]
    assert found == sorted(found, reverse=True) == seqs("")


def test_a_reason_that_does_not_fit_is_refused_before_anything_is_done(world: World) -> None:
    owner = world.client("owner")
    for body in (b"[1]", b'{"reason": 5}', b'{"reson": "x"}', b'{"reason": "' + b"x" * 1001 + b'"}', b"{"):
        for method, path in (("POST", "/api/tasks/t-failed/retry"), ("DELETE", "/api/tasks/t-pending")):
            response = owner(method, path, content=body)
            assert response.status_code == 422, body
    assert world.runner.heard == []


def test_a_job_pressed_twice_is_one_job_and_one_command(world: World) -> None:
    owner = world.client("owner")
    body = {"command": "retry", "filter": {}, "reason": "repaired"}
    first, second = (owner("POST", "/api/bulk", json=body).json() for _ in range(2))
    assert first["job_id"] == second["job_id"]
    [entry] = world.client("admin")("GET", "/api/audit?type=bulk.requested").json()["items"]
    assert (entry["author"], entry["reason"], entry["task_id"]) == ("7", "repaired", first["job_id"])
    aborted = owner("DELETE", f"/api/bulk/{first['job_id']}").json()
    assert aborted["status"] == "aborted"
    assert owner("GET", f"/api/tasks/{first['job_id']}").json()["status"] == "cancelled"
    for wrong in (
        {},
        {"command": "retry"},
        {"command": "burn", "filter": {}},
        {"command": "retry", "filter": {"x": 1}},
    ):
        assert owner("POST", "/api/bulk", json=wrong).status_code == 422
