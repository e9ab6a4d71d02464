"""Metrics and logs over OTLP: what a collector is sent, decoded by OpenTelemetry's own protocol."""

import gzip
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from counterparties import Asked, Counterparty, counterparty
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.resources import Resource
from servers import wait_for

from orakul import instruments
from orakul.events.work import Work, look_for_work
from orakul.telemetry import logs_setup
from orakul.telemetry.correlation import correlated
from orakul.telemetry.destination import address
from orakul.telemetry.otlp import Points
from orakul.telemetry.otlp_logs import OTLPHandler

running: list[Work] = []
look_for_work(lambda: running[-1] if running else None)


@pytest.fixture
def collector() -> Iterator[Counterparty]:
    with counterparty() as party:
        party.answer = lambda _: (200, b"")
        yield party


def sent(party: Counterparty, path: str, form: Any) -> list[Any]:
    """Return what was sent to a path, decoded: what cannot be decoded raises."""
    return [form.FromString(_body(asked)) for asked in list(party.asked) if asked.path == path]


def _body(asked: Asked) -> bytes:
    assert asked.headers["content-type"] == "application/x-protobuf"
    return gzip.decompress(asked.body) if asked.headers.get("content-encoding") == "gzip" else asked.body


def facts(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def logs_of(party: Counterparty) -> list[Any]:
    return [
        record
        for request in sent(party, "/v1/logs", ExportLogsServiceRequest)
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def shop(handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger("shop")  # noqa: LOG001 (of this test alone)
    logger.addHandler(handler)
    return logger


def test_a_line_goes_out_with_its_task_its_request_and_its_error(collector: Counterparty) -> None:
    handler = OTLPHandler(Resource.create({"service.name": "shop"}), endpoint=collector.url, headers={"api-key": "k"})
    log = shop(handler)
    running.append(Work(task_id="t-1", kind="celery", name="pay", queue="q", trace_id="ab" * 16, user_id="7"))
    try:
        with correlated("call-1"):
            log.warning("pays %s", "much", extra={"order": 7, "password": "hunter22"})
            try:
                raise ValueError("no")  # noqa: TRY301 (to have a traceback)
            except ValueError:
                log.exception("failed")
    finally:
        running.clear()
    assert handler.drain(30)
    handler.close()
    warned, failed = logs_of(collector)
    assert collector.asked[0].headers["api-key"] == "k"
    assert (warned.body.string_value, warned.severity_text, warned.severity_number) == ("pays much", "WARNING", 13)
    assert warned.trace_id.hex() == "ab" * 16
    told = facts(warned.attributes)
    assert told | {"orakul.task.id": "t-1", "orakul.task.name": "pay", "orakul.task.queue": "q"} == told
    assert told | {"user.id": "7", "correlation.id": "call-1", "order": "7", "password": "•••"} == told
    assert told["code.function.name"] == test_a_line_goes_out_with_its_task_its_request_and_its_error.__name__
    assert facts(failed.attributes)["exception.type"] == "ValueError"
    assert "Traceback" in facts(failed.attributes)["exception.stacktrace"]
    request = sent(collector, "/v1/logs", ExportLogsServiceRequest)[0]
    described = facts(request.resource_logs[0].resource.attributes)
    assert (described["service.name"], described["process.pid"]) == ("shop", os.getpid())


def test_what_lines_are_told_to_hide_is_hidden_here_too(collector: Counterparty, monkeypatch: Any) -> None:
    monkeypatch.setattr(logs_setup, "_kept", [])
    setup = logs_setup.set_up_logs("shop", stream=io.StringIO(), celery=False, mask=["iban"])
    handler = OTLPHandler(Resource.create({}), endpoint=collector.url)
    logs_setup.keep(handler, celery=False)
    try:
        logging.getLogger("shop").warning("pays", extra={"iban": "DE00"})
        assert handler.drain(30)
    finally:
        logging.getLogger().removeHandler(handler)
        setup.undo()
        handler.close()
    assert [facts(each.attributes)["iban"] for each in logs_of(collector) if each.body.string_value == "pays"] == [
        "•••"
    ]


def test_a_collector_that_refuses_costs_lines_that_are_counted_and_nothing_else(collector: Counterparty) -> None:
    collector.trouble = 400
    handler = OTLPHandler(Resource.create({}), endpoint=collector.url, every=0.05, exit_seconds=5)
    shop(handler).info("lost")
    wait_for(lambda: _dropped("logs", "refused"), "the count")
    handler.close()


def _dropped(*labels: str) -> float:
    found = {each.name: each.samples for each in instruments.collect()}.get("orakul_telemetry_dropped_total", {})
    return float(found.get(labels, 0))  # type: ignore[arg-type]


PROGRAM = """
import os, sys, time, logging
from opentelemetry import metrics
from orakul import instruments, telemetry
from orakul.operations import operation
telemetry.set_up("shop", endpoint=sys.argv[1], libraries=(), metrics=True, logs=True, attributes={"team": "a"})
done = instruments.counter("orakul_made_up_total", "Things.", ("kind",))
took = instruments.histogram("orakul_made_up_seconds", "Time.", (0.1, 1.0))
done.add(3, "x"); took.observe(0.5)
metrics.get_meter("mine").create_counter("orders").add(2)
logging.getLogger("shop").warning("from the parent")
pid = os.fork()
if pid == 0:
    done.add(5, "x")
    logging.getLogger("shop").warning("from the child")
    time.sleep(float(sys.argv[2]))
    sys.exit()
os.waitpid(pid, 0)
"""


def test_metrics_of_instruments_and_of_the_application_go_out_also_from_a_forked_child(collector: Counterparty) -> None:
    environment = {**os.environ, "OTEL_METRIC_EXPORT_INTERVAL": "300", "OTEL_TRACES_EXPORTER": "none"}
    subprocess.run([sys.executable, "-c", PROGRAM, collector.url, "1.5"], env=environment, check=True, timeout=60)
    seen: dict[str, dict[str, Any]] = {}
    for request in sent(collector, "/v1/metrics", ExportMetricsServiceRequest):
        for resource in request.resource_metrics:
            of = facts(resource.resource.attributes)
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    seen.setdefault(of["service.instance.id"], {"service": of})[metric.name] = metric
    counts = sorted(
        point.as_double or point.as_int
        for each in seen.values()
        if "orakul_made_up_total" in each
        for point in each["orakul_made_up_total"].sum.data_points
    )
    assert counts == [3, 5]
    parent = next(each for each in seen.values() if "orders" in each)
    assert (parent["service"]["service.name"], parent["service"]["team"]) == ("shop", "a")
    histogram = parent["orakul_made_up_seconds"].histogram.data_points[0]
    assert (list(histogram.bucket_counts), histogram.sum, histogram.HasField("min")) == ([0, 1, 0], 0.5, False)
    assert parent["orakul_made_up_total"].sum.is_monotonic
    assert {record.body.string_value for record in logs_of(collector)} >= {"from the parent", "from the child"}


def test_who_has_set_up_metrics_keeps_them(collector: Counterparty) -> None:
    program = (
        "import sys\nfrom opentelemetry import metrics\nfrom opentelemetry.sdk.metrics import MeterProvider\n"
        "mine = MeterProvider()\nmetrics.set_meter_provider(mine)\nfrom orakul import telemetry\n"
        "telemetry.set_up('shop', endpoint=sys.argv[1], libraries=(), metrics=True)\n"
        "assert metrics.get_meter_provider() is mine\n"
    )
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    subprocess.run([sys.executable, "-c", program, collector.url], env=environment, check=True, timeout=60)
    assert not collector.asked


@pytest.mark.parametrize("trouble", ["never", 503])
def test_a_process_ends_in_time_whatever_the_collector_does(collector: Counterparty, trouble: Any) -> None:
    collector.trouble = trouble
    environment = {**os.environ, "OTEL_METRIC_EXPORT_INTERVAL": "100"}
    program = PROGRAM + "print('the work is done')\n"
    command = [sys.executable, "-c", program, collector.url, "0.3"]
    done = subprocess.run(command, env=environment, check=True, timeout=60, capture_output=True, text=True)
    assert "the work is done" in done.stdout


def test_what_is_asked_for_as_differences_is_told_as_differences() -> None:
    counted = instruments.Snapshot("c", "counter", "", "", (), {(): 5.0})
    spread = instruments.Snapshot("h", "histogram", "", "", (), {(): instruments.Distribution((1.0,), (1, 2), 3.0)})
    points = Points(delta_counters=True, delta_histograms=True)
    first, again = points.of([counted, spread]), points.of([counted, spread])
    points.taken()
    second = points.of([counted, spread])
    assert [made[0].data.data_points[0].value for made in (first, again, second)] == [5, 5, 0]
    assert [made[1].data.data_points[0].count for made in (first, again, second)] == [3, 3, 0]
    assert json.loads(first[0].to_json())["data"]["aggregation_temporality"] == 1


@pytest.mark.parametrize(
    ("endpoint", "there"),
    [
        ("http://c:4318", "http://c:4318/v1/logs"),
        ("https://c/otlp/", "https://c/otlp/v1/logs"),
        ("https://c/otlp/v1/logs", "https://c/otlp/v1/logs"),
        ("http://c:4318/v1/traces", "http://c:4318/v1/logs"),
    ],
)
def test_the_address_of_a_signal(endpoint: str, there: str) -> None:
    assert address(endpoint, "v1/logs") == there
