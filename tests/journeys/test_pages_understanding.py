"""The pages that tell how the work goes: between them, charts, insights, errors and audit, in a real browser."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pages_world import filled, journal_of, life
from playwright.sync_api import Page, expect
from stacks import Stack

from orakul.journals.postgres import PostgresJournal

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NOW = datetime.now(UTC)


@pytest.fixture
def journal(stack: Stack) -> Iterator[PostgresJournal]:
    """The journal that the served Orakul shows."""
    with journal_of(stack) as journal:
        yield journal


def test_pages_are_reached_by_links_keys_and_addresses_under_a_prefix(
    make_stack: Callable[..., Stack], page: Page
) -> None:
    """Each page has an address below the prefix, a link and a key; "back" goes back; the rest is said in words."""
    stack = make_stack(ORAKUL_WEB_ROOT_PATH="/house/orakul")
    stack.sign_in(page, "admin", "/house/orakul/")
    rail = page.get_by_role("navigation", name="Pages")
    page.evaluate("window.untouched = true")
    rail.get_by_role("link", name="Errors").click()
    expect(page).to_have_url(f"{stack.url}/house/orakul/errors")
    expect(page.get_by_role("heading", name="Errors")).to_be_focused()
    expect(page).to_have_title("Errors · Orakul")
    page.keyboard.press("g")
    page.keyboard.press("q")
    expect(page).to_have_url(f"{stack.url}/house/orakul/fleet")
    expect(rail.get_by_role("link", name="Queues and workers")).to_have_attribute("aria-current", "page")
    page.go_back()
    expect(page.get_by_role("heading", name="Errors")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("grid", name="Tasks")).to_be_visible()
    assert page.evaluate("window.untouched") is True, "no page was loaded anew"
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Looking back")
    page.keyboard.press("Escape")
    page.goto(f"{stack.url}/house/orakul/insights")
    expect(page.get_by_role("heading", name="Insights")).to_be_visible()
    page.goto(f"{stack.url}/house/orakul/no/such/page")
    expect(page.get_by_text("There is no such page")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    rail.get_by_role("button", name="More").click()
    rail.get_by_role("link", name="Audit").click()
    expect(page).to_have_url(f"{stack.url}/house/orakul/audit")
    stack.sign_in(page, "user", "/house/orakul/audit")
    expect(page.get_by_text("This page is not for your role")).to_be_visible()
    page.wait_for_timeout(100)
    page.console_errors.clear()  # type: ignore[attr-defined]  # of what another person may not read


def test_charts_count_what_happened_and_stay_live(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """Totals are those of the tasks told, a name narrows them, the table has each step, and the right end grows."""
    begin = datetime.now(UTC) - timedelta(minutes=30)
    for number in range(20):
        end = "failed" if number % 4 == 0 else "completed"
        journal.append(life(f"a{number}", end, begin + timedelta(minutes=number), name="shop.pay", ran=4))
    journal.append(life("b", "completed", begin, name="shop.send", queue="mail", ran=1))
    stack.sign_in(page, "admin", "/charts")
    throughput = page.get_by_role("region", name="Throughput, tasks a minute")
    expect(throughput.locator(".figures")).to_have_text(re.compile(r"21 created\s*16 completed\s*5 failed"))
    expect(page.locator(".plot canvas")).to_have_count(4)
    expect(page.get_by_role("region", name="Failure rate")).to_contain_text("23.8%")
    for name in ("Duration", "Waiting before the start"):
        expect(page.get_by_role("region", name=name)).not_to_contain_text("Nothing in this time")
    journal.append(life("c", "completed", datetime.now(UTC) - timedelta(seconds=5), name="shop.pay", ran=2))
    expect(throughput.locator(".figures")).to_contain_text("22 created", timeout=20_000)

    page.get_by_role("combobox", name="Task name").fill("shop.send")
    expect(throughput.locator(".figures")).to_contain_text("1 created")
    page.get_by_role("button", name="24 h").click()
    expect(page).to_have_url(re.compile(r"name=shop\.send&range=24h"))
    expect(page.get_by_role("button", name="24 h")).to_have_attribute("aria-pressed", "true")
    page.get_by_text("As a table").click()
    cells = page.locator(".charts-table tbody tr td:nth-child(2)")
    expect(cells.first).to_be_visible()
    assert sum(int(text) for text in cells.all_text_contents()) == 1
    page.get_by_role("combobox", name="Task name").fill("nobody")
    page.keyboard.press("Enter")
    expect(throughput).to_contain_text("Nothing in this time")


def test_insights_name_what_stands_out(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """Slow, failing and changed names come with figures against the week before, and lead to the list."""
    for days, ran in ((9, 2), (2, 20)):
        for number in range(30):
            moment = NOW - timedelta(days=days, minutes=number)
            end = "failed" if days == 2 and number % 3 == 0 else "completed"
            journal.append(life(f"slow{days}-{number}", end, moment, name="report.build", ran=ran))
            journal.append(life(f"even{days}-{number}", "completed", moment, name="mail.send", ran=1, queue="mail"))
    stack.sign_in(page, "admin", "/insights")
    slowest = page.get_by_role("region", name="Slowest")
    expect(slowest.locator("tbody tr").first).to_contain_text("report.build", timeout=20_000)
    changed = page.get_by_role("region", name="Most changed").locator("tbody tr").first
    expect(changed).to_contain_text("report.build")
    expect(changed).to_contain_text(re.compile(r"\d+(\.\d)? × slower"))
    failing = page.get_by_role("region", name="Most failing").locator("tbody tr").first
    expect(failing).to_contain_text("33.3%")
    expect(page.get_by_role("region", name="Bottlenecks")).to_contain_text("celery")
    failing.get_by_role("link", name="report.build").click()
    expect(page.locator("[data-task]")).to_have_count(10)
    assert "status=failed" in page.url


def test_errors_are_groups_that_are_retried_at_once_and_audited(
    make_stack: Callable[..., Stack], page: Page, tmp_path: Path
) -> None:
    """One exception at one place is one group; retrying it, after a question, runs all of it, and the audit says so."""
    stack = make_stack()
    stack.worker("bureau:app", "--pool", "threads", "--concurrency", "2", "--queues", "celery,mail")
    missing = tmp_path / "missing"
    ids: list[str] = stack.publish("bureau", f"result = [bureau.need.delay({str(missing)!r}).id for _ in range(4)]")
    for task_id in ids:
        stack.wait_for_task(task_id, status="failed")
    with journal_of(stack) as journal:
        error = {"type": "KeyError", "message": "'x'", "place": "shop.py:7 pay"}
        journal.append(life("other", "failed", datetime.now(UTC) - timedelta(hours=2), error=error))
    stack.sign_in(page, "admin", "/errors")
    groups = page.locator("[data-error]")
    expect(groups).to_have_count(2)
    group = groups.filter(has_text="FileNotFoundError")
    expect(group).to_contain_text("4 failures")
    expect(group).to_contain_text("bureau.need")
    expect(group.get_by_role("img")).to_have_attribute("aria-label", re.compile("at most 4 in a step"))
    group.get_by_role("link", name="Show tasks").click()
    expect(page.locator("[data-task]")).to_have_count(4)
    page.go_back()

    missing.write_text("here")
    group.get_by_role("button", name="Retry all").click()
    question = page.get_by_role("alertdialog")
    expect(question).to_contain_text("FileNotFoundError")
    question.get_by_role("textbox").fill("the file has come")
    question.get_by_role("button", name="Retry all").click()
    for task_id in ids:
        stack.wait_for_task(task_id, status="completed")
    expect(groups).to_have_count(1, timeout=20_000)
    expect(groups).to_contain_text("KeyError")

    page.keyboard.press("g")
    page.keyboard.press("a")
    commands = page.locator("[data-seq]")
    expect(commands).to_have_count(5)
    expect(commands.filter(has_text="Completed")).to_have_count(5, timeout=15_000)
    expect(commands.last).to_contain_text("the file has come")
    page.get_by_role("searchbox", name="Task ID").fill(ids[0])
    expect(commands).to_have_count(1)
    page.get_by_role("combobox", name="Command").select_option(label="Pause a queue")
    expect(page.get_by_text("No such command")).to_be_visible()
    page.get_by_role("combobox", name="Command").select_option(label="Retry")
    commands.get_by_role("link").first.click()
    expect(page.get_by_role("region", name="Task", exact=True)).to_contain_text(ids[0])


def test_an_ordinary_user_sees_figures_of_their_own(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """Charts and errors of a user are made of that user's tasks alone."""
    moment = datetime.now(UTC) - timedelta(minutes=10)
    error = {"type": "ValueError", "message": "theirs", "place": "a.py:1 f"}
    journal.append(life("mine", "completed", moment, user="7"))
    journal.append(life("theirs", "failed", moment, user="8", error=error))
    stack.sign_in(page, "user", "/charts")
    expect(page.get_by_role("region", name="Throughput, tasks a minute").locator(".figures")).to_contain_text(
        re.compile(r"1 created\s*1 completed\s*0 failed")
    )
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Errors").click()
    expect(page.get_by_text("No failures")).to_be_visible()


@pytest.mark.parametrize("manner", ["light en", "dark ru"])
def test_axe_finds_nothing_on_the_pages(
    stack: Stack, journal: PostgresJournal, page: Page, axe: Callable[[Page, str], None], manner: str
) -> None:
    """Every page can be read by a screen reader, in both languages and themes, wide and on a phone."""
    filled(journal)
    theme, language = manner.split()
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.add_init_script(f"localStorage.setItem('orakul.language', '{language}')")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        for path, here in (
            ("charts", ".plot canvas"),
            ("errors", "[data-error]"),
            ("fleet", "[data-queue]"),
            ("insights", ".insights tbody tr"),
            ("past", "[data-past]"),
            ("audit", "[data-seq]"),
            ("retention", ".retention-row"),
            ("?task=root", ".waterfall-line"),
        ):
            stack.sign_in(page, "admin", f"/{path}")
            page.locator(here).first.wait_for(timeout=20_000)
            axe(page, f"{path} at {width}")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is too wide"
