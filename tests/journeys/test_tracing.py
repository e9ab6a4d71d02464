"""A request, the task that it sends, what that asks of a database and of a service: one trace, with the right parents.

Real processes: two web servers, a prefork worker, a broker, PostgreSQL; and a collector that decodes what they send.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from collector import Collector, Received
from fleets import Fleet
from servers import Process, free_port, wait_for

from orakul.tasks import Status

pytestmark = pytest.mark.slow


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        yield found


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Any:
    """Redis, or what the test is parametrized with."""
    return request.getfixturevalue(getattr(request, "param", "redis_url"))


@pytest.fixture
def fleet(tmp_path: Path, database_url: str, broker: str, redis_url: str, collector: Collector) -> Iterator[Fleet]:
    made = Fleet(tmp_path, database_url, broker, app="traced", backend=redis_url)
    made.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
    made.environment["OTEL_BSP_SCHEDULE_DELAY"] = "100"
    yield made
    made.close()


@pytest.fixture
def serve(fleet: Fleet, spawn: Callable[..., Process], tmp_path: Path) -> Callable[[str, str], str]:
    """Serve one of the applications by uvicorn, in a process of its own; return its address."""

    def serving(module: str, name: str) -> str:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", f"{module}:app", "--port", str(port), "--log-level", "warning"]
        process = spawn(command, env={**fleet.environment, "OTEL_SERVICE_NAME": name}, cwd=tmp_path)

        def answers() -> bool:
            assert process.alive, process.text()
            try:
                return httpx.get(f"http://127.0.0.1:{port}/").status_code == 404
            except httpx.TransportError as error:
                raise AssertionError("not yet") from error

        wait_for(answers, f"{module} to answer", timeout=60)
        return f"http://127.0.0.1:{port}"

    return serving


def one(spans: list[Received], **facts: Any) -> Received:
    """Return the only span with these facts."""
    found = [span for span in spans if all(getattr(span, name) == value for name, value in facts.items())]
    assert len(found) == 1, (facts, [(span.name, span.kind, span.service) for span in spans])
    return found[0]


@pytest.mark.parametrize("broker", ["redis_url", "rabbitmq_url"], indirect=True)
def test_a_request_and_all_that_came_of_it_is_one_trace(
    fleet: Fleet, collector: Collector, serve: Callable[[str, str], str]
) -> None:
    stock = serve("traced_stock", "stock")
    fleet.environment["STOCK_URL"] = stock
    web = serve("traced_web", "shop-web")
    fleet.worker("-c1", "-Q", fleet.queue, OTEL_SERVICE_NAME="shop-worker")
    collector.spans.clear()
    answer = httpx.post(f"{web}/orders/7", headers={"X-Correlation-ID": "order-7"})
    assert answer.json()["correlation"] == answer.headers["x-correlation-id"] == "order-7"
    task = fleet.ended(answer.json()["task"])
    assert task.status is Status.COMPLETED
    assert task.result == {"correlation": "order-7", "stock": ["order-7"] * 3}

    def whole(spans: list[Received]) -> bool:
        mine = [span for span in spans if span.trace_id == task.trace_id]
        return sum(span.service == "stock" for span in mine) == 3 and any(span.kind == "consumer" for span in mine)

    spans = [span for span in collector.until(whole, "the whole trace") if span.trace_id == task.trace_id]
    root = one(spans, parent_id=None)
    assert (root.kind, root.service, root.name) == ("server", "shop-web", "POST /orders/{item}")
    assert root.attributes["correlation.id"] == "order-7"
    sent = one(spans, name="send traced.order")
    assert (sent.parent_id, sent.kind, sent.service) == (root.span_id, "producer", "shop-web")
    assert sent.attributes["messaging.destination.name"] == fleet.queue
    assert sent.attributes["messaging.message.id"] == task.task_id
    ran = one(spans, name="process traced.order")
    assert (ran.parent_id, ran.kind, ran.service) == (sent.span_id, "consumer", "shop-worker")
    assert ran.attributes["correlation.id"] == "order-7"
    assert ran.attributes["celery.state"] == "SUCCESS"
    assert ran.attributes["messaging.system"] == ("rabbitmq" if "amqp" in fleet.environment["APP_BROKER"] else "redis")
    query = one(spans, name="SELECT", kind="client", scope="opentelemetry.instrumentation.psycopg")
    assert query.parent_id == ran.span_id
    assert query.attributes["db.statement"] == "SELECT 'the order'"
    assert one(spans, scope="orakul.sqlalchemy").parent_id == ran.span_id
    clients = {f"opentelemetry.instrumentation.{name}" for name in ("httpx", "requests", "urllib")}
    calls = [span for span in spans if span.parent_id == ran.span_id and span.scope in clients]
    assert len(calls) == 3
    served = [span for span in spans if span.service == "stock"]
    assert {span.parent_id for span in served} == {call.span_id for call in calls}
    assert all(span.attributes["correlation.id"] == "order-7" for span in served)
    assert {span.kind for span in served} == {"server"}
    assert not [span for span in spans if span.scope.endswith(".redis")]  # Celery's own broker and results
    # Nothing beside it: no waiting for a broker, no heartbeats, no query of Orakul's own.
    assert {span.trace_id for span in collector.spans if span.service == "shop-worker"} == {task.trace_id}


def tree(spans: list[Received], trace: str | None) -> dict[str, list[str]]:
    """Return the names of Celery's spans of a trace, below the names of their parents."""
    mine = {span.span_id: span for span in spans if span.trace_id == trace and span.scope == "orakul.celery"}
    found: dict[str, list[str]] = {}
    for span in mine.values():
        above = mine.get(span.parent_id or "")
        found.setdefault(above.name if above else "", []).append(span.name.replace("traced.", ""))
    return {name.replace("traced.", ""): sorted(below) for name, below in found.items()}


