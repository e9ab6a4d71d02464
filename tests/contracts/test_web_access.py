"""Who may do what: every route, asked by everybody."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from web_world import PASSWORD, Client, World, bad_tokens

from orakul.web.app import create_app


class Row(NamedTuple):
    """A route, and what each who asks is answered. `public`: nobody needs to sign in."""

    method: str
    path: str
    owner: int = 200
    other: int = 200
    viewer: int = 200
    admin: int = 200
    public: bool = False
    form: dict[str, str] | None = None
    json: dict[str, Any] | None = None


RULE = {"name": "failures", "notify": ["ops"], "when": {"event": ["task.failed"]}}
TABLE = [
    Row("GET", "/api/tasks"),
    Row("GET", "/api/tasks/subscribe"),
    Row("GET", "/api/tasks/counts"),
    Row("GET", "/api/tasks/{t-completed}", other=404),
    Row("GET", "/api/tasks/{t-completed}/history", other=404),
    Row("GET", "/api/tasks/{t-failed}/logs", other=404),
    Row("GET", "/api/tasks/{t-completed}/children", other=404),
    Row("POST", "/api/tasks/{t-failed}/retry", other=404, viewer=403),
    Row("DELETE", "/api/tasks/{t-pending}", other=404, viewer=403),
    Row("GET", "/api/tasks/{t-failed}/run", other=404, viewer=403),
    Row("POST", "/api/tasks/{t-failed}/run", other=404, viewer=403, json={"args": [2], "kwargs": {}}),
    Row("GET", "/api/bulk"),
    Row("POST", "/api/bulk", viewer=403, json={"command": "retry", "filter": {"status": ["failed"]}}),
    Row("GET", "/api/bulk/{b-ann}", other=404),
    Row("GET", "/api/bulk/{b-ann}/results", other=404),
    Row("DELETE", "/api/bulk/{b-ann}", other=404, viewer=403),
    Row("GET", "/api/exports"),
    Row("POST", "/api/exports", owner=403, other=403, viewer=403, json={"plan": "sales.yaml"}),
    Row("GET", "/api/exports/plans"),
    Row("GET", "/api/exports/{x-ann}/files", other=404),
    Row("GET", "/api/exports/{x-ann}/files/{0}", other=404, viewer=403),
    Row("POST", "/api/admin/queue/pause", owner=403, other=403, viewer=403),
    Row("POST", "/api/admin/queue/resume", owner=403, other=403, viewer=403),
    Row("GET", "/api/audit", owner=403, other=403),
    Row("GET", "/api/summary"),
    Row("GET", "/api/events", owner=403, other=403),
    Row("GET", "/api/events/figures", owner=403, other=403),
    Row("GET", "/api/events/published", owner=403, other=403),
    Row("GET", "/api/events/journey?event_id=none", owner=403, other=403, viewer=404, admin=404),
    Row("GET", "/api/deadletters", owner=403, other=403),
    Row("POST", "/api/deadletters/replay", owner=403, other=403, viewer=403, json={"filter": {}}),
    Row("GET", "/api/names"),
    Row("GET", "/api/queues", owner=403, other=403),
    Row("GET", "/api/workers", owner=403, other=403),
    Row("GET", "/api/errors"),
    Row("GET", "/api/moment?at=2026-03-01T12:00:00Z"),
    Row("GET", "/api/moment/range"),
    Row("GET", "/api/retention", owner=403, other=403),
    Row("PUT", "/api/retention", owner=403, other=403, viewer=403, json={"events_days": 60}),
    Row("GET", "/api/retention/preview", owner=403, other=403),
    Row("GET", "/api/moment/changes?from=2026-03-01&to=2026-03-02"),
    Row("GET", "/api/pipelines"),
    Row("GET", "/api/pipelines/{p-mask}", owner=404, other=404, viewer=404, admin=404),
    Row("GET", "/api/charts"),
    Row("GET", "/api/insights"),
    Row("GET", "/api/operations"),
    Row("GET", "/api/rules", owner=403, other=403),
    Row("POST", "/api/rules", owner=403, other=403, viewer=403, json=RULE),
    Row("POST", "/api/rules/preview", owner=403, other=403, viewer=403, json=RULE),
    Row("PUT", "/api/rules/{r-ada}", owner=403, other=403, viewer=403, json=RULE),
    Row("DELETE", "/api/rules/{r-ada}", 403, 403, 403, 204),
    Row("GET", "/api/rules/{r-ada}/preview", owner=403, other=403),
    Row("POST", "/api/rules/{r-ada}/try", owner=403, other=403, viewer=403),
    Row("GET", "/api/views"),
    Row("POST", "/api/views", viewer=403, json={"name": "failures", "query": "status=failed", "shared": True}),
    Row("DELETE", "/api/views/{v-ann}", 204, 404, 404, 404),
    Row("GET", "/api/me"),
    Row("GET", "/api/settings"),
    Row("POST", "/api/session"),
    Row("DELETE", "/api/session", 204, 204, 204, 204),
    Row("POST", "/v1/auth/token", public=True, form={"username": "ann", "password": PASSWORD}),
    Row("GET", "/metrics", public=True),
    Row("GET", "/healthz", public=True),
    Row("GET", "/readyz", public=True),
    Row("GET", "/openapi.json", public=True),
]
COMMANDS = [row for row in TABLE if row.method != "GET" and not row.public]


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    found = World.on(database_url).tell().people()
    yield found
    found.connections.close()


def name(row: Row) -> str:
    return f"{row.method} {row.path}"


def ask(client: Client, row: Row, **request: Any) -> Any:
    if row.form:
        request["data"] = row.form
    if row.json:
        request["json"] = row.json
    return client(row.method, re.sub(r"[{}]", "", row.path), **request)


def served(routes: Any) -> Iterator[tuple[str, str]]:
    for route in routes:
        inner = getattr(route, "original_router", route)
        if hasattr(inner, "routes"):
            yield from served(inner.routes)
        for method in getattr(route, "methods", None) or ():
            if method != "HEAD":
                yield method, route.path.replace(":path", "")


def test_every_route_is_in_the_table(world: World) -> None:
    app = create_app(world.parts)
    named = {
        "b": "{task_id}",
        "t": "{task_id}",
        "v": "{view_id}",
        "x": "{task_id}",
        "0": "{number}",
        "r": "{rule_id}",
        "p": "{result_name}",
    }
    in_table = {
        (row.method, re.sub(r"\{(.)[^}]*\}", lambda found: named[found[1]], row.path.partition("?")[0]))
        for row in TABLE
    }
    assert set(served(app.routes)) == in_table
    in_document = {(m.upper(), path) for path, operations in app.openapi()["paths"].items() for m in operations}
    assert in_document | {("GET", "/openapi.json")} == in_table


@pytest.mark.parametrize("row", TABLE, ids=name)
def test_nobody_gets_in_without_a_good_token(world: World, row: Row) -> None:
    expected = 200 if row.public else 401
    client = world.client()
    assert ask(client, row).status_code == expected
    for kind, token in bad_tokens().items():
        for headers in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"orakul_session={token}"}):
            response = ask(client, row, headers={**headers, "Sec-Fetch-Site": "same-origin"})
            assert response.status_code == expected, kind
            if expected == 401:
                assert response.headers["www-authenticate"].startswith("Bearer")
                assert response.headers["content-type"] == "application/problem+json"
    for header in ("", "Basic YWRhOmFkYQ==", "Bearer", "Bearer ", world.tokens["admin"]):
        assert ask(client, row, headers={"Authorization": header}).status_code == expected
    assert world.runner.heard == []


@pytest.mark.parametrize("who", ["other", "viewer", "owner", "admin"])
@pytest.mark.parametrize("row", TABLE, ids=name)
def test_everybody_gets_what_is_theirs_and_no_more(world: World, row: Row, who: str) -> None:
    expected = getattr(row, who)
    response = ask(world.client(who), row)
    assert response.status_code == expected, response.text
    if expected in {403, 404}:
        assert world.runner.heard == []
        assert "shop.pay" not in response.text
    if who == "other" and expected == 200 and not row.public:
        assert "t-" not in response.text
        assert "shop.pay" not in response.text


@pytest.mark.parametrize("row", [row for row in TABLE if "{" in row.path and row.other == 404], ids=name)
def test_a_task_of_another_is_answered_just_like_one_that_is_not_there(world: World, row: Row) -> None:
    client = world.client("other")
    anothers = ask(client, row)
    nobodys = ask(client, row._replace(path=re.sub(r"\{[^}]*\}", "no-such-task", row.path)))
    assert anothers.status_code == nobodys.status_code == 404
    assert anothers.json()["title"] == nobodys.json()["title"]
    assert anothers.text.replace(re.findall(r"\{([^}]*)\}", row.path)[0], "no-such-task") == nobodys.text


@pytest.mark.parametrize("row", COMMANDS, ids=name)
def test_a_command_with_a_cookie_needs_the_same_origin(world: World, row: Row) -> None:
    session = world.client("admin")("POST", "/api/session").cookies["orakul_session"]
    client = world.client(headers={"Cookie": f"orakul_session={session}"})
    foreign: list[dict[str, str]] = [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://orakul.test"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
    ]
    for headers in foreign:
        response = ask(client, row, headers=headers)
        assert response.status_code == 403, headers
        assert response.json()["type"] == "urn:orakul:problem:cross-site"
    assert world.runner.heard == []
    assert ask(client, row, headers={"Sec-Fetch-Site": "same-origin"}).status_code == row.admin


def test_origin_alone_will_do_where_the_browser_sends_no_more(world: World) -> None:
    session = world.client("admin")("POST", "/api/session").cookies["orakul_session"]
    client = world.client(headers={"Cookie": f"orakul_session={session}", "Origin": "http://orakul.test"})
    assert client("POST", "/api/admin/queue/pause").status_code == 200


@pytest.mark.parametrize("row", [row for row in TABLE if row.method == "GET"], ids=name)
def test_a_cookie_reads_what_its_bearer_may(world: World, row: Row) -> None:
    for who in ("owner", "other", "viewer", "admin"):
        session = world.client(who)("POST", "/api/session").cookies["orakul_session"]
        assert ask(world.client(headers={"Cookie": f"orakul_session={session}"}), row).status_code == getattr(row, who)


def test_a_bad_bearer_token_is_not_made_good_by_a_cookie(world: World) -> None:
    session = world.client("admin")("POST", "/api/session").cookies["orakul_session"]
    client = world.client(headers={"Cookie": f"orakul_session={session}", "Authorization": "Bearer forged"})
    assert client("GET", "/api/me").status_code == 401


def test_the_stream_is_told_who_listens(world: World) -> None:
    assert "data: 8 user" in world.client("other")("GET", "/api/tasks/subscribe").text
    assert "data: 1 admin" in world.client("admin")("GET", "/api/tasks/subscribe").text


def test_lists_of_an_ordinary_user_cannot_be_widened(world: World) -> None:
    client = world.client("other")
    for query in ("user=7", "user=*", "search=t-", "search=t-failed", "name=shop.*", "queue=celery", "owner=7"):
        response = client("GET", f"/api/tasks?{query}")
        assert response.status_code == (422 if query.startswith("owner") else 200)
        assert "t-failed" not in response.text.replace(query, "")
    assert client("GET", "/api/names?prefix=shop").json()["items"] == []
    figures = client("GET", "/api/summary").json()
    assert (figures["queued"], figures["active"], figures["failure_rate_24h"]) == (0, 0, None)


def test_a_cursor_of_an_administrator_shows_another_nothing(world: World) -> None:
    cursor = world.client("admin")("GET", "/api/tasks?limit=1").json()["next"]
    assert cursor
    response = world.client("other")("GET", "/api/tasks", params={"cursor": cursor})
    assert response.status_code in {200, 422}
    assert "t-" not in response.text


@pytest.mark.parametrize(
    ("protection", "expected"),
    [
        ("open", {None: 200, "other": 200, "viewer": 200, "admin": 200}),
        ("signed-in", {None: 401, "other": 403, "viewer": 200, "admin": 200}),
        ("off", {None: 404, "other": 404, "viewer": 404, "admin": 404}),
    ],
)
def test_metrics_are_for_whom_the_settings_say(world: World, protection: Any, expected: dict[str | None, int]) -> None:
    guarded = world.settled(metrics=protection)
    for who, status in expected.items():
        assert guarded.client(who)("GET", "/metrics").status_code == status
