"""What the room promises to whoever works in it all day: jobs aborted, attempts apart, paper, keys, a quick sight."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pages_world import filled, journal_of, life
from playwright.sync_api import Locator, Page, Route, expect
from servers import wait_for
from stacks import Stack

from orakul.events import Event
from orakul.journals.postgres import PostgresJournal

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MANY = 4_000
SIGNS = {"↓": "ArrowDown", "↑": "ArrowUp", "Esc": "Escape", "Ctrl": "Control", "⌘": "Meta"}

SHOW_NEW = "Show the new tasks"


@pytest.fixture
def journal(stack: Stack) -> Iterator[PostgresJournal]:
    """The journal that the served Orakul shows."""
    with journal_of(stack) as journal:
        yield journal


def test_a_job_is_aborted_in_the_middle_and_pressed_twice_is_one(
    stack: Stack, journal: PostgresJournal, page: Page
) -> None:
    """What was done stays done and is told, the rest stays as it was, and one question gives one job."""
    now = datetime.now(UTC)
    for start in range(0, MANY, 1_000):
        events = [life(f"w{number:04}", None, now, ran=None, queue="far") for number in range(start, start + 1_000)]
        journal.append([event for each in events for event in each])
    stack.sign_in(page, "admin", "/?queue=far&status=pending")
    page.get_by_role("checkbox", name="Select all on the page").check()
    page.get_by_role("region", name="Selected tasks").get_by_role("button", name=re.compile("that fit")).click()
    page.keyboard.press("c")
    page.get_by_role("alertdialog").get_by_role("button", name="Cancel them").dblclick()
    job = page.get_by_role("group", name="Job")
    expect(job).to_have_count(1)
    expect(job).to_contain_text(re.compile(r"[1-9][\d,]* of 4,000 done"), timeout=30_000)
    job.get_by_role("button", name="Abort").click()
    expect(job).to_contain_text("Aborted", timeout=30_000)

    def settled() -> int | None:
        """Return how many were done, once the job says the same as the tasks: what was under way is finished."""
        with stack.client() as client:
            (only,) = client.get("/api/bulk").json()["items"]
        assert only["status"] == "aborted"
        done = int(only["done"])
        return done if (counted(stack, "cancelled"), counted(stack, "pending")) == (done, MANY - done) else None

    done = wait_for(settled, "the job to say what was done")
    assert 0 < done < MANY
    job.get_by_role("button", name="Each task").click()
    results = page.get_by_role("list", name="Each task")
    expect(results.locator("[data-result=done]").first).to_be_visible()


def counted(stack: Stack, status: str) -> int:
    with stack.client() as client:
        items = client.get("/api/tasks/counts", params={"queue": "far"}).json()["items"]
    return next(int(item["count"]) for item in items if item["status"] == status)


def retried(journal: PostgresJournal) -> None:
    """Tell of a task that failed, waited, and ran again, with a long log and arguments that are folded at first."""
    begin = datetime.now(UTC) - timedelta(seconds=60)
    error = {"type": "ConnectionError", "message": "the line is busy", "place": "office.py:7 call"}
    events = life("again", "failed", begin, waited=10, ran=10, error=error, arguments={"args": [list(range(80))]})
    for kind, after in (("pending", 21), ("in_progress", 31), ("completed", 51)):
        at = begin + timedelta(seconds=after)
        events.append(Event(event_type=f"task.{kind}", task_id="again", data={"attempt": 2}, timestamp=at))
    for number in range(400):
        data = {"attempt": 2, "level": "INFO", "logger": "office", "message": f"line {number}"}
        events.append(Event(event_type="task.log", task_id="again", data=data, timestamp=begin + timedelta(seconds=40)))
    journal.append(events)


def test_attempts_stand_apart_and_paper_has_all(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """Each attempt has its own waiting and running; what is drawn only as it is scrolled to is printed whole."""
    retried(journal)
    stack.sign_in(page, "admin", "/?task=again")
    line = page.get_by_role("region", name="Waterfall").get_by_role("treeitem")
    told = "attempt 1: Failed, waited 10.0 s, ran 10.0 s; attempt 2: Completed, waited 10.0 s, ran 20.0 s"
    expect(line).to_have_attribute("aria-label", f"office.task, {told}")
    first, second = _width(line, 1), _width(line, 2)
    assert 1.8 < second / first < 2.2
    log = page.get_by_role("log")
    expect(log.locator(".log-line").first).to_be_attached()
    assert log.locator(".log-line").count() < 100
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    paper = page.get_by_role("region", name="Task", exact=True)
    expect(paper.locator(".log-line")).to_have_count(400)
    expect(paper.locator(".log-line").last).to_be_visible()
    expect(paper).to_contain_text(re.compile(r"78,\s+79\s+\]"))
    height = page.evaluate("document.querySelector('.detail').getBoundingClientRect().height")
    assert height > 400 * 15, "no scroll bar hides a part of it"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(log).to_be_attached()


def _width(line: Locator, attempt: int) -> float:
    box = line.locator(f'[data-attempt="{attempt}"] [data-part="running"]').bounding_box()
    assert box is not None
    return box["width"]


def press(page: Page, name: str) -> None:
    """Press a key, or several after one another, as the sheet writes it: "Ctrl K", "g t"."""
    parts = [SIGNS.get(part, part) for part in name.split()]
    parts[1:] = [part.lower() if len(part) == 1 else part for part in parts[1:]]
    if parts[0] == "g":
        for part in parts:
            page.keyboard.press(part)
    else:
        page.keyboard.press("+".join(parts))


def at_cursor(page: Page) -> int:
    """Return at which row of the list its mark stands; -1: at none."""
    found = page.evaluate("[...document.querySelectorAll('[data-task]')].findIndex(row => 'cursor' in row.dataset)")
    return int(found)


def start(page: Page) -> None:
    """Leave all that is open by keys, and put the list's mark on the second row."""
    page.keyboard.press("Escape")
    for open_now in ("[role=alertdialog], [role=dialog]", ".bulk", ".detail"):
        if page.locator(open_now).count():
            page.keyboard.press("Escape")
        expect(page.locator(open_now)).to_have_count(0)
    for key in "kkkkkj":
        page.keyboard.press(key)
    wait_for(lambda: at_cursor(page) == 1, "the mark to be on the second row")


