"""The watcher of pipelines: what it prints, and that nothing is missed while it, or Redis, is killed."""

import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import Process, RedisServer, wait_for

from orakul.journals.postgres import Connections, PostgresReader
from orakul.pipelines import poll_pipeline_state
from orakul.tasks import TaskQuery

WATCH = [sys.executable, "-m", "orakul", "watch", "tdtp"]
RUNS = int(os.environ.get("ORAKUL_TEST_PIPELINE_RUNS", "1000"))


def message(number: int, name: str, **changes: Any) -> str:
    form = {
        "pipeline_name": "erp_mask_sync",
        "result_name": name,
        "status": "success",
        "started_at": f"2025-11-18T10:{number // 60 % 60:02}:{number % 60:02}Z",
        "finished_at": f"2025-11-18T10:{number // 60 % 60:02}:{number % 60:02}.500Z",
        "duration_ms": number,
        "rows_loaded": 15000,
        "rows_exported": 15000,
    }
    return json.dumps(form | changes)


@pytest.fixture
def client(own_redis: Callable[[], RedisServer]) -> Iterator[tuple[RedisServer, Any]]:
    import redis

    server = own_redis()
    with redis.Redis.from_url(server.url, socket_timeout=2) as connection:
        yield server, connection


@pytest.fixture
def watcher(spawn: Callable[..., Process], data_dir: Path, database_url: str) -> Callable[..., Process]:
    """Start `orakul watch tdtp` on the test's journal."""

    def start(server: RedisServer, *options: str) -> Process:
        environment = {**os.environ, "ORAKUL_DATA": str(data_dir), "ORAKUL_DATABASE_URL": database_url}
        return spawn([*WATCH, "--port", str(server.port), *options], env=environment, cwd=data_dir)

    return start


def listening(client: Any) -> bool:
    return bool(client.pubsub_numpat())


def test_it_prints_what_the_document_shows(
    client: tuple[RedisServer, Any], watcher: Callable[..., Process], database_url: str
) -> None:
    server, redis = client
    process = watcher(server)
    wait_for(lambda: listening(redis), "the watcher to listen")
    text = message(1842, "MASK_V001", rows_exported=14998)
    redis.set("tdtp:pipeline:MASK_V001:state", text, ex=3600)
    redis.publish("tdtp:pipeline:MASK_V001", text)
    redis.publish("tdtp:pipeline:odd", "{nonsense")
    redis.publish("tdtp:pipeline:A: b", message(1, "A: b", status="failed", error="connection refused"))
    wait_for(lambda: "connection refused" in process.text(), "the failure to be printed")
    said = process.text()
    assert (
        f"[TDTP Orchestrator] Подключен к Redis 127.0.0.1:{server.port}\n"
        "[TDTP Orchestrator] Слушаем события пайплайнов (Ctrl+C для остановки)...\n"
        "-------------------------------------------------------\n"
        "[EVENT] erp_mask_sync -> MASK_V001\n"
        "  Status  : SUCCESS (1.84s)\n"
        "  Rows    : loaded=15000  exported=14998\n"
        "  [DQ]    : WARN — 2 строки отброшено валидатором/фильтром\n"
    ) in said
    assert "tdtp:pipeline:odd: not a message of a pipeline" in said
    assert "[EVENT] erp_mask_sync -> A: b\n  Status  : FAILED\n  Error   : connection refused\n" in said
    assert said.count("MASK_V001") == 1  # the state key told it again
    assert process.stop(signal.SIGINT) == 0
    tasks = PostgresReader(database_url).tasks(TaskQuery(kind=["pipeline"])).items
    assert sorted(str(task.status) for task in tasks) == ["completed", "failed"]


def test_lines_of_json_are_for_programs(client: tuple[RedisServer, Any], watcher: Callable[..., Process]) -> None:
    server, redis = client
    process = watcher(server, "--json", "--no-journal")
    wait_for(lambda: listening(redis), "the watcher to listen")
    redis.publish("tdtp:pipeline:M", message(5, "M", extra_field=[1]))
    line = json.loads(str(wait_for(lambda: process.text().strip(), "a line")))
    assert (line["result_name"], line["verdict"], line["extra"]) == ("M", "success", {"extra_field": [1]})


def test_a_state_is_polled_until_it_expires(client: tuple[RedisServer, Any]) -> None:
    import asyncio

    from redis.asyncio import Redis

    server, redis = client
    assert poll_pipeline_state(redis, "MASK_V001") is None
    redis.set("tdtp:pipeline:MASK_V001:state", message(1, "MASK_V001"), ex=3600)
    assert poll_pipeline_state(redis, "MASK_V001")["status"] == "success"

    async def ask() -> Any:
        async with Redis.from_url(server.url) as connection:
            return await poll_pipeline_state(connection, "MASK_V001"), await poll_pipeline_state(connection, "GONE")

    state, gone = asyncio.run(ask())
    assert (state["status"], gone) == ("success", None)


@pytest.mark.slow
def test_every_run_whose_state_lives_is_recorded_once_whatever_is_killed(
    client: tuple[RedisServer, Any], watcher: Callable[..., Process], database_url: str
) -> None:
    server, redis = client
    chance = random.Random(7)  # noqa: S311 (no secret)
    published = threading.Event()

    def publish() -> None:
        for number in range(RUNS):
            name = f"R{number % 400}"
            text = message(number, name)
            while True:  # as a producer does that wants its word heard
                with contextlib.suppress(Exception):
                    redis.set(f"tdtp:pipeline:{name}:state", text, ex=3600)
                    redis.publish(f"tdtp:pipeline:{name}", text)
                    break
                time.sleep(0.05)
            time.sleep(0.01)
        published.set()

    process = watcher(server)
    publisher = threading.Thread(target=publish)
    publisher.start()
    while not published.wait(chance.uniform(0.5, 1.5)):
        if chance.random() < 0.6:
            process.kill9()
            time.sleep(chance.uniform(0.0, 0.5))
            process = watcher(server)
        else:
            server.kill9()
            time.sleep(chance.uniform(0.0, 0.5))
            server.start()
    publisher.join()
    states = {json.loads(redis.get(key))["duration_ms"] for key in redis.scan_iter("tdtp:pipeline:*:state", count=1000)}
    assert len(states) == min(RUNS, 400)
    connections = Connections(database_url)

    def recorded() -> Counter[int]:
        rows = connections.run(
            "read",
            lambda connection: connection.execute(
                "SELECT (result ->> 'duration_ms')::float FROM orakul.tasks WHERE kind = 'pipeline'"
            ).fetchall(),
        )
        return Counter(int(row[0]) for row in rows)

    wait_for(lambda: states <= set(recorded()), "every run whose state lives to be recorded", timeout=60)
    assert set(recorded().values()) == {1}
    connections.close()
