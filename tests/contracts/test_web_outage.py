"""While the database is away the application says so, on every route, and it recovers by itself."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from servers import PostgresServer, wait_for
from test_web_access import TABLE, Row, ask, name
from web_world import World

from orakul.journals.postgres.migrations import upgrade

PATIENCE = 15.0


@pytest.fixture(scope="module")
def away() -> str:
    """An address at which nothing listens."""
    return "postgresql://orakul@127.0.0.1:9/orakul"


def with_probe(world: World) -> World:
    return replace(world, parts=replace(world.parts, probes={"database": world.parts.reader.queues}))


@pytest.fixture
def world(own_postgres: Callable[[], PostgresServer]) -> Iterator[tuple[World, PostgresServer]]:
    server = own_postgres()
    upgrade(server.url)
    found = with_probe(World.on(server.url).tell().people())
    yield found, server
    found.connections.close()


@pytest.mark.parametrize("row", [row for row in TABLE if row.path != "/api/tasks/subscribe"], ids=name)
def test_with_no_database_from_the_start_each_route_answers_soon_and_truly(away: str, row: Row) -> None:
    world = with_probe(World.on(away))
    began = time.monotonic()
    response = ask(world.client("admin"), row)
    assert time.monotonic() - began < PATIENCE
    independent = {
        "/api/me",
        "/api/settings",
        "/api/session",
        "/healthz",
        "/metrics",
        "/openapi.json",
        "/api/exports/plans",
    }
    if row.path in independent:
        assert response.status_code in {200, 204}
        return
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) >= 1
    assert "127.0.0.1" in response.json()["detail"]


def test_a_database_that_dies_and_comes_back_is_followed(world: tuple[World, PostgresServer]) -> None:
    found, server = world
    client = found.client("admin")
    assert client("GET", "/readyz").json() == {"status": "ready", "checks": {"database": "ok"}}
    server.kill9()
    wait_for(lambda: client("GET", "/readyz").status_code == 503, "readyz to notice", PATIENCE)
    problem = client("GET", "/readyz").json()
    assert problem["since"].endswith("Z")
    assert "database does not answer since" in problem["detail"]
    assert problem["checks"]["database"] != "ok"
    assert client("GET", "/api/tasks").status_code == 503
    assert client("POST", "/api/tasks/t-failed/retry").status_code == 503
    assert "orakul_journal_up 0" in client("GET", "/metrics").text
    server.start()
    wait_for(lambda: client("GET", "/readyz").status_code == 200, "readyz to recover", PATIENCE)
    assert len(client("GET", "/api/tasks").json()["items"]) == 7
    assert client("GET", "/api/tasks/t-failed").json()["status"] == "failed"


def test_a_database_that_hangs_hangs_no_request(world: tuple[World, PostgresServer]) -> None:
    found, server = world
    found.connections.close_idle()
    client = found.client("admin")
    server.freeze()
    try:
        for method, path in (("GET", "/api/tasks"), ("POST", "/api/tasks/t-failed/retry"), ("GET", "/readyz")):
            began = time.monotonic()
            response: Any = client(method, path)
            assert time.monotonic() - began < PATIENCE
            assert response.status_code == 503
    finally:
        server.thaw()
    wait_for(lambda: client("GET", "/api/tasks").status_code == 200, "the list to come back", 2 * PATIENCE)