def keys_of_the_list(page: Page, stack: Stack) -> dict[str, Callable[[str], None]]:
    """Return what to see for each line of the sheet that is about the list: a new line needs a check of its own."""
    detail = page.get_by_role("region", name="Task", exact=True)
    picked = page.get_by_role("region", name="Selected tasks")

    def goes(to: int) -> Callable[[str], None]:
        def check(key: str) -> None:
            press(page, key)
            wait_for(lambda: at_cursor(page) == to, f"{key} to move the mark to {to}")

        return check

    def shows(look: Callable[[], None], *before: str) -> Callable[[str], None]:
        def check(key: str) -> None:
            for one in before:
                press(page, one)
            press(page, key)
            look()

        return check

    def asked(words: str) -> Callable[[], None]:
        return lambda: expect(page.get_by_role("alertdialog")).to_contain_text(words)

    def new(key: str) -> None:
        page.locator("[data-task]").nth(3).hover()
        with journal_of(stack) as journal:
            journal.append(life("new", None, datetime.now(UTC), ran=None))
        page.get_by_role("button", name="1 new").wait_for()
        press(page, key)
        expect(page.locator('[data-task="new"]')).to_be_visible()

    def edited(key: str) -> None:
        for one in ("j", "j", "Enter"):
            press(page, one)
        detail.get_by_role("button", name="Edit and run").wait_for()
        press(page, key)
        expect(page.get_by_role("dialog", name=re.compile("^Run"))).to_be_visible()

    grid = page.get_by_role("grid", name="Tasks")
    return {
        "Next task": goes(2),
        "Previous task": goes(0),
        "Open the task": shows(lambda: expect(detail).to_be_visible()),
        "Unselect, or close the task": shows(lambda: expect(detail).to_have_count(0), "Enter"),
        "Search by ID": shows(lambda: expect(page.get_by_role("searchbox", name="Search by ID")).to_be_focused()),
        "Back to the list": shows(lambda: expect(grid).to_be_focused(), "Enter"),
        "Hold the list, or let it go": shows(
            lambda: expect(page.get_by_text(re.compile("^Held since"))).to_be_visible()
        ),
        SHOW_NEW: new,
        "Select the task, or not": shows(lambda: expect(picked).to_contain_text("1 selected")),
        "Select further": shows(lambda: expect(picked).to_contain_text("2 selected"), "l"),
        "Select all on the page": shows(lambda: expect(picked).to_contain_text("5 selected"), "l"),
        "Retry the task, or what is selected": shows(asked("Retry this task?"), "k", "k", "j", "j", "j"),
        "Cancel the task, or what is selected": shows(asked("Cancel this task?"), "k"),
        "Edit the arguments and run": edited,
    }


