"""From a task on the page to its trace, by one click; and Orakul's own spans.

With ORAKUL_TEST_PHOENIX naming a virtual environment that has `arize-phoenix`, the same in that viewer of traces.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from collector import Collector
from servers import Process, free_port, wait_for
from stacks import Stack

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PHOENIX = os.environ.get("ORAKUL_TEST_PHOENIX", "")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        yield found


def run_a_task(stack: Stack, endpoint: str) -> str:
    """Run a task whose trace goes to the endpoint, and return its id."""
    traces = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100", "APP_QUEUE": "traced"}
    traces["APP_BACKEND"] = stack.broker_url
    stack.worker("traced", "-c1", "-Q", "traced", **traces)
    task_id: str = stack.publish("traced", "result = traced.flow.delay().id", **traces)
    stack.wait_for_task(task_id, status="completed")
    return task_id


def test_a_click_on_a_task_opens_its_trace_and_orakul_traces_itself(
    make_stack: Callable[..., Stack], collector: Collector, page: "Page"
) -> None:
    stack = make_stack(
        ORAKUL_TRACE_URL=f"{collector.url}/trace/{{trace_id}}",
        ORAKUL_TELEMETRY_TRACES="true",
        ORAKUL_TELEMETRY_ENDPOINT=collector.url,
    )
    task_id = run_a_task(stack, collector.url)
    collector.until(lambda spans: any(span.name == "process traced.total" for span in spans))
    stack.sign_in(page, "admin", f"/?task={task_id}")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="View trace").click()
    viewer = opened.value
    viewer.wait_for_load_state()
    assert viewer.url == f"{collector.url}/trace/{stack.task(task_id)['trace_id']}"
    shown = viewer.locator("li").all_inner_texts()
    assert {"shop: send traced.flow", "shop: process traced.flow", "shop: process traced.total"} <= set(shown)

    failed = stack.publish(
        "traced",
        "result = traced.broken.delay().id",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        APP_QUEUE="traced",
    )
    stack.wait_for_task(failed, status="failed")
    with stack.client() as client:
        assert client.post(f"/api/tasks/{failed}/retry").is_success
    wait_for(lambda: (task := stack.task(failed))["attempt"] == 2 and task["status"] == "failed", "the retry", 60)
    runs = collector.until(lambda found: len([each for each in found if each.name == "process traced.broken"]) == 2)
    trace = stack.task(failed)["trace_id"]  # a retry from the page goes on in the trace of the first run
    assert {each.trace_id for each in runs if each.name == "process traced.broken"} == {trace}

    wanted = {"GET /api/tasks/{task_id:path}", "orakul.journal.append"}
    spans = collector.until(lambda found: wanted <= {span.name for span in found if span.service == "orakul"})
    assert not [span for span in spans if "subscribe" in span.name or "healthz" in span.name]
    assert not [span for span in spans if "/v1/traces" in str(span.attributes)]  # its own sending is not traced


@pytest.mark.skipif(not PHOENIX, reason="ORAKUL_TEST_PHOENIX names no virtual environment with arize-phoenix")
def test_a_click_opens_the_trace_in_phoenix(
    make_stack: Callable[..., Stack], spawn: Callable[..., Process], page: "Page", tmp_path: Path
) -> None:
    port = free_port()
    place = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PHOENIX_WORKING_DIR": str(tmp_path / "phoenix"),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    phoenix = spawn([f"{PHOENIX}/bin/phoenix", "serve"], env=environment)

    def answers() -> bool:
        assert phoenix.alive, phoenix.text()[-2000:]
        try:
            return httpx.get(f"{place}/healthz").status_code == 200
        except httpx.TransportError as error:
            raise AssertionError("not yet") from error

    wait_for(answers, "Phoenix to answer", timeout=150)
    stack = make_stack(ORAKUL_TRACE_URL=f"{place}/redirects/traces/{{trace_id}}")
    task_id = run_a_task(stack, place)
    stack.sign_in(page, "admin", f"/?task={task_id}")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="View trace").click()
    viewer = opened.value
    viewer.get_by_text("process traced.flow").first.wait_for(timeout=60_000)
    viewer.get_by_text("process traced.total").first.wait_for(timeout=60_000)
    if folder := os.environ.get("ORAKUL_TEST_PICTURES"):
        page.screenshot(path=Path(folder) / "task.png")
        viewer.screenshot(path=Path(folder) / "phoenix.png")
    page.console_errors.clear()  # type: ignore[attr-defined]  # of the viewer's own
