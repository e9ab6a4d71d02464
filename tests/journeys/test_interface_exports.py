"""The page Exports: start, watch, download, cancel, run again, all of it in the browser."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from stacks import Stack
from test_exports import write_plan

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_start_watch_download_cancel_and_retry(
    make_stack: Callable[..., Stack], page: Page, tmp_path: Path, database_url: str
) -> None:
    """A run is started with chosen columns, one is watched and cancelled, one that failed is run again."""
    import psycopg

    write_plan(tmp_path / "plans", database_url)
    (tmp_path / "plans/broken.yaml").write_text("database: sqlite:///x.db\ngruops: []\n", "utf-8")
    stack = make_stack(ORAKUL_EXPORTS_PLANS=str(tmp_path / "plans"))
    stack.sign_in(page, "admin", "/exports")
    plan = page.get_by_role("region", name="sales", exact=True)
    runs = page.get_by_role("region", name="Runs")
    expect(page.get_by_role("alert")).to_contain_text("groups")

    plan.get_by_role("button", name="Columns").click()
    panel = page.get_by_role("dialog", name="Columns of rows")
    panel.get_by_role("checkbox", name="name").uncheck()
    panel.get_by_role("button", name="Start with these columns").click()
    first = runs.locator("tbody[data-run]").first
    expect(first).to_contain_text("sales/quick/rows", timeout=15_000)
    expect(first).to_contain_text("Completed", timeout=15_000)
    first.get_by_role("button", name="Files").click()
    with page.expect_download() as downloading:
        first.get_by_role("link", name="rows-v.csv").click()
    assert Path(downloading.value.path()).read_text("utf-8").splitlines()[:2] == ["id", "1"]

    plan.get_by_role("button", name="Start group long").click()
    expect(first).to_contain_text("sales/long", timeout=15_000)
    expect(first.get_by_role("progressbar")).to_be_visible(timeout=15_000)
    expect(first.locator(".headway-words")).to_contain_text("rows", timeout=15_000)
    first.get_by_role("button", name="Cancel").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Cancel the task").click()
    expect(first).to_contain_text("Cancelled", timeout=15_000)

    plan.get_by_role("button", name="Start group wrong").click()
    expect(first).to_contain_text("there_later", timeout=15_000)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE there_later AS SELECT 1 AS a")
    first.get_by_role("button", name="Retry").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Retry").click()
    expect(first).to_contain_text("Completed", timeout=15_000)
    expect(first).to_contain_text("attempt 2")

    first.get_by_role("link", name="sales/wrong").click()
    detail = page.get_by_role("region", name="Task", exact=True)
    expect(detail.get_by_role("link", name="missing-v.csv")).to_be_visible(timeout=15_000)
    expect(detail.locator(".detail-status")).to_have_text("Completed")


def test_an_ordinary_user_sees_no_plans_and_a_viewer_starts_none(
    make_stack: Callable[..., Stack], page: Page, tmp_path: Path, database_url: str
) -> None:
    write_plan(tmp_path / "plans", database_url)
    stack = make_stack(ORAKUL_EXPORTS_PLANS=str(tmp_path / "plans"))
    stack.sign_in(page, "viewer", "/exports")
    expect(page.get_by_role("region", name="sales", exact=True)).to_be_visible(timeout=15_000)
    expect(page.get_by_role("button", name="All groups")).to_have_count(0)
    page.context.clear_cookies()
    stack.sign_in(page, "user", "/exports")
    expect(page.get_by_text("No plans to start here")).to_be_visible(timeout=15_000)
