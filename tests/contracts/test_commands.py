"""Commands over REST: a viewer gives none, each stands in the audit, and many are cancelled by a filter."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pytest
from web_world import World, story

from orakul.tasks import Status, TaskQuery
from orakul.tasks.bulk import BulkWork
from orakul.web.app import create_app

HARMLESS = {
    ("POST", "/v1/auth/token"),  # signs in
    ("POST", "/api/session"),
    ("DELETE", "/api/session"),
    ("POST", "/api/views"),  # keeps a question for oneself; a shared one is refused: test_web_access
    ("DELETE", "/api/views/{view_id}"),  # of one's own
}
NAMED = {"task_id": "t-failed", "view_id": "v-ann"}


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    found = World.on(database_url).tell()
    yield found
    found.connections.close()


def commands(world: World) -> list[tuple[str, str]]:
    """Return every route that is not for reading alone, from the application itself."""
    paths = create_app(world.parts).openapi()["paths"]
    found = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    return sorted(pair for pair in found - HARMLESS if pair[0] != "GET")


def test_a_viewer_is_refused_every_command_there_is(world: World) -> None:
    asked = commands(world)
    assert len(asked) >= 9
    viewer, before = world.client("viewer"), world.parts.reader.task("t-failed")
    for method, path in asked:
        address = re.sub(r"\{(\w+)[^}]*\}", lambda found: NAMED.get(found[1], "1"), path)
        for body in ({}, {"json": {}}, {"content": b"not JSON"}):  # refused before anything is read of it
            response = viewer(method, address, **body)
            assert response.status_code == 403, f"{method} {path}: {response.status_code} {response.text}"
            assert response.json()["type"] == "urn:orakul:problem:forbidden"
    assert world.runner.heard == []
    assert world.parts.reader.task("t-failed") == before
    assert world.client("admin")("GET", "/api/audit").json()["items"][:-1] == []  # the pause of the world's history


class Command(NamedTuple):
    """A command, and what the audit says of it."""

    method: str
    path: str
    type: str
    json: dict[str, Any]
    about: dict[str, Any]


COMMANDS = [
    Command("POST", "/api/tasks/t-failed/retry", "task.retry_requested", {}, {"task_id": "t-failed"}),
    Command("DELETE", "/api/tasks/t-pending", "task.cancel_requested", {}, {"task_id": "t-pending"}),
    Command(
        "POST", "/api/tasks/t-failed/run", "task.run_requested", {"args": [2], "kwargs": {}}, {"task_id": "t-failed"}
    ),
    Command("POST", "/api/admin/queue/pause", "queue.paused", {"queue": "mail"}, {"queue": "mail"}),
    Command("POST", "/api/admin/queue/resume", "queue.resumed", {"queue": "slow"}, {"queue": "slow"}),
    Command("POST", "/api/bulk", "bulk.requested", {"command": "cancel", "filter": {}}, {}),
    Command("PUT", "/api/retention", "retention.changed", {"events_days": 9}, {}),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.type)
def test_each_command_stands_in_the_audit_with_its_author_and_reason(world: World, command: Command) -> None:
    admin = world.client("admin")
    response = admin(command.method, command.path, json={**command.json, "reason": "because"})
    assert response.status_code == 200, response.text
    found = admin("GET", f"/api/audit?type={command.type}&author=1").json()["items"]
    entry = next(entry for entry in found if entry["reason"] == "because")
    assert entry["author"] == "1"
    assert entry["command"] == command.type
    assert {name: entry[name] for name in command.about} == command.about


def test_an_aborted_job_stands_in_the_audit_too(world: World) -> None:
    admin = world.client("admin")
    job = admin("POST", "/api/bulk", json={"command": "retry", "filter": {"status": ["failed"]}}).json()
    assert admin("DELETE", f"/api/bulk/{job['job_id']}").status_code == 200
    [entry] = admin("GET", "/api/audit?type=bulk.abort_requested").json()["items"]
    assert (entry["author"], entry["task_id"]) == ("1", job["job_id"])


@pytest.mark.parametrize("who", ["admin", "owner"])
def test_many_are_cancelled_by_a_filter_and_nothing_else(world: World, who: str) -> None:
    more = [
        event
        for number in range(150)
        for event in story(f"m{number:03d}", ("pending", "completed")[number % 3 == 0], "7" if number % 2 else "8")
    ]
    others = [event for number in range(20) for event in story(f"o{number}", "pending", "7", name="other.work")]
    world.journal.append([*more, *others])
    client, parts = world.client(who), world.parts
    assert parts.bulk is not None
    form = {"command": "cancel", "filter": {"name": "shop.pay", "search": "m"}, "reason": "the shop is closed"}
    job = client("POST", "/api/bulk", json=form).json()
    assert client("POST", "/api/bulk", json=form).json()["job_id"] == job["job_id"]
    late = [msgspec.structs.replace(event, timestamp=datetime.now(UTC)) for event in story("m999", "pending", "7")]
    world.journal.append(late)  # made after the job
    work = BulkWork(parts.bulk, world.parts.control, parts.reader, world.journal)  # type: ignore[arg-type]
    while work.step() is not None:
        pass

    wanted = {f"m{number:03d}" for number in range(150) if number % 3 and (who == "admin" or number % 2)}
    cancelled = {task.task_id for task in parts.reader.tasks(TaskQuery(status=[Status.CANCELLED], limit=500)).items}
    assert cancelled - {"t-cancelled"} == wanted
    assert Counter(order for order, _ in world.runner.heard)["cancel"] == len(wanted)
    ended = client("GET", f"/api/bulk/{job['job_id']}").json()
    assert (ended["status"], ended["total"], ended["done"]) == ("completed", len(wanted), len(wanted))
    history = parts.reader.history(min(wanted)).items
    [asked] = [change for change in history if change.event_type == "task.cancel_requested"]
    assert (asked.author, asked.reason) == ("1" if who == "admin" else "7", "the shop is closed")
