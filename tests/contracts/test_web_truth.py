"""The OpenAPI document tells the truth: what is answered is what it says, no more and no less."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from web_world import PASSWORD, World, story

from orakul.events import Event
from orakul.pipelines.message import read_message
from orakul.pipelines.recording import events_of
from orakul.web.app import create_app


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    found = World.on(database_url).tell().people()
    yield found
    found.connections.close()


KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}


class Schema:
    """A check of values that is stricter than JSON Schema: what the schema does not name may not be there."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def misfit(self, value: Any, schema: dict[str, Any], at: str = "$") -> str | None:
        """Return what does not fit, and where; None where all does."""
        if "$ref" in schema:
            return self.misfit(value, self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], at)
        if "anyOf" in schema:
            tried = [self.misfit(value, each, at) for each in schema["anyOf"]]
            return None if None in tried else "; ".join(filter(None, tried))
        kind = schema.get("type")
        wrong = kind is not None and (type(value) not in KINDS[kind])
        if wrong or value not in schema.get("enum", [value]):
            return f"{at}: {value!r} is not {schema}"
        if kind == "array":
            inner = schema.get("items", {})
            tried = [self.misfit(each, inner, f"{at}[{number}]") for number, each in enumerate(value)]
            return next(filter(None, tried), None)
        if schema.get("format") == "date-time" and not (value.endswith("Z") and datetime.fromisoformat(value)):
            return f"{at}: {value} is no UTC time"
        return self._object(value, schema, at) if kind == "object" else None

    def _object(self, value: dict[str, Any], schema: dict[str, Any], at: str) -> str | None:
        if "properties" not in schema:
            inner = schema.get("additionalProperties")
            if not isinstance(inner, dict):
                return None
            return next(filter(None, (self.misfit(v, inner, f"{at}.{k}") for k, v in value.items())), None)
        lacking = set(schema.get("required", ())) - set(value)
        unknown = set(value) - set(schema["properties"])
        if lacking or unknown:
            return f"{at}: lacks {sorted(lacking)}, has unknown {sorted(unknown)}"
        return next(
            filter(None, (self.misfit(v, schema["properties"][k], f"{at}.{k}") for k, v in value.items())), None
        )


def check(document: dict[str, Any], method: str, path: str, response: Any) -> None:
    """Hold an answer against what the document says of its operation."""
    operation = document["paths"][path][method.lower()]
    said = operation["responses"].get(str(response.status_code))
    assert said, f"{method} {path} answered {response.status_code}, of which the document says nothing"
    if response.status_code == 204:
        assert response.content == b""
        return
    media_type = response.headers["content-type"].partition(";")[0]
    assert media_type in said["content"], f"{method} {path}: {media_type}"
    if media_type.endswith("json"):
        schema = said["content"][media_type]["schema"]
        assert schema, f"{method} {path} has an empty schema for {response.status_code}"
        assert Schema(document).misfit(response.json(), schema) is None
    for header in said.get("headers", {}):
        assert header in response.headers


QUERIES = {
    "/api/moment": "?at=2026-03-01T12:00:00Z",
    "/api/moment/changes": "?from=2026-03-01&to=2026-03-02",
    "/api/events/journey": "?event_id=e-created",
}
RULE = {"name": "failures", "notify": ["ops"], "when": {"event": ["task.failed"]}}


def asked(path: str) -> list[str]:
    if "{" not in path:
        return [path + QUERIES.get(path, "")]
    path = path.replace("{result_name}", "MASK_V001")
    path = path.replace("{view_id}", "v-ann")
    if path == "/api/rules/{rule_id}":
        return ["/api/rules/r-old"]
    path = path.replace("{rule_id}", "r-ada")
    if path.startswith("/api/rules/"):
        return [path]
    if path.startswith("/api/bulk/"):
        return [path.replace("{task_id}", "b-ann")]
    return [path.replace("{task_id}", f"t-{state}") for state in ("pending", "in_progress", "completed", "failed")]


