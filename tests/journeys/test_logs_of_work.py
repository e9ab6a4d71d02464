"""Logs as ECS of a real web application and a real Celery worker; back ends that are down cost the work nothing."""

import json
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from counterparties import Counterparty, counterparty
from fleets import Fleet
from processes import Process, free_port
from servers import wait_for

from orakul.tasks import Status

pytestmark = pytest.mark.slow

NO_TRACES = {"OTEL_TRACES_EXPORTER": "none"}


@pytest.fixture
def fleet(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Fleet]:
    made = Fleet(tmp_path, database_url, redis_url, app="ticketing")
    yield made
    made.close()


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def office(fleet: Fleet, **environment: str) -> tuple[Process, str]:
    """Start the web application as a newcomer does."""
    port = free_port()
    web = Process(
        [sys.executable, "-m", "uvicorn", "ticketing:web", "--port", str(port)],
        log=fleet.folder / "web.log",
        env={**fleet.environment, **NO_TRACES, **environment},
        cwd=fleet.folder,
    )
    fleet.workers.append(web)
    wait_for(lambda: "Uvicorn running" in web.text() or not web.alive, "the web application", timeout=60)
    return web, f"http://127.0.0.1:{port}"


def test_every_line_of_a_request_and_its_tasks_is_ecs_and_has_its_ids(fleet: Fleet) -> None:
    """One request, its task in a prefork child, structlog, a print, an error: joined by trace and request."""
    with counterparty() as elastic:
        elastic.answer = lambda asked: (200, _taken(asked))
        worker = fleet.worker("-c", "1", APP_ELASTIC=elastic.url, **NO_TRACES)
        web, url = office(fleet)
        task_id = httpx2.post(f"{url}/book/13?token=t0p-s3cret", headers={"X-Correlation-ID": "call-1"}).json()["task"]
        fleet.until(task_id, Status.FAILED, timeout=60)
        wait_for(lambda: "raised unexpected" in worker.text(), "the line of the error")
        wait_for(lambda: b"raised unexpected" in b"".join(_sources(elastic)), "the line in Elasticsearch")
    asked = {line["message"]: line for line in lines_of(web.text())}
    ran = {line["message"]: line for line in lines_of(worker.text())}
    order, priced = asked["order for 13"], ran["priced"]
    assert order["http.request.id"] == priced["http.request.id"] == "call-1"
    assert re.fullmatch("[0-9a-f]{32}", order["trace.id"])
    assert order["trace.id"] == priced["trace.id"]
    for message in ("booking seat 13", "priced", "printed by the task", "pays with •••"):
        line = ran[message]
        assert (line["orakul.task.id"], line["orakul.task.name"]) == (task_id, "ticketing.book")
        assert (line["orakul.task.queue"], line["orakul.task.worker"]) == (fleet.queue, "w0@test")
        assert (line["user.id"], line["service.environment"]) == ("ann", "test")
    assert ran["priced"]["labels"] == {"seat": "13", "price": "12.5"}
    assert ran[f"Task ticketing.book[{task_id}] received"]["orakul.task.id"] == task_id
    error = next(line for line in ran.values() if "error.type" in line)
    assert (error["error.type"], error["error.message"]) == ("ValueError", "no seat 13")
    assert asked.keys() >= {"Application startup complete."}
    everything = web.text() + worker.text() + b"".join(_sources(elastic)).decode()
    assert "4111-1111" not in everything
    assert "t0p-s3cret" not in everything


def _sources(elastic: Counterparty) -> list[bytes]:
    import gzip

    return [gzip.decompress(asked.body) for asked in list(elastic.asked)]


def _taken(asked: Any) -> dict[str, Any]:
    import gzip

    return {"errors": False, "items": [{"create": {"status": 201}}] * (gzip.decompress(asked.body).count(b"\n") // 2)}


def test_what_tasks_log_stays_on_the_workers_own_log(fleet: Fleet) -> None:
    """With Orakul installed and logs as Celery has them, nothing is missing that was there without it."""
    worker = fleet.worker("-c", "1", APP_PLAIN="1", **NO_TRACES)
    _, url = office(fleet, APP_PLAIN="1")
    httpx2.post(f"{url}/book/7")
    wait_for(lambda: "succeeded in" in worker.text(), "the end of the task")
    for line in ("booking seat 7", "printed by the task", "pays with"):
        assert line in worker.text()


def test_back_ends_that_are_down_cost_the_work_nothing(fleet: Fleet) -> None:
    """One refuses, one never answers, one says 500: each task ends as it should, and the worker in good time."""
    with counterparty() as broken, closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as silent:
        broken.trouble = 500
        never = f"http://127.0.0.1:{silent.getsockname()[1]}"
        worker = fleet.worker(
            "-c",
            "2",
            APP_ELASTIC=broken.url,
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{never}/v1/traces",
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"http://127.0.0.1:{free_port()}/v1/metrics",
            OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=f"{never}/v1/logs",
            OTEL_METRICS_EXPORTER="otlp",
            OTEL_LOGS_EXPORTER="otlp",
            OTEL_METRIC_EXPORT_INTERVAL="500",
        )
        ids = fleet.publish("result = [book.delay(n).id for n in range(100) if n != 13]")
        for task_id in ids:
            fleet.until(task_id, Status.COMPLETED, timeout=60)
        worker.stop(timeout=60)
        assert broken.asked
    lines = lines_of(worker.text())
    booked = {line["orakul.task.id"] for line in lines if line["message"].startswith("booking seat")}
    assert booked == set(ids)
    assert not [line for line in lines if line["log.level"] == "error" and "error.type" in line]
