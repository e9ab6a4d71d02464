"""The page as people use it: a real fleet, a real server, a real browser."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from stacks import Stack

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def row(page: Page, task_id: str) -> Locator:
    """Return the row of a task."""
    return page.locator(f'[data-task="{task_id}"]')


def rows(page: Page) -> Locator:
    """Return all rows that are drawn."""
    return page.locator("[data-task]")


@pytest.fixture
def bureau(make_stack: Callable[..., Stack]) -> Stack:
    """A served Orakul with one worker of the bureau."""
    stack = make_stack()
    stack.worker("bureau:app", "--pool", "threads", "--concurrency", "2", "--queues", "celery,mail")
    return stack


def test_tasks_move_before_the_eyes(bureau: Stack, page: Page) -> None:
    """A task that is sent appears at the top, and changes its state in place, with no page read again."""
    bureau.sign_in(page, "admin")
    expect(page.get_by_text("No tasks yet")).to_be_visible()
    page.evaluate("window.untouched = true")
    first, second = bureau.publish("bureau", "result = [bureau.add.delay(1, 2).id, bureau.rest.delay(4).id]")
    expect(row(page, first).get_by_text("Completed")).to_be_visible(timeout=15_000)
    expect(row(page, second).get_by_text("In progress")).to_be_visible()
    expect(rows(page).first).to_have_attribute("data-task", second)
    expect(page.locator("[data-metric=active]")).to_have_text("1")
    expect(row(page, second).get_by_text("Completed")).to_be_visible(timeout=15_000)
    expect(page.locator("[data-metric=active]")).to_have_text("0")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    assert page.evaluate("window.untouched") is True


def test_detail_shows_all_of_a_task(bureau: Stack, page: Page, tmp_path: Path) -> None:
    """The opened task has its whole id, history with durations, arguments, result, error and tree."""
    code = """
with as_user("7"):
    added, failed = bureau.add.delay(20, 22), bureau.need.delay(%r)
    split, linked = bureau.split.delay(3), bureau.file_report.delay("https://files.example/march.csv")
result = [added.id, failed.id, split.id, linked.id]
"""
    added, failed, split, linked = bureau.publish("bureau", code % str(tmp_path / "missing"))
    bureau.wait_for_task(linked, status="completed")
    bureau.sign_in(page, "admin", f"/?task={added}")
    detail = page.get_by_role("region", name="Task", exact=True)
    expect(detail.get_by_role("heading", name="bureau.add")).to_be_visible()
    expect(detail.get_by_text(added)).to_be_visible()
    expect(detail.locator(".detail-status")).to_have_text("Completed")
    history = detail.locator(".history")
    expect(history).to_contain_text(re.compile(r"Pending\s*→\s*In progress\s*\([\d.]+ m?s\)"))
    expect(history).to_contain_text(re.compile(r"In progress\s*→\s*Completed\s*\([\d.]+ m?s\)"))
    expect(detail.get_by_role("group", name="Result", exact=True).first).to_contain_text("sum: 42")
    expect(detail.get_by_role("group", name="Arguments", exact=True).first).to_contain_text("20")
    expect(detail.locator(".facts")).to_contain_text("7")

    row(page, failed).click()
    expect(detail.get_by_role("region", name="Error")).to_contain_text("FileNotFoundError")
    expect(detail.get_by_role("region", name="Error")).to_contain_text("there is no missing yet")
    expect(detail.get_by_role("region", name="Traceback")).to_contain_text("Traceback (most recent call last)")

    row(page, linked).click()
    link = detail.locator(".result-link").get_by_role("link", name="https://files.example/march.csv")
    expect(link).to_have_attribute("rel", "noopener noreferrer")

    row(page, split).click()
    leaves = detail.locator(".tree-leaf")
    expect(leaves).to_have_count(4)
    leaves.last.click()
    expect(detail.get_by_role("heading", name="bureau.add")).to_be_visible()
    expect(detail.locator('.tree-leaf[aria-current="true"]')).to_have_count(1)
    expect(leaves).to_have_count(4)


def test_log_is_live(bureau: Stack, page: Page) -> None:
    """Lines come while the task runs, the view follows them, and no line is missing or doubled at the end."""
    (task_id,) = bureau.publish("bureau", "result = [bureau.talk.delay(60, 0.05).id]")
    bureau.sign_in(page, "admin", f"/?task={task_id}")
    log = page.get_by_role("log")
    expect(log.get_by_text(re.compile(r"^line \d+ of 60$")).first).to_be_visible(timeout=15_000)
    expect(log.get_by_text("line 60 of 60")).to_be_visible(timeout=20_000)
    expect(log.locator('[data-level="WARNING"]').last).to_contain_text("WARNING")
    log.evaluate("log => log.scrollTo(0, 0)")
    expect(log.get_by_text("line 1 of 60", exact=True)).to_be_visible()
    page.get_by_role("button", name="Follow").click()
    expect(log.get_by_text("line 60 of 60")).to_be_visible()
    seen: set[str] = set()
    for top in range(0, 1400, 150):
        log.evaluate("(log, top) => log.scrollTo(0, top)", top)
        page.wait_for_timeout(60)
        seen.update(log.locator(".log-text").all_text_contents())
    assert seen == {f"line {number} of 60" for number in range(1, 61)}


def test_list_is_filtered_searched_and_sorted(bureau: Stack, page: Page, tmp_path: Path) -> None:
    """Each filter narrows the list, the view is in the address, and going back undoes the last step."""
    code = """