def test_every_route_answers_as_the_document_says(world: World) -> None:
    document = create_app(world.parts).openapi()
    run = read_message(b'{"status": "success", "duration_ms": 5}', "tdtp:pipeline:MASK_V001")
    created = Event(event_type="project.created", event_id="e-created", data={"project_id": 1})
    world.journal.append([*events_of(run), created])
    seen = set()
    bodies: dict[str, Any] = {
        "/v1/auth/token": {"data": {"username": "ann", "password": PASSWORD}},
        "/api/views": {"json": {"name": "failures"}},
        "/api/bulk": {"json": {"command": "retry", "filter": {}}},
        "/api/rules": {"json": RULE},
        "/api/rules/preview": {"json": RULE},
        "/api/retention": {"json": {"events_days": 60}},
        "/api/deadletters/replay": {"json": {"filter": {}}},
        "/api/rules/{rule_id}": {"json": RULE},
        "/api/exports": {"json": {"plan": "sales.yaml"}},
        "/api/tasks/{task_id}/run": {"json": {"args": [2], "kwargs": {}}},
    }
    for who in ("admin", "viewer", "other", "owner", None):
        client = world.client(who)
        for path, operations in document["paths"].items():
            for method in operations:
                for address in asked(path):
                    response = client(
                        method.upper(), address, **(bodies.get(path, {}) if method in {"post", "put"} else {})
                    )
                    check(document, method, path, response)
                    seen.add((method, path, response.status_code))
    good = {
        (method, path, 204 if "204" in operation["responses"] else 200)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    missing = sorted(good - seen)
    assert missing == [], "these never answered well"
    assert {409, 404, 403, 401} <= {status for _, _, status in seen}


@pytest.mark.parametrize(
    ("path", "query", "hint"),
    [
        ("/api/tasks", "stauts=failed", "`status`"),
        ("/api/tasks", "status=faild", "`failed`"),
        ("/api/tasks", "status=completed,nix", "`nix`"),
        ("/api/tasks", "sort=-created", "created_at"),
        ("/api/tasks", "sort=", ""),
        ("/api/tasks", "cursor=garbage", "cursor"),
        ("/api/tasks", "cursor=%F0%9F%92%A9", "cursor"),
        ("/api/tasks", "cursor=bnVsbA", "cursor"),
        ("/api/tasks", "cursor=WzEsMl0", "cursor"),
        ("/api/tasks", "limit=0", "`limit`"),
        ("/api/tasks", "limit=501", "500"),
        ("/api/tasks", "limit=many", "integer"),
        ("/api/tasks", "limit=1e9", "integer"),
        ("/api/tasks", "name=a%00b", "NUL"),
        ("/api/events", "after=-1", "`after`"),
        ("/api/events", "after=99999999999999999999", "`after`"),
        ("/api/events", "types=task.*", "`type`"),
        ("/api/tasks/{task_id}/logs", "after=x", "`after`"),
        ("/api/me", "x=1", "`x`"),
        ("/api/names", "prefix=" + "x" * 300, "`prefix`"),
    ],
)
def test_a_question_that_does_not_fit_is_422_and_says_what_would(
    world: World, path: str, query: str, hint: str
) -> None:
    client = world.client("admin")
    response = client("GET", f"{path.replace('{task_id}', 't-failed')}?{query}")
    assert response.status_code == 422, response.text
    check(create_app(world.parts).openapi(), "GET", path, response)
    assert hint in response.json()["detail"]


def test_a_cursor_of_another_sort_is_refused(world: World) -> None:
    client = world.client("admin")
    cursor = client("GET", "/api/tasks?limit=1&sort=name").json()["next"]
    response = client("GET", "/api/tasks", params={"sort": "-created_at", "cursor": cursor})
    assert response.status_code == 422
    assert "cursor" in response.json()["detail"]


def test_filters_may_be_repeated_or_written_with_commas(world: World) -> None:
    client = world.client("admin")

    def found(query: str) -> set[str]:
        return {task["status"] for task in client("GET", f"/api/tasks?{query}").json()["items"]}

    assert found("status=failed,pending") == found("status=failed&status=pending") == {"failed", "pending"}
    assert found("status=") == found("name=&user=&kind=&queue=&search=&cursor=") == found("")
    assert len(found("")) == 5


def test_pages_follow_each_other_to_the_end(world: World) -> None:
    client = world.client("admin")
    seen: list[str] = []
    cursor = ""
    while True:
        page = client("GET", "/api/tasks", params={"limit": 2, "cursor": cursor}).json()
        seen += [task["task_id"] for task in page["items"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert len(seen) == len(set(seen)) == 7


def test_a_task_is_told_whole(world: World) -> None:
    client = world.client("owner")
    task = client("GET", "/api/tasks/t-failed").json()
    assert task["error"] == {
        "type": "ValueError",
        "message": "no money",
        "traceback": "Traceback …",
        "place": "shop.py:7 pay",
    }
    assert task["arguments"] == {"args": [1], "kwargs": {}}
    assert task["trace_url"] == "https://traces.example.com/4bf92f3577b34da6a3ce929d0e0e4736"
    assert task["duration_ms"] == 1000
    assert task["can"]["retry"] == {"allowed": True, "why": None, "code": None}
    assert task["can"]["cancel"]["allowed"] is False
    assert "failed" in task["can"]["cancel"]["why"]
    assert client("GET", "/api/tasks/t-completed").json()["result"] == {"paid": True}
    assert "message" in client("GET", "/api/tasks/t-failed/logs").json()["items"][0]
    assert [child["task_id"] for child in client("GET", "/api/tasks/t-completed/children").json()["items"]] == [
        "t-child"
    ]
    looking = world.client("viewer")("GET", "/api/tasks/t-failed").json()["can"]
    assert not looking["retry"]["allowed"]
    assert not looking["cancel"]["allowed"]


def test_commands_carry_their_author_and_are_done_once(world: World) -> None:
    owner, admin = world.client("owner"), world.client("admin")
    retried = owner("POST", "/api/tasks/t-failed/retry")
    assert (retried.json()["status"], retried.json()["attempt"]) == ("pending", 2)
    again = admin("POST", "/api/tasks/t-failed/retry")
    assert again.status_code == 409
    assert "pending" in again.json()["detail"]
    assert admin("DELETE", "/api/tasks/t-pending").json()["status"] == "cancelled"
    assert admin("DELETE", "/api/tasks/t-pending").status_code == 409
    assert admin("DELETE", "/api/tasks/t-in_progress").json()["status"] == "in_progress"
    assert admin("POST", "/api/tasks/t-completed/retry").status_code == 409
    assert world.runner.heard == [("retry", "t-failed"), ("cancel", "t-pending"), ("cancel", "t-in_progress")]
    authors = {change["author"] for change in owner("GET", "/api/tasks/t-failed/history").json()["items"]}
    assert "7" in authors
    types = [event["event_type"] for event in admin("GET", "/api/events?type=task.retry_*").json()["items"]]
    assert types[0] == "task.retry_requested"


def test_queues_are_paused_and_resumed(world: World) -> None:
    admin = world.client("admin")
    assert admin("POST", "/api/admin/queue/pause", json={"queue": "celery"}).json()["paused"] is True
    paused = {entry["queue"] for entry in world.client("other")("GET", "/api/summary").json()["paused_queues"]}
    assert paused == {"celery", "slow"}
    rows = {row["queue"]: row for row in admin("GET", "/api/queues").json()["items"]}
    assert rows["celery"]["paused"]
    assert rows["celery"]["paused_by"] == "1"
    assert admin("POST", "/api/admin/queue/resume", json={"queue": "celery"}).json()["changed"] is True
    assert admin("POST", "/api/admin/queue/pause").json()["queue"] == "*"
    assert admin("POST", "/api/admin/queue/resume", json={"queue": "celery"}).status_code == 409
    assert admin("POST", "/api/admin/queue/resume").json()["paused"] is False


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b'{"queue": 7}', b'{"queu": "celery"}', b'{"queue": ""}', b'"\xff"', b'{"queue": "a\\u0000"}']
)
def test_an_order_that_does_not_fit_is_422_and_not_carried_out(world: World, body: bytes) -> None:
    response = world.client("admin")("POST", "/api/admin/queue/pause", content=body)
    assert response.status_code == 422
    assert response.json()["errors"]
    assert world.runner.heard == []


@pytest.mark.parametrize("task_id", ["%00", "a%00b", "x" * 5000, "%ff%fe", "..%2f..", "'; DROP TABLE tasks; --", "💩"])
def test_an_id_that_no_task_can_have_is_not_found(world: World, task_id: str) -> None:
    client = world.client("admin")
    for method, address in (("GET", ""), ("GET", "/logs"), ("POST", "/retry"), ("DELETE", "")):
        assert client(method, f"/api/tasks/{task_id}{address}").status_code == 404


def test_an_id_with_slashes_is_an_id(world: World) -> None:
    world.journal.append(story("reports/2026/a b?", "failed"))
    client = world.client("admin")
    for task_id in ("reports%2F2026%2Fa%20b%3F", "reports/2026/a%20b%3F"):
        assert client("GET", f"/api/tasks/{task_id}").json()["task_id"] == "reports/2026/a b?"
        assert len(client("GET", f"/api/tasks/{task_id}/history").json()["items"]) == 3
        assert client("POST", f"/api/tasks/{task_id}/retry").status_code == 409


def test_an_event_of_any_size_does_not_break_the_list(world: World) -> None:
    world.journal.append([Event(event_type="house.flood", data={"text": "x" * 1_000_000})])
    item = world.client("admin")("GET", "/api/events?type=house.flood").json()["items"][0]
    assert item["event_type"] == "house.flood"
    assert "too large" in item["data"]["orakul"]


def test_hostile_names_and_results_do_not_break_the_list(world: World) -> None:
    nested: Any = "end"
    for _ in range(200):
        nested = [nested]
    hostile = {"name": "<script>alert('x')</script>\u2028\"&", "arguments": {"args": [nested], "kwargs": {}}}
    world.journal.append(story("t-hostile", "completed", **hostile))
    client = world.client("admin")
    response = client("GET", "/api/tasks")
    assert response.headers["content-type"] == "application/json"
    assert hostile["name"] in {task["name"] for task in response.json()["items"]}
    assert client("GET", "/api/tasks/t-hostile").json()["arguments"]["args"]


def test_every_error_is_a_problem_document(world: World) -> None:
    client = world.client("admin")
    for method, path, status in [
        ("GET", "/api/nowhere", 404),
        ("GET", "/nowhere", 404),
        ("PUT", "/api/tasks", 405),
        ("POST", "/api/tasks/t-failed", 405),
        ("POST", "/api/tasks/subscribe", 405),
        ("GET", "/api/tasks/", 404),
        ("GET", "/api/session", 405),
        ("GET", "/v1/auth/token", 405),
    ]:
        response = client(method, path)
        assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json"), path
        assert {"type", "title", "status", "detail"} <= set(response.json())
        assert re.search(r"\w{3}", response.json()["detail"])


def test_a_fault_inside_says_nothing_of_the_inside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(world.parts.reader, "summary", broken)
    response = world.client("admin")("GET", "/api/summary")
    assert response.status_code == 500
    assert "hunter2" not in response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_a_body_without_end_is_refused(world: World) -> None:
    client = world.client("admin")
    for path in ("/api/admin/queue/pause", "/v1/auth/token"):
        said = client("POST", path, content=b"x" * 100_000)
        assert said.status_code == 413

        async def unsaid() -> Any:
            for _ in range(100):
                yield b"username=" + b"x" * 1_000

        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        assert client("POST", path, content=unsaid(), headers=headers).status_code == 413
    assert world.runner.heard == []


def test_security_headers_are_on_every_kind_of_answer(world: World) -> None:
    client = world.client("admin")
    for path in ("/", "/api/tasks", "/api/nowhere", "/healthz", "/openapi.json", "/api/tasks/subscribe"):
        headers = client("GET", path, headers={"Accept": "text/html"}).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "cache-control" in headers
    assert client("GET", "/api/tasks").headers["cache-control"] == "no-store"
    framed = world.settled(frame_ancestors=("https://house.example.com",)).client("admin")("GET", "/api/tasks")
    assert "frame-ancestors https://house.example.com" in framed.headers["content-security-policy"]
    assert "x-frame-options" not in framed.headers


def test_below_a_prefix_everything_is_found_and_the_cookie_stays_there(world: World) -> None:
    below = world.settled(root_path="/ops")
    for address in ("/ops/api/session", "/api/session"):  # whether or not the proxy takes its prefix away
        response = below.client("admin")("POST", address)
        assert response.status_code == 200
        assert "Path=/ops/;" in response.headers["set-cookie"]
    assert below.client("admin")("GET", "/ops/api/tasks").status_code == 200
    assert below.client("admin")("GET", "/ops/api/tasks/subscribe").status_code == 200