def test_the_sheet_of_keys_is_true(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """Each key on the sheet does what the sheet says; a key that nobody checks here fails the test."""
    filled(journal)
    stack.sign_in(page, "admin")
    expect(page.locator("[data-task]")).to_have_count(5)
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keys")
    sheet.wait_for()
    lines: list[tuple[list[str], str]] = sheet.evaluate(
        "sheet => [...sheet.querySelectorAll('.keys > div')].map(line =>"
        " [[...line.querySelectorAll('kbd')].map(key => key.textContent), line.querySelector('dd').textContent])"
    )
    page.keyboard.press("Escape")
    palette = page.get_by_role("combobox", name="Go to or do")
    checks = keys_of_the_list(page, stack)
    for keys, what in sorted(lines, key=lambda line: (line[0][0].startswith("g "), line[1] == SHOW_NEW)):
        for key in keys:
            if key.startswith("g "):
                press(page, key)
                expect(page.get_by_role("navigation", name="Pages").locator("[aria-current]")).to_have_text(what)
                expect(page).to_have_title(f"{what} · Orakul")
            elif what == "Go to or do anything":
                press(page, key)
                expect(palette).to_be_visible()
                page.keyboard.press("Escape")
                expect(palette).to_have_count(0)
            elif what == "This sheet":
                press(page, key)
                expect(sheet).to_be_visible()
                page.keyboard.press("Escape")
            else:
                start(page)
                checks[what](key)
    assert set(checks) <= {what for _keys, what in lines}
    page.console_errors.clear()  # type: ignore[attr-defined]  # the journal alone keeps no arguments to edit: 409


def test_the_frame_is_painted_before_the_scripts_have_run(stack: Stack, journal: PostgresJournal, page: Page) -> None:
    """With its scripts held back the page shows the room's frame to who was signed in here; then what was asked for."""
    filled(journal)
    stack.sign_in(page, "admin")
    expect(page.locator("[data-task]")).to_have_count(5)
    held: list[Route] = []
    page.route(re.compile(r"/assets/main-"), lambda route: held.append(route))  # noqa: PLW0108 (Playwright marks what it is given)
    page.goto(f"{stack.url}/?status=failed", wait_until="commit")
    expect(page.locator(".shell-head")).to_have_text("Orakul")
    expect(page.locator(".skeleton")).to_be_visible()
    wait_for(lambda: page.evaluate("performance.getEntriesByName('first-contentful-paint').length") == 1, "a paint")
    wait_for(lambda: len(held) > 0, "the scripts to be asked for")
    for route in held:
        route.continue_()
    expect(page.locator("[data-task]")).to_have_count(1)
    expect(page.locator(".shell")).to_have_count(0)
