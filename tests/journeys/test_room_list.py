"""The list as it is worked in: finding, standing still, columns, views, keys; on data told to the journal."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from stacks import Stack

from orakul.events import Event
from orakul.journals.postgres import Connections, PostgresJournal

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture
def journal(stack: Stack) -> Iterator[PostgresJournal]:
    """The journal that the served Orakul shows."""
    with Connections(stack.database_url) as connections:
        yield PostgresJournal(connections)


def told(task_id: str, *, end: str | None = "completed", ago: float = 5, user: str = "7", **facts: Any) -> list[Event]:
    """Return the events of one task's life, begun some seconds ago."""
    begin = datetime.now(UTC) - timedelta(seconds=ago)
    first = {"name": "office.task", "kind": "celery", "queue": "celery", "attempt": 1} | facts
    then = {"attempt": 1, "worker": facts.get("worker", "w@test")}
    last = {"attempt": 1, **({"error": facts["error"]} if "error" in facts else {})}
    data = [first, then, last]
    types = ["task.pending", "task.in_progress", *([f"task.{end}"] if end else [])]
    return [
        Event(event_type=kind, task_id=task_id, user_id=user, data=what, timestamp=begin + timedelta(seconds=number))
        for number, (kind, what) in enumerate(zip(types, data, strict=False))
    ]


def row(page: Page, task_id: str) -> Locator:
    """Return the row of a task."""
    return page.locator(f'[data-task="{task_id}"]')


def shown(page: Page) -> list[str]:
    """Return the ids of the rows, from the top."""
    return [str(one.get_attribute("data-task")) for one in page.locator("[data-task]").all()]


def no_violations(page: Page, where: str) -> None:
    """Check that axe finds nothing."""
    page.wait_for_timeout(250)  # what fades in has its contrast when it is there
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        "axe.run(document, {resultTypes: ['violations']})"
        ".then(({violations}) => violations.map(one => [one.id, ...one.nodes.map(node => node.html)]))"
    )
    assert found == [], f"{where}: {found}"


def test_what_is_looked_for_is_found(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """Counts on the states; words of arguments and errors, time, worker; each filter a chip, all in the address."""
    bad = {"type": "ValueError", "message": "no such invoice", "place": "office.py:7 pay"}
    journal.append(
        [
            *told("broken", end="failed", error=bad, worker="w2@test"),
            *told("paid", arguments={"args": ["kangaroo"], "kwargs": {}}, queue="mail"),
            *told("waits", end=None),
            *told("old", ago=7200),
            Event(event_type="worker.online", data={"worker": "w2@test", "kind": "celery", "queues": ["celery"]}),
        ]
    )
    stack.sign_in(page, "admin")
    counts = page.locator("[data-count=failed]"), page.locator("[data-count=completed]")
    expect(counts[0]).to_have_text("1")
    expect(counts[1]).to_have_text("2")
    journal.append(told("broken-too", end="failed", error=bad))
    expect(counts[0]).to_have_text("2", timeout=20_000)

    words = page.get_by_role("searchbox", name="Words in arguments and errors")
    words.fill("kangaroo")
    expect(page.locator("[data-task]")).to_have_count(1, timeout=20_000)
    expect(row(page, "paid")).to_be_visible()
    expect(counts[0]).to_have_text("0")
    assert "text=kangaroo" in page.url
    page.get_by_role("button", name="Remove the filter Words: kangaroo").click()
    expect(words).to_have_value("")
    expect(page.locator("[data-task]")).to_have_count(5)

    page.get_by_role("combobox", name="Worker").select_option("w2@test")
    expect(page.locator("[data-task]")).to_have_count(1)
    page.get_by_role("button", name="Any time").click()
    page.get_by_role("dialog", name="Created").get_by_role("button", name="Last hour").click()
    assert "since=1h" in page.url
    expect(page.get_by_role("group", name="Active filters").get_by_role("button")).to_have_count(3)
    no_violations(page, "filters")
    page.get_by_role("button", name="Remove the filter Worker: w2@test").click()
    expect(page.locator("[data-task]")).to_have_count(4)
    page.reload()
    expect(page.locator("[data-task]")).to_have_count(4)
    expect(row(page, "old")).to_have_count(0)

    page.get_by_role("button", name="Last hour", exact=True).click()
    panel = page.get_by_role("dialog", name="Created")
    panel.get_by_label("Until").fill("2020-01-01T00:00")
    panel.get_by_label("From").fill("2021-01-01T00:00")
    expect(panel.get_by_role("alert")).to_be_visible()
    expect(panel.get_by_role("button", name="Apply")).to_be_disabled()
    panel.get_by_label("From").fill("2019-01-01T00:00")
    panel.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("No task fits these filters")).to_be_visible()
    page.get_by_role("button", name="Clear all").click()
    expect(page.locator("[data-task]")).to_have_count(5)

    with stack.client() as client:
        group = client.get("/api/errors").json()["items"][0]["key"]
    page.goto(f"{stack.url}/?error={group}")
    expect(page.locator("[data-task]")).to_have_count(2)
    page.get_by_role("button", name=re.compile("Remove the filter Error")).click()
    expect(page.locator("[data-task]")).to_have_count(5)
    expect(page.get_by_role("link", name="Grouped by error")).to_have_attribute("href", re.compile(r"/errors$"))


