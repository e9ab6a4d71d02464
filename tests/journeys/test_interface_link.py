"""The page and its stream: under a prefix, over several tabs, and while the server or the sign-in is gone."""

import re
import signal
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from stacks import PASSWORD, Stack

from orakul.events import Event
from orakul.journals.postgres import Connections, PostgresJournal

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def tell(stack: Stack, *task_ids: str, user: str = "7") -> None:
    """Store a pending task for each id."""
    with Connections(stack.database_url) as connections:
        data = {"name": "office.task", "kind": "celery", "queue": "celery", "attempt": 1}
        PostgresJournal(connections).append(
            [Event(event_type="task.pending", task_id=task_id, user_id=user, data=data) for task_id in task_ids]
        )


def enter(page: Page, who: str) -> None:
    """Fill in the sign-in form."""
    page.get_by_label("Username").fill(who)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.locator("[data-task]").first.wait_for()
    page.mouse.move(600, 10)  # a pointer over the list would hold new tasks back


def forgive(page: Page) -> None:
    """Take out the errors that the browser itself reports on its console, once they have come."""
    page.wait_for_timeout(200)
    page.console_errors.clear()  # type: ignore[attr-defined]


def test_says_when_it_is_not_live_and_misses_nothing(stack: Stack, page: Page) -> None:
    """With the server killed the page says so and keeps what it had; back again, it has what happened meanwhile."""
    tell(stack, "before")
    stack.sign_in(page, "admin")
    link = page.locator(".link-state")
    expect(link).to_have_text("Live")
    stack.serve.kill9()
    expect(link).to_have_text(re.compile(r"Reconnecting…|Stale since \d\d:\d\d:\d\d"), timeout=15_000)
    expect(link).to_have_text(re.compile(r"Stale since \d\d:\d\d:\d\d"), timeout=30_000)
    expect(page.locator('[data-task="before"]')).to_be_visible()
    tell(stack, "meanwhile")
    stack.start_serve()
    expect(link).to_have_text("Live", timeout=40_000)
    expect(page.locator('[data-task="meanwhile"]')).to_be_visible(timeout=15_000)
    forgive(page)  # the browser reports what did not answer


def test_a_server_that_hangs_is_noticed_though_its_connection_stays(stack: Stack, page: Page) -> None:
    """Nothing is refused and nothing comes, as on a lost network: the page says since when, and catches up later."""
    tell(stack, "before")
    stack.sign_in(page, "admin")
    link = page.locator(".link-state")
    expect(link).to_have_text("Live")
    stack.serve.send(signal.SIGSTOP)
    try:
        expect(page.locator(".still-stale")).to_contain_text(re.compile(r"how it was at \d\d:\d\d"), timeout=70_000)
        expect(link).to_have_text(re.compile(r"Stale since \d\d:\d\d:\d\d"))
        tell(stack, "meanwhile")
    finally:
        stack.serve.send(signal.SIGCONT)
    expect(link).to_have_text("Live", timeout=40_000)
    expect(page.locator('[data-task="meanwhile"]')).to_be_visible(timeout=15_000)
    forgive(page)


def test_tabs_share_a_stream_and_a_sign_in(stack: Stack, page: Page) -> None:
    """A second tab is live too; signing out or in as another in one holds for all, and nobody sees another's tasks."""
    tell(stack, "mine")
    tell(stack, "theirs", user="8")
    stack.sign_in(page, "admin")
    other = page.context.new_page()
    other.goto(stack.url)
    for tab in (page, other):
        expect(tab.locator(".link-state")).to_have_text("Live")
    tell(stack, "seen-by-both", user="8")
    for tab in (page, other):
        expect(tab.locator('[data-task="seen-by-both"]')).to_be_visible(timeout=15_000)
    other.get_by_role("button", name="Sign out").click()
    other.mouse.move(600, 10)
    for tab in (page, other):
        expect(tab.get_by_label("Username")).to_be_visible()
    enter(page, "user")
    expect(other.locator('[data-task="mine"]')).to_be_visible()
    tell(stack, "theirs-later", user="8")
    tell(stack, "mine-later")
    for tab in (page, other):
        expect(tab.locator('[data-task="mine-later"]')).to_be_visible(timeout=15_000)
        expect(tab.locator("[data-task]")).to_have_count(2)
    other.close()
    tell(stack, "mine-last")
    expect(page.locator('[data-task="mine-last"]')).to_be_visible(timeout=15_000)
    forgive(page)  # the browser reports the 401 after the sign-out


def test_an_ended_session_leads_to_the_sign_in_and_back(stack: Stack, page: Page) -> None:
    """When the cookie is gone, the next request asks to sign in again, and the address is kept."""
    tell(stack, "kept")
    stack.sign_in(page, "admin", "/?status=pending")
    page.locator('[data-task="kept"]').wait_for()
    page.context.clear_cookies()
    page.locator('[data-task="kept"]').click()
    expect(page.get_by_label("Username")).to_be_visible()
    enter(page, "admin")
    assert page.url.endswith("/?status=pending&task=kept")
    expect(page.get_by_role("region", name="Task", exact=True)).to_contain_text("office.task")
    forgive(page)  # the browser reports the 401


def test_works_under_a_prefix(make_stack: Callable[..., Stack], page: Page) -> None:
    """Behind a proxy that serves Orakul at a path of its own, page, API and stream are all found there."""
    stack = make_stack(ORAKUL_WEB_ROOT_PATH="/ops/orakul")
    tell(stack, "first")
    outside: list[str] = []
    page.on("request", lambda request: None if "/ops/orakul/" in request.url else outside.append(request.url))
    page.goto(f"{stack.url}/ops/orakul/?task=first")
    enter(page, "admin")
    expect(page.locator(".link-state")).to_have_text("Live")
    expect(page.get_by_role("region", name="Task", exact=True)).to_contain_text("office.task")
    tell(stack, "second")
    page.get_by_role("button", name="1 new").click()  # the opened row does not move by itself
    expect(page.locator('[data-task="second"]')).to_be_visible(timeout=15_000)
    assert outside == []
    forgive(page)  # the browser reports the 401 before the sign-in
