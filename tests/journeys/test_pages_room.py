"""Pages of the fleet, of a task's tree over time, of the room as it was, and of retention: in a real browser."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pages_world import filled, journal_of, life
from playwright.sync_api import Page, expect
from stacks import Stack

from orakul.events import Event
from orakul.journals.postgres import PostgresJournal

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def journal(stack: Stack) -> Iterator[PostgresJournal]:
    """The journal that the served Orakul shows."""
    with journal_of(stack) as journal:
        yield journal


def test_queues_are_paused_with_a_reason_and_workers_shown_until_they_are_lost(
    make_stack: Callable[..., Stack], page: Page
) -> None:
    """What waits is counted, by the broker too; a pause names who and since when; a killed worker is lost."""
    stack = make_stack(ORAKUL_LEASE_SECONDS="10")
    worker = stack.worker("bureau:app", "--pool", "threads", "--concurrency", "1", "--queues", "celery", name="clerk")
    stack.publish("bureau", "bureau.rest.delay(60); bureau.mail.delay('a'); bureau.mail.delay('b')")
    stack.sign_in(page, "admin", "/fleet")
    mail = page.locator('[data-queue="mail"]')
    expect(mail.locator("td").first).to_have_text("2", timeout=20_000)
    expect(mail.locator("td").nth(1)).to_have_text(re.compile(r"\d+ s"))
    expect(mail.locator("td").nth(5)).to_have_text("2")
    clerk = page.locator('[data-worker="clerk@test"]')
    expect(clerk).to_contain_text("online")
    expect(clerk.get_by_role("link", name="bureau.rest")).to_be_visible(timeout=20_000)

    mail.get_by_role("button", name="Pause mail").click()
    question = page.get_by_role("alertdialog")
    expect(question).to_contain_text("Pause the queue")
    question.get_by_role("textbox").fill("the post is closed")
    question.get_by_role("button", name="Pause the queue").click()
    expect(mail).to_contain_text(re.compile(r"paused by \S+ since \d\d:\d\d"), timeout=15_000)
    expect(page.get_by_role("region", name="Paused queues")).to_contain_text("mail")
    mail.get_by_role("button", name="Resume mail").click()
    question.get_by_role("textbox").fill("the post is open again")
    question.get_by_role("button", name="Resume the queue").click()
    expect(mail).to_contain_text("open", timeout=15_000)
    page.goto(f"{stack.url}/audit")
    expect(page.get_by_role("main")).to_contain_text("the post is open again", timeout=15_000)
    page.goto(f"{stack.url}/fleet")

    worker.kill9()
    expect(clerk).to_contain_text("lost", timeout=45_000)
    mail.get_by_role("link", name="2").click()
    expect(page.locator("[data-task]")).to_have_count(2)
    stack.sign_in(page, "viewer", "/fleet")
    expect(mail).to_be_visible()
    expect(page.get_by_role("button", name="Pause mail")).to_have_count(0)


def test_rabbitmqs_management_api_says_what_is_in_hand(
    make_stack: Callable[..., Stack], rabbitmq: Any, page: Page
) -> None:
    if not hasattr(rabbitmq, "management_url"):
        pytest.skip("the RabbitMQ given from outside may have no management API")
    stack = make_stack(broker="rabbitmq", ORAKUL_CELERY_MANAGEMENT_URL=rabbitmq.management_url)
    stack.worker("bureau:app", "--pool", "threads", "--concurrency", "1", "--queues", "celery")
    stack.publish("bureau", "[bureau.rest.delay(60) for _ in range(3)]")
    stack.sign_in(page, "admin", "/fleet")
    row = page.locator('[data-queue="celery"]')
    expect(row.locator("td").nth(5)).to_contain_text(re.compile(r"[1-3] in hand"), timeout=30_000)
    expect(row.locator("td").nth(5)).to_contain_text("out a minute", timeout=30_000)


def test_a_tree_is_shown_over_time(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """Hundreds of tasks: waiting and running apart, what runs grows, keys move, zoom and open, times are told."""
    begin = datetime.now(UTC) - timedelta(seconds=40)
    events = life("root", "completed", begin, name="office.split", root_id="root", waited=2, ran=3)
    for number in range(300):
        begun = begin + timedelta(seconds=4 + number / 20)
        facts = {"parent_id": "root", "root_id": "root", "name": f"office.part{number:03}"}
        events += life(f"p{number:03}", "completed", begun, waited=1, ran=2, **facts)
    running = {"parent_id": "root", "root_id": "root", "name": "office.last"}
    journal.append([*events, *life("last", None, begin + timedelta(seconds=30), waited=1, ran=1, **running)])
    stack.sign_in(page, "admin", "/?task=root")
    waterfall = page.get_by_role("region", name="Waterfall")
    waterfall.scroll_into_view_if_needed()
    root = waterfall.get_by_role("treeitem", name=re.compile(r"^office\.split"))
    expect(root).to_have_attribute("aria-label", "office.split, Completed, waited 2.0 s, ran 3.0 s")
    assert 0 < waterfall.get_by_role("treeitem").count() < 100, "only what is in sight is drawn"
    wait, run = (root.locator(f'[data-part="{part}"]') for part in ("waiting", "running"))
    (left, right) = (wait.bounding_box(), run.bounding_box())
    assert left is not None
    assert right is not None
    assert 1.3 < right["width"] / left["width"] < 1.7
    assert abs(left["x"] + left["width"] - right["x"]) < 2

    tree = waterfall.get_by_role("tree")
    tree.focus()
    page.keyboard.press("End")
    last = waterfall.get_by_role("treeitem", name=re.compile(r"^office\.last"))
    expect(last).to_be_visible()
    said = last.get_attribute("aria-label")
    expect(last).not_to_have_attribute("aria-label", said or "")
    expect(waterfall.get_by_role("tooltip")).to_contain_text("office.last")
    expect(waterfall.get_by_role("tooltip")).to_contain_text("Waited")
    page.keyboard.press("+")
    expect(waterfall.get_by_role("button", name="Whole")).to_be_enabled()
    page.keyboard.press("0")
    expect(waterfall.get_by_role("button", name="Whole")).to_be_disabled()
    waterfall.get_by_role("button", name="Large").click()
    box = waterfall.bounding_box()
    assert box is not None
    assert box["width"] == 1280
    tree.focus()
    page.keyboard.press("Escape")
    expect(waterfall.get_by_role("button", name="Large")).to_be_visible()
    tree.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Task", exact=True).get_by_role("heading", level=2)).to_have_text(
        "office.part000"
    )


def counts(page: Page) -> dict[str, str | None]:
    """Return how many tasks of each status the page of the past shows."""
    chips = page.get_by_role("group", name="Tasks by status then").locator(".chip").all()
    return {str(chip.get_attribute("data-status")): chip.get_attribute("data-count") for chip in chips}


def test_the_room_is_shown_as_it_was_and_played_forward(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """Counts, tasks and queues are those of then, and playing leads to those of later."""
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=20)
    journal.append(life("a", "completed", begin, name="shop.pay", waited=10, ran=60))
    journal.append(life("b", "failed", begin, name="shop.send", queue="mail", waited=30, ran=60))
    journal.append(life("c", None, begin + timedelta(seconds=300), name="shop.count", ran=None))
    pause = Event(
        event_type="queue.paused", user_id="1", data={"queue": "mail"}, timestamp=begin + timedelta(seconds=5)
    )
    journal.append([pause])
    moment = (begin + timedelta(seconds=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    stack.sign_in(page, "admin", f"/past?at={moment}")
    banner = page.locator(".past-banner")
    expect(banner).to_contain_text("the room as it was, not as it is")
    expect(page.locator('[data-past="a"]')).to_contain_text("In progress")
    expect(page.locator('[data-past="b"]')).to_contain_text("Pending")
    expect(page.locator('[data-past="c"]')).to_have_count(0)
    then = {"pending": "1", "in_progress": "1", "completed": "0", "failed": "0", "cancelled": "0"}
    assert counts(page) == then
    mail = page.get_by_role("region", name="Queues then").locator('[data-queue="mail"]')
    expect(mail).to_contain_text("paused by 1")

    page.get_by_role("button", name="+10 s").click()
    page.get_by_role("button", name="+10 s").click()
    expect(page.locator('[data-past="b"]')).to_contain_text("In progress")
    page.get_by_role("slider", name="Moment").press("ArrowLeft")
    page.get_by_role("button", name="Pending").click()
    expect(page).to_have_url(re.compile("status=pending"))
    page.get_by_role("button", name="Pending").click()

    page.goto(f"{stack.url}/past?at={moment}")
    expect(page.locator('[data-past="a"]')).to_contain_text("In progress")
    page.get_by_role("button", name="× 60", exact=True).click()
    page.get_by_role("button", name="Play").click()
    expect(page.locator('[data-past="c"]')).to_contain_text("Pending", timeout=30_000)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator('[data-past="a"]')).to_contain_text("Completed")
    expect(page.locator('[data-past="b"]')).to_contain_text("Failed")
    assert counts(page) == {**then, "in_progress": "0", "completed": "1", "failed": "1"}
    assert moment not in page.url, "the address goes along"
    banner.get_by_role("link", name="Back to now").click()
    expect(page.get_by_role("grid", name="Tasks")).to_be_visible()


def test_retention_is_previewed_and_set_by_administrators(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """Other days show at once what would go, are kept after a question with their reason, and viewers only look."""
    filled(journal)
    old = datetime.now(UTC) - timedelta(days=12)
    for number in range(3):
        journal.append(life(f"old{number}", "completed", old, kind="export"))
    stack.sign_in(page, "admin", "/retention")
    going = page.get_by_role("region", name="What would go")
    expect(going).to_contain_text("Nothing")
    tasks = page.get_by_role("textbox", name="Ended tasks", exact=True)
    tasks.fill("0")
    expect(page.get_by_role("alert")).to_contain_text("from 1 to 3650")
    tasks.fill("10")
    row = going.locator('[data-going="tasks"]')
    expect(row).to_contain_text("export")
    expect(row.locator("td").nth(1)).to_have_text("3")
    page.get_by_role("button", name="Add a kind").click()
    page.get_by_role("textbox", name="Kind", exact=True).fill("export")
    page.get_by_role("textbox", name="Days for the kind").fill("365")
    expect(row).to_have_count(0)
    page.get_by_role("button", name="Keep by these days").click()
    question = page.get_by_role("alertdialog")
    expect(question).to_contain_text("cannot be brought back")
    question.get_by_role("textbox").fill("less room")
    question.get_by_role("button", name="Keep by these days").click()
    expect(page.get_by_text(re.compile("Changed by 1"))).to_be_visible()
    page.reload()
    expect(tasks).to_have_value("10")
    expect(page.get_by_role("textbox", name="Days for the kind export")).to_have_value("365")

    stack.sign_in(page, "viewer", "/retention")
    expect(tasks).to_have_value("10")
    expect(tasks).to_have_attribute("readonly", "")
    expect(page.get_by_role("button", name="Keep by these days")).to_have_count(0)