def test_views_and_columns_are_kept(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """Columns are chosen and moved by keys, kept in the browser and in a saved view, which others see when shared."""
    journal.append([*told("done"), *told("broken", end="failed", error={"type": "E", "message": "m"})])
    stack.sign_in(page, "admin", "/?status=failed")
    titles = page.get_by_role("columnheader")
    page.get_by_role("button", name="Columns").focus()
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog", name="Columns")
    panel.get_by_role("checkbox", name="Task ID").wait_for()
    expect(panel.get_by_role("checkbox", name="Task ID")).to_be_focused()
    page.keyboard.press("Space")
    panel.get_by_role("checkbox", name="Error").check()
    panel.get_by_role("checkbox", name="Status").focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(panel.get_by_role("checkbox", name="Status")).to_be_focused()
    no_violations(page, "columns")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Columns")).to_be_focused()
    names = ["Status", "Task name"]
    assert [one.inner_text().strip() for one in titles.all()][1:3] == names
    expect(row(page, "broken")).to_contain_text("E: m")
    page.reload()
    expect(row(page, "broken")).to_contain_text("E: m")

    page.get_by_role("button", name="Saved views").click()
    views = page.get_by_role("dialog", name="Saved views")
    views.get_by_placeholder("Name").fill("What broke")
    views.get_by_role("checkbox", name="Shared with everyone").check()
    views.get_by_role("button", name="Save the view").click()
    views.get_by_role("button", name="Rename What broke").click()
    views.get_by_label("New name of What broke").fill("Broken")
    page.keyboard.press("Enter")
    expect(views.get_by_role("button", name="Broken shared")).to_be_visible()
    no_violations(page, "views")

    with stack.client() as client:
        (kept,) = client.get("/api/views").json()["items"]
    assert (kept["name"], kept["query"], kept["columns"][:2]) == ("Broken", "?status=failed", ["status", "name"])
    other = page.context.browser.new_context(locale="en-US").new_page()  # type: ignore[union-attr]
    stack.sign_in(other, "viewer")
    expect(other.locator("[data-task]")).to_have_count(2)
    other.get_by_role("button", name="Saved views").click()
    other.get_by_role("button", name="Broken by 1").click()
    expect(other.locator("[data-task]")).to_have_count(1)
    expect(row(other, "broken")).to_contain_text("E: m")
    expect(other.get_by_role("checkbox", name="Select", exact=True)).to_have_count(0)
    other.context.close()
    views.get_by_role("button", name="Delete Broken").click()
    expect(views.get_by_text("Nothing is saved yet.")).to_be_visible()


def test_the_list_stands_still(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """Under the pointer, with a row selected, and while it is held, nothing moves; the pill counts and lets in."""
    journal.append([event for number in range(5) for event in told(f"t{number}", ago=100 - number, end=None)])
    stack.sign_in(page, "admin")
    expect(page.locator("[data-task]")).to_have_count(5)
    before = shown(page)
    row(page, "t3").hover()
    place = row(page, "t3").bounding_box()
    journal.append([*told("new-1", ago=2), *told("new-2", ago=2), *told("t2", ago=90, end="failed")])
    expect(page.get_by_role("button", name="2 new")).to_be_visible(timeout=15_000)
    expect(row(page, "t2").get_by_text("Failed")).to_be_visible()
    assert shown(page) == before
    assert row(page, "t3").bounding_box() == place
    page.mouse.move(640, 20)
    expect(page.locator("[data-task]")).to_have_count(7)

    row(page, "t3").locator(".cell-pick").click()
    page.mouse.move(640, 20)
    before = shown(page)
    journal.append(told("new-3", ago=1))
    expect(page.get_by_role("button", name="1 new")).to_be_visible(timeout=15_000)
    assert shown(page) == before
    page.get_by_role("button", name="1 new").click()
    expect(page.locator("[data-task]")).to_have_count(8)
    page.keyboard.press("Escape")

    page.mouse.move(640, 20)
    page.keyboard.press("h")
    hold = page.get_by_role("button", name="Hold the list")
    expect(hold).to_have_attribute("aria-pressed", "true")
    journal.append([*told("new-4", ago=1), *told("t1", ago=90, end="failed")])
    expect(page.get_by_text(re.compile(r"Held since \d\d:\d\d:\d\d · 2 tasks have changed"))).to_be_visible(
        timeout=15_000
    )
    expect(row(page, "t1").get_by_text("In progress")).to_be_visible()
    expect(row(page, "new-4")).to_have_count(0)
    no_violations(page, "held")
    hold.click()
    expect(row(page, "t1").get_by_text("Failed")).to_be_visible()
    page.mouse.move(640, 20)
    expect(row(page, "new-4")).to_be_visible()

    # A page that sleeps: it is frozen by the browser, and catches up when it wakes.
    session = page.context.new_cdp_session(page)
    page.evaluate("window.untouched = true")
    session.send("Page.setWebLifecycleState", {"state": "frozen"})
    journal.append(told("while-asleep", ago=1))
    session.send("Page.setWebLifecycleState", {"state": "active"})
    expect(row(page, "while-asleep")).to_be_visible(timeout=20_000)
    assert page.evaluate("window.untouched") is True


def test_everything_by_keys(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """The palette goes to tasks, filters, changes theme and language; the sheet names the keys; a key selects."""
    journal.append([event for number in range(4) for event in told(f"task-{number}", ago=60 - number)])
    stack.sign_in(page, "admin")
    expect(page.locator("[data-task]")).to_have_count(4)
    page.keyboard.press("Control+k")
    palette = page.get_by_role("combobox", name="Go to or do")
    palette.fill("task-2")
    page.get_by_role("option", name="task-2").wait_for()
    no_violations(page, "palette")
    page.keyboard.press("Enter")
    detail = page.get_by_role("region", name="Task", exact=True)
    expect(detail).to_contain_text("task-2")
    expect(detail.locator(".steps-at")).to_have_text("2 of 4")
    page.keyboard.press("j")
    expect(detail.locator(".detail-id")).to_contain_text("task-1")
    detail.get_by_role("button", name="Previous task").click()
    expect(detail.locator(".detail-id")).to_contain_text("task-2")
    page.keyboard.press("Escape")
    expect(detail).to_have_count(0)

    for words, state in (("only failed", "status=failed"), ("clear all", "")):
        page.keyboard.press("Control+k")
        palette.fill(words)
        page.keyboard.press("Enter")
        expect(palette).to_have_count(0)
        page.wait_for_url(lambda url, state=state: state in url)  # type: ignore[misc]
    page.keyboard.press("Control+k")
    palette.fill("dark")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")

    page.keyboard.press("l")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("Shift+ArrowDown")
    expect(page.get_by_role("region", name="Selected tasks")).to_contain_text("2 selected")
    page.keyboard.press("Control+a")
    expect(page.get_by_role("region", name="Selected tasks")).to_contain_text("4 selected")
    no_violations(page, "selected")
    page.keyboard.press("Escape")
    expect(page.get_by_role("region", name="Selected tasks")).to_have_count(0)
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keys")
    for words in (
        "Go to or do anything",
        "Select further",
        "Hold the list, or let it go",
        "Edit the arguments and run",
    ):
        expect(sheet.get_by_text(words)).to_be_visible()
    no_violations(page, "keys")
    page.keyboard.press("Escape")


def test_russian_on_a_phone(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """The language is changed in the palette; on a phone nothing is wider than the screen, and rows can be selected."""
    journal.append([event for number in range(4) for event in told(f"task-{number}", ago=60 - number)])
    stack.sign_in(page, "admin")
    expect(page.locator("[data-task]")).to_have_count(4)
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Go to or do").fill("рус")
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="Имя задачи")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    expect(row(page, "task-3")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    row(page, "task-2").locator(".cell-pick").click()
    expect(page.get_by_role("region", name="Выбранные задачи")).to_contain_text("выбрана 1")
    no_violations(page, "phone")