with as_user("7"):
    ids = [bureau.add.delay(1, 1).id, bureau.mail.delay("a@example.com").id]
with as_user("8"):
    ids += [bureau.need.delay(%r).id, bureau.add.delay(2, 2).id]
result = ids
"""
    first, mailed, failed, last = bureau.publish("bureau", code % str(tmp_path / "missing"))
    for task_id, status in ((first, "completed"), (mailed, "completed"), (failed, "failed"), (last, "completed")):
        bureau.wait_for_task(task_id, status=status)
    bureau.sign_in(page, "admin")
    expect(rows(page)).to_have_count(4)

    page.get_by_role("button", name="Failed").click()
    expect(rows(page)).to_have_count(1)
    expect(row(page, failed)).to_be_visible()
    assert "status=failed" in page.url
    page.go_back()
    expect(rows(page)).to_have_count(4)
    page.go_forward()
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Failed").click()

    page.get_by_role("combobox", name="Task name").fill("bureau.a")
    page.get_by_role("option", name="bureau.add").click()
    expect(rows(page)).to_have_count(2)
    page.get_by_role("searchbox", name="User").fill("8")
    expect(rows(page)).to_have_count(1)
    expect(row(page, last)).to_be_visible()
    page.get_by_role("button", name="Clear").click()

    page.get_by_role("combobox", name="Queue").select_option("mail")
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Clear").click()

    page.keyboard.press("Escape")
    page.locator("body").click(position={"x": 300, "y": 10})
    page.keyboard.press("/")
    page.keyboard.type(mailed[:13])
    expect(rows(page)).to_have_count(1)
    expect(row(page, mailed)).to_be_visible()
    page.reload()
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_role("searchbox", name="Search by ID")).to_have_value(mailed[:13])
    page.get_by_role("button", name="Clear").click()

    expect(rows(page)).to_have_count(4)
    for title, key in (("Task ID", "task_id"), ("Task name", "name"), ("Status", "status"), ("User", "user_id")):
        page.get_by_role("columnheader", name=title).get_by_role("button").click()
        expect(page.get_by_role("columnheader", name=title)).to_have_attribute("aria-sort", "ascending")
        wanted = [task["task_id"] for task in bureau.tasks(sort=key)]
        expect(rows(page).first).to_have_attribute("data-task", wanted[0])
        assert [one.get_attribute("data-task") for one in rows(page).all()] == wanted


def test_view_is_in_the_address(bureau: Stack, page: Page) -> None:
    """An opened task is a step to come back from, and an address with one opens it, also after signing in."""
    one, two = bureau.publish("bureau", "result = [bureau.add.delay(1, 2).id, bureau.add.delay(3, 4).id]")
    bureau.wait_for_task(two, status="completed")
    bureau.sign_in(page, "admin")
    row(page, one).click()
    row(page, two).click()
    detail = page.get_by_role("region", name="Task", exact=True)
    expect(detail).to_contain_text(two)
    page.go_back()
    expect(detail).to_contain_text(one)
    page.go_back()
    expect(detail).to_have_count(0)
    page.go_forward()
    expect(detail).to_contain_text(one)

    page.context.clear_cookies()
    page.reload()
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()
    expect(detail).to_contain_text(one)
    stored: Any = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "eyJ" not in stored
    page.wait_for_timeout(200)
    page.console_errors.clear()  # type: ignore[attr-defined]  # the browser reports each 401 that it was given
