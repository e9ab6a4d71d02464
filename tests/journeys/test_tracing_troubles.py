"""A collector that is away, slow or erring costs the work nothing; an application's own OpenTelemetry is left alone."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from collector import Collector
from servers import free_port

WORK = """
import json, resource, sys, time
from opentelemetry import trace
from orakul import instruments, telemetry

tracing = telemetry.set_up("work")
tracer = trace.get_tracer("test")
def work(n):
    began = time.perf_counter()
    for number in range(n):
        with tracer.start_as_current_span("step", attributes={"number": number}):
            pass
    return (time.perf_counter() - began) / n
work(2000)
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
each = work(int(sys.argv[1]))
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
dropped = [one for one in instruments.collect() if one.name == "orakul_telemetry_dropped_total"]
print(json.dumps({"each": each, "grown": grown, "dropped": sum(dropped[0].samples.values()), "at": time.time()}))
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        yield found


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[dict[str, Any], float, str]]:
    """Run a program to its end; return what it printed last, how long it took to end after that, and its errors."""

    def running(program: str, *arguments: str, **environment: str) -> tuple[dict[str, Any], float, str]:
        path = tmp_path / "program.py"
        path.write_text(program)
        ended = subprocess.run(
            [sys.executable, str(path), *arguments],
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        took = time.time()
        assert ended.returncode == 0, ended.stderr
        said = json.loads(ended.stdout.splitlines()[-1])
        return said, took - said.get("at", took), ended.stderr

    return running


@pytest.mark.parametrize("trouble", ["away", "slow", "erring"])
def test_a_collector_in_trouble_costs_nothing_and_what_is_lost_is_counted(
    collector: Collector, run: Callable[..., Any], trouble: str
) -> None:
    collector.mode = trouble
    endpoint = f"http://127.0.0.1:{free_port()}" if trouble == "away" else collector.url
    queue = {"OTEL_BSP_MAX_QUEUE_SIZE": "1000", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    said, ending, errors = run(WORK, "20000", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **queue)
    assert said["dropped"] > 10_000  # 22,000 spans, a queue of 1,000, and a few batches on their way
    assert said["grown"] < 30_000  # kilobytes
    assert ending < 15  # 3 s are given to the last ones, the rest is the interpreter's end on a busy machine
    assert "Traceback" not in errors


def test_one_that_answers_gets_every_span(collector: Collector, run: Callable[..., Any]) -> None:
    said, _ending, errors = run(WORK, "3000", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    assert said["dropped"] == 0
    collector.until(lambda spans: len(spans) == 5000)
    assert {span.service for span in collector.spans} == {"work"}
    assert errors == ""


def test_the_standard_variables_hold(collector: Collector, run: Callable[..., Any]) -> None:
    program = WORK.replace('set_up("work")', 'set_up("work", headers={"x-house": "7"})')
    run(
        program,
        "10",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/here",
        OTEL_EXPORTER_OTLP_HEADERS="x-tenant=a",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_SERVICE_NAME="named",
        OTEL_TRACES_SAMPLER="traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.5",
    )
    spans = collector.until(lambda found: found)
    assert {span.service for span in spans} == {"named"}
    assert 500 < len(spans) < 1500
    path, headers = collector.requests[0]
    assert path == "/here"
    assert headers["x-house"] == "7"
    assert headers["content-encoding"] == "gzip"


def test_a_wrong_setting_is_told_and_costs_nothing_else(collector: Collector, run: Callable[..., Any]) -> None:
    wrong = {"ORAKUL_TELEMETRY_ENDPOINT": "collector:4318", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    _said, _ending, errors = run(WORK, "10", **wrong)
    assert "ORAKUL_TELEMETRY_ENDPOINT: telemetry.endpoint cannot be 'collector:4318'" in errors
    assert collector.until(lambda found: found)


@pytest.mark.parametrize("switch", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_it_can_be_switched_off(collector: Collector, run: Callable[..., Any], switch: dict[str, str]) -> None:
    run(WORK, "10", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **switch)
    assert collector.requests == []


OWN = """
import json, os
from opentelemetry import trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)
THEIRS
import celery, requests
from orakul import telemetry
from orakul.instruments import span

app = celery.Celery("own", broker="memory://", backend="cache+memory://")
app.conf.task_always_eager = EAGER
tracing = telemetry.set_up("other", celery=app)

@app.task
def add(x, y):
    return x + y

with telemetry.correlated("c-5"):
    add.delay(1, 2)
with span("orakul.own"):
    pass
assert trace.get_tracer_provider() is provider and tracing.joined
from opentelemetry.instrumentation.requests import RequestsInstrumentor
print(json.dumps({
    "names": sorted((each.name, each.instrumentation_scope.name) for each in kept.get_finished_spans()),
    "requests": RequestsInstrumentor().is_instrumented_by_opentelemetry,
}))
"""


@pytest.mark.parametrize("theirs", ["CeleryInstrumentor().instrument()", ""])
def test_an_applications_own_opentelemetry_is_joined_and_nothing_is_told_twice(
    run: Callable[..., Any], collector: Collector, theirs: str
) -> None:
    program = OWN.replace("THEIRS", theirs).replace("EAGER", "False")
    said, _, _ = run(program, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    sent = (
        ["apply_async/own.add", "opentelemetry.instrumentation.celery"] if theirs else ["send own.add", "orakul.celery"]
    )
    assert said["names"] == sorted([sent, ["orakul.own", "orakul"]])
    assert said["requests"] is False
    assert collector.requests == []


def test_a_wrong_argument_is_told_with_what_to_write(run: Callable[..., Any]) -> None:
    program = """
import json
from orakul import telemetry
from orakul.errors import OrakulError
try:
    telemetry.set_up("work", ARGUMENT)
except OrakulError as error:
    print(json.dumps({"said": str(error)}))
"""
    said, _, _ = run(program.replace("ARGUMENT", "libraries=['psycopg2']"))
    assert said["said"].startswith("no library called 'psycopg2' can be traced; there are: psycopg, asyncpg")
    said, _, _ = run(program.replace("ARGUMENT", "endpoint='collector:4317'"))
    assert said["said"] == "endpoint 'collector:4317' is no address of a collector: give http://host:4318, or https://…"
