"""Who sees what, and data that means harm: told to the journal as any source would tell it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from stacks import Stack

from orakul.events import Event
from orakul.journals.postgres import Connections, PostgresJournal

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
SCRIPT = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>'


@pytest.fixture
def journal(stack: Stack) -> Iterator[PostgresJournal]:
    """The journal that the served Orakul shows."""
    with Connections(stack.database_url) as connections:
        yield PostgresJournal(connections)


def told(task_id: str, *, user: str = "7", end: str | None = "completed", **facts: Any) -> list[Event]:
    """Return the events of one task's life."""
    begin = datetime.now(UTC) - timedelta(seconds=5)
    name = facts.pop("name", "office.task")
    first = {"name": name, "kind": "celery", "queue": "celery", "attempt": 1, "arguments": facts.pop("arguments", None)}
    types = ["task.pending", "task.in_progress", *([f"task.{end}"] if end else [])]
    data: list[dict[str, Any]] = [first, {"attempt": 1, "worker": "w@test"}, {"attempt": 1, **facts}]
    return [
        Event(event_type=kind, task_id=task_id, user_id=user, data=what, timestamp=begin + timedelta(seconds=number))
        for number, (kind, what) in enumerate(zip(types, data, strict=False))
    ]


def test_an_ordinary_user_sees_their_own(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """Another's task is not in the list, does not arrive live, and cannot be opened; no command for all is there."""
    journal.append([*told("mine"), *told("theirs", user="8")])
    stack.sign_in(page, "user", "/?task=theirs")
    expect(page.locator('[data-task="mine"]')).to_be_visible()
    expect(page.get_by_text("There is no such task, or it is not yours")).to_be_visible()
    expect(page.get_by_role("button", name="Pause queue")).to_have_count(0)
    journal.append([*told("theirs-live", user="8"), *told("mine-live")])
    expect(page.locator('[data-task="mine-live"]')).to_be_visible(timeout=15_000)
    expect(page.locator("[data-task]")).to_have_count(2)
    page.wait_for_timeout(200)
    page.console_errors.clear()  # type: ignore[attr-defined]  # the browser reports the 404 that it was given


def test_a_viewer_commands_nothing(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """A viewer sees every task, and no button that would be refused."""
    journal.append([*told("broken", end="failed", error={"type": "E", "message": "m"}), *told("other", user="8")])
    stack.sign_in(page, "viewer", "/?task=broken")
    expect(page.locator("[data-task]")).to_have_count(2)
    expect(page.get_by_role("region", name="Error")).to_be_visible()
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    expect(page.get_by_role("button", name="Pause queue")).to_have_count(0)


def test_hostile_data_is_shown_and_harms_nothing(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """HTML, endless names, a megabyte, a thousand levels, characters that turn the text: all are text, none breaks."""
    deep: Any = "bottom"
    for _ in range(300):
        deep = {"down": deep}
    mean = [
        told("html", name=SCRIPT, result={"html": SCRIPT}, arguments={"args": [SCRIPT], "kwargs": {SCRIPT: SCRIPT}}),
        told("long", name="n" * 20_000, result="x" * 1_000_000),
        told("deep", name="deep", result=deep),
        told("wide", name="wide", result=list(range(20_000))),
        told("turned", name="invoice\u202egpj.exe\u0007", user="us\u202eer"),
        told("script", name="script", result="javascript:window.harmed=1"),
        told(
            "failed", name="fails", end="failed", error={"type": SCRIPT, "message": SCRIPT * 500, "traceback": SCRIPT}
        ),
        told("i d/with?all&of#it%20", name="oddly named"),
    ]
    journal.append([event for events in mean for event in events])
    stack.sign_in(page, "admin")
    expect(page.locator("[data-task]")).to_have_count(len(mean))
    detail = page.get_by_role("region", name="Task", exact=True)
    for task_id in [events[0].task_id for events in mean]:
        page.locator(f'[data-task="{task_id}"]').click()
        expect(detail.locator(".detail-id")).to_contain_text(str(task_id))
        expect(detail.locator(".history-entry")).to_have_count(3)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator('[data-task="html"]').click()
    expect(detail.get_by_role("heading", level=2)).to_have_text(SCRIPT)
    expect(detail.get_by_role("group", name="Result", exact=True).first).to_contain_text("<script>")
    page.locator('[data-task="turned"]').click()
    expect(detail.get_by_role("heading", level=2)).to_have_text("invoice␦gpj.exe␇")
    page.locator('[data-task="script"]').click()
    expect(detail.locator(".json-string")).to_have_text('"javascript:window.harmed=1"')
    expect(detail.locator("a[href^=javascript]")).to_have_count(0)
    assert page.evaluate("window.harmed") is None


@pytest.mark.parametrize(("theme", "language"), [("light", "en"), ("dark", "ru")])
def test_axe_finds_nothing(stack: Stack, journal: PostgresJournal, page: Page, theme: str, language: str) -> None:
    """The page can be read by a screen reader in both languages and both themes, with all that opens on it."""
    journal.append(
        [
            *told("done", result={"rows": [1, "two", None, True]}, arguments={"args": [1], "kwargs": {}}),
            *told("broken", end="failed", error={"type": "ValueError", "message": "bad", "traceback": "Traceback …"}),
            *told("running", end=None),
            Event(
                event_type="task.log",
                task_id="running",
                data={"level": "ERROR", "logger": "a", "message": "no"},
            ),
            Event(event_type="queue.paused", user_id="1", data={"queue": "mail"}),
        ]
    )
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.add_init_script(f"localStorage.setItem('orakul.language', '{language}')")
    page.goto(stack.url)
    page.locator("form").wait_for()
    _no_violations(page, "sign-in")
    stack.sign_in(page, "admin")
    page.locator("[data-task]").first.wait_for()
    page.locator(".paused").wait_for()
    _no_violations(page, "list")
    for task_id in ("done", "broken", "running"):
        page.locator(f'[data-task="{task_id}"]').click()
        page.locator(".history-entry").first.wait_for()
        _no_violations(page, task_id)
    page.keyboard.press("c")
    page.get_by_role("alertdialog").wait_for()
    _no_violations(page, "question")
    page.keyboard.press("Escape")
    page.locator(".pause-button").click()
    page.get_by_role("menuitem").first.wait_for()
    _no_violations(page, "menu")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 390, "height": 800})
    page.locator(".detail-back").wait_for()
    _no_violations(page, "phone")
    page.wait_for_timeout(200)
    page.console_errors.clear()  # type: ignore[attr-defined]  # the browser reports the 401 before the sign-in


def _no_violations(page: Page, where: str) -> None:
    assert AXE.exists(), "axe-core comes with the interface's packages: npm ci in frontend/"
    page.wait_for_timeout(250)  # what fades in has its contrast when it is there
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        "axe.run(document, {resultTypes: ['violations']})"
        ".then(({violations}) => violations.map(one => [one.id, ...one.nodes.map(node => node.html)]))"
    )
    assert found == [], f"{where}: {found}"
