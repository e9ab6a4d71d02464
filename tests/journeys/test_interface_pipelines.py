"""The page of pipelines in a real browser: last words, lateness, warnings, rows, and that a new run is seen at once."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from pages_world import journal_of
from playwright.sync_api import Page, expect
from servers import RedisServer, wait_for
from stacks import Stack

from orakul.events import Event
from orakul.pipelines import PipelineWatcher

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LOOKS = os.environ.get("ORAKUL_TEST_LOOKS")
"""A folder to leave pictures in, for people to look at."""


@pytest.fixture
def server(own_redis: Callable[[], RedisServer]) -> RedisServer:
    return own_redis()


@pytest.fixture
def stack(make_stack: Callable[..., Stack], server: RedisServer) -> Stack:
    return make_stack(ORAKUL_PIPELINES_REDIS=server.url)


def message(name: str, hours_ago: float, rows: int = 1000, **changes: Any) -> tuple[str, bytes]:
    end = datetime.now(UTC) - timedelta(hours=hours_ago)
    form = {
        "pipeline_name": f"sync_{name.lower()}",
        "result_name": name,
        "status": "success",
        "started_at": (end - timedelta(seconds=2)).isoformat(),
        "finished_at": end.isoformat(),
        "duration_ms": 2000,
        "rows_loaded": rows,
        "rows_exported": rows,
    }
    return f"tdtp:pipeline:{name}", json.dumps(form | changes).encode()


def fill(stack: Stack) -> None:
    told = [message(name, hour + 0.1, 900 + hour) for name in ("FRESH", "LEAKY") for hour in range(12, 0, -1)]
    told += [message("SILENT", hour + 3) for hour in range(6, 0, -1)]
    told += [message("LEAKY", 0, 1000, rows_exported=998)]
    told += [message("LIMPING", 0, status="completed_with_errors", error="7 rows are odd")]
    told += [message("BROKEN", 0, status="failed", rows_exported=0, error="connection refused")]
    with journal_of(stack) as journal:

        def record(*events: Event) -> None:
            journal.append(events)

        PipelineWatcher(cast("Any", None), record=record).take(told)


def look(page: Page, name: str) -> None:
    if LOOKS:
        page.screenshot(path=Path(LOOKS) / f"{name}.png")


def test_the_page_tells_of_each_pipeline_and_follows_it(
    stack: Stack, server: RedisServer, page: Page, axe: Callable[[Page, str], None]
) -> None:
    import redis

    fill(stack)
    stack.sign_in(page, "admin", "/pipelines")

    def card(name: str) -> Any:
        return page.locator(f"[data-pipeline='{name}']")

    expect(page.locator("li.pipeline")).to_have_count(5)
    expect(card("FRESH")).to_have_attribute("data-verdict", "success")
    expect(card("FRESH")).to_contain_text("usually every 1 h 00 min")
    expect(card("SILENT")).to_contain_text("late by 3 h 00 min")
    expect(card("LEAKY")).to_contain_text("2 rows dropped by a validator or filter")
    expect(card("LIMPING")).to_have_attribute("data-verdict", "with_errors")
    expect(card("LIMPING").locator(".pipeline-head")).to_contain_text("completed_with_errors")
    expect(card("BROKEN")).to_contain_text("connection refused")
    axe(page, "the pipelines")
    look(page, "wide")
    card("LEAKY").locator("summary").click()
    expect(card("LEAKY").get_by_role("table").locator("tbody tr")).to_have_count(13)
    axe(page, "the runs as a table")
    look(page, "table")

    page.get_by_role("button", name="only troubled").click()
    expect(page.locator("li.pipeline")).to_have_count(4)
    page.get_by_role("searchbox", name="Name of pipeline or result").fill("sync broken")
    expect(page.locator("li.pipeline")).to_have_count(1)
    assert "only=troubled" in page.url
    page.get_by_role("searchbox", name="Name of pipeline or result").fill("")
    page.get_by_role("button", name="all", exact=True).click()

    with redis.Redis.from_url(server.url) as connection:
        wait_for(connection.pubsub_numpat, "the server to listen")
        channel, text = message("SILENT", 0, 777)
        connection.publish(channel, text)
    expect(card("SILENT")).to_contain_text("777")
    expect(card("SILENT")).not_to_contain_text("late by")

    card("BROKEN").get_by_role("link", name="The last run of BROKEN").click()
    expect(page.locator("section.detail")).to_contain_text("connection refused")
    page.goto(f"{stack.url}/pipelines")
    card("FRESH").get_by_role("link", name="All runs of sync_fresh").click()
    expect(page.get_by_role("grid", name="Tasks")).to_contain_text("sync_fresh")
    assert "kind=pipeline" in page.url
    assert "name=sync_fresh" in page.url


def test_it_speaks_russian_and_fits_a_phone_in_the_dark(
    stack: Stack, page: Page, axe: Callable[[Page, str], None]
) -> None:
    fill(stack)
    page.add_init_script("localStorage.setItem('orakul.language', 'ru')")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    stack.sign_in(page, "admin", "/pipelines")
    expect(page.locator("[data-pipeline=SILENT]")).to_contain_text("опаздывает на 3 ч 00 мин")
    expect(page.locator("[data-pipeline=BROKEN]")).to_contain_text("Строк принято")
    wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(wider)
    axe(page, "the pipelines on a phone")
    look(page, "phone-dark")


def test_an_empty_page_says_what_to_do(stack: Stack, page: Page) -> None:
    stack.sign_in(page, "user", "/pipelines")
    expect(page.get_by_text("Set pipelines.redis, or run orakul watch tdtp")).to_be_visible()