def test_whatever_a_task_does_stays_in_its_trace(fleet: Fleet, collector: Collector) -> None:
    """Retries, chains, groups, chords, failures; also where the line of telemetry stands first in the application."""
    fleet.environment["APP_FIRST"] = "telemetry"
    fleet.worker("-c2", "-Q", fleet.queue)
    code = (
        "from orakul.telemetry import correlated\n"
        "with correlated('c-1'):\n"
        "    sent = [flaky.delay(), broken.delay(), flow.delay(), add.apply_async((1, 1), countdown=0.3)]\n"
        "result = [each.id for each in sent]"
    )
    flaky, broken, flow, later = (fleet.ended(each) for each in fleet.publish(code))
    flaky = fleet.ended(flaky.task_id, attempt=2)
    assert flaky.result == "c-1"
    assert len({task.trace_id for task in (flaky, broken, flow, later)}) == 4
    assert None not in {task.trace_id for task in (flaky, broken, flow, later)}

    spans = collector.until(lambda found: len([span for span in found if span.scope == "orakul.celery"]) >= 24)
    assert tree(spans, flaky.trace_id) == {
        "": ["send flaky"],
        "send flaky": ["process flaky", "process flaky"],
        "process flaky": ["send flaky"],
    }
    runs = [span for span in spans if span.name == "process traced.flaky"]
    before, after = sorted(runs, key=lambda span: span.attributes["celery.attempt"])
    assert (before.events, before.failed, before.attributes["celery.state"]) == (["celery.retry"], False, "RETRY")
    assert after.links == [before.span_id]
    failure = one(spans, name="process traced.broken")
    assert (failure.failed, failure.events) == (True, ["exception"])
    below = tree(spans, flow.trace_id)
    assert below[""] == ["send flow"]
    assert below["send flow"] == ["process flow"]
    assert below["process flow"] == ["send add"] * 5
    assert sorted(below["process add"]) == ["send add", "send total"]
    assert below["send total"] == ["process total"]
    assert {span.attributes["correlation.id"] for span in spans if span.scope == "orakul.celery"} == {"c-1"}
    total = fleet.ended(flow.result)
    assert (total.trace_id, total.result) == (flow.trace_id, 22)


def test_a_trace_may_begin_in_the_worker(fleet: Fleet, collector: Collector) -> None:
    """Nobody traced the publisher: the trace of the task is that of its own run, in every pool.

    One worker's application sets up OpenTelemetry by itself, after us and in each child, as its documentation says:
    then that is what tells, and nothing of ours beside it.
    """
    pools = {name: name for name in ("prefork", "threads", "solo", "gevent")} | {"own": "prefork"}
    for name, pool in pools.items():
        own = {"APP_OWN": "1"} if name == "own" else {}
        concurrency = [] if pool == "solo" else ["-c2"]
        fleet.worker("-P", pool, *concurrency, "-Q", name, ready=False, OTEL_SERVICE_NAME=name, **own)
    fleet.environment["OTEL_SDK_DISABLED"] = "true"
    sent = {name: fleet.send(f"add.apply_async((2, 3), queue={name!r})") for name in pools}
    tasks = {name: fleet.until(task_id, Status.COMPLETED, timeout=60) for name, task_id in sent.items()}
    spans = collector.until(lambda found: {span.service for span in found} == set(pools))
    assert len(spans) == len(pools)
    for name, task in tasks.items():
        span = one(spans, service=name)
        assert (span.parent_id, span.kind, span.trace_id) == (None, "consumer", task.trace_id)
        assert span.name == ("run/traced.add" if name == "own" else "process traced.add")
