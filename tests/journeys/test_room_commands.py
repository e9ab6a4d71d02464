"""Commands to many tasks, and runs with edited arguments, over a real fleet; who gave them and why stays told."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from stacks import Stack
from test_room_list import no_violations, row

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def bureau(make_stack: Callable[..., Stack]) -> Stack:
    """A served Orakul with one worker of the bureau."""
    stack = make_stack()
    stack.worker("bureau:app", "--pool", "threads", "--concurrency", "2", "--queues", "celery,mail")
    return stack


def test_many_are_commanded_at_once(bureau: Stack, page: Page, tmp_path: Path) -> None:
    """Selected by hand, then all that fit: the question says how many, the job its progress, each task its outcome."""
    wanted = tmp_path / "wanted"
    ids = bureau.publish(
        "bureau", f"result = [bureau.need.delay({str(wanted)!r}).id for _ in range(12)] + [bureau.add.delay(1, 2).id]"
    )
    for task_id in ids[:12]:
        bureau.wait_for_task(task_id, status="failed")
    bureau.wait_for_task(ids[12], status="completed")
    bureau.sign_in(page, "admin")
    expect(page.locator("[data-task]")).to_have_count(13)
    order = [str(one.get_attribute("data-task")) for one in page.locator("[data-task]").all()]
    row(page, order[0]).locator(".cell-pick").click()
    row(page, order[3]).locator(".cell-pick").click(modifiers=["Shift"])
    bar = page.get_by_role("region", name="Selected tasks")
    failed = [task_id for task_id in order[:4] if task_id != ids[12]]
    expect(bar).to_contain_text("4 selected")
    bar.get_by_role("button", name=f"Retry {len(failed)}").click()
    question = page.get_by_role("alertdialog")
    expect(question).to_contain_text(f"{len(failed)} failed tasks will run again with their original arguments")
    no_violations(page, "question")
    wanted.touch()
    question.get_by_role("textbox").fill("the file is there")
    question.get_by_role("button", name="Retry them").click()
    job = page.get_by_role("group", name="Job")
    expect(job).to_contain_text(f"{len(failed)} of {len(failed)} done", timeout=20_000)
    expect(bar).to_have_count(0)
    for task_id in failed:
        bureau.wait_for_task(task_id, status="completed")

    page.get_by_role("button", name="Failed", exact=False).first.click()
    expect(page.locator("[data-task]")).to_have_count(12 - len(failed), timeout=15_000)
    page.get_by_role("checkbox", name="Select all on the page").check()
    bar.get_by_role("button", name=re.compile(r"Select all \d+ that fit")).click()
    page.keyboard.press("r")
    expect(question).to_contain_text(f"All failed tasks that fit the filters now ({12 - len(failed)})")
    question.get_by_role("button", name="Retry them").click()
    job = page.get_by_role("group", name="Job").last
    expect(job).to_contain_text("Retried", timeout=20_000)
    job.get_by_role("button", name="Each task").click()
    results = page.get_by_role("list", name="Each task")
    expect(results.get_by_role("listitem")).to_have_count(12 - len(failed))
    expect(results.locator("[data-result=done]")).to_have_count(12 - len(failed))
    no_violations(page, "job")

    page.goto(f"{bureau.url}/?task={failed[0]}")
    history = page.locator(".history")
    expect(history).to_contain_text("Retry requested")
    expect(history).to_contain_text("by 1")
    expect(history).to_contain_text("the file is there")
    bureau.sign_in(page, "viewer", f"/?task={failed[0]}")
    expect(page.locator(".history")).to_contain_text("Retry requested")
    for name in ("Retry", "Cancel", "Edit and run"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    expect(page.get_by_role("checkbox")).to_have_count(0)


def test_those_that_wait_are_cancelled(bureau: Stack, page: Page) -> None:
    """All on the page are selected and cancelled by key; the job says so, and is put away."""
    ids = bureau.publish("bureau", "result = [bureau.rest.apply_async((0.1,), queue='nobody').id for _ in range(30)]")
    bureau.wait_for_task(ids[-1], status="pending")
    bureau.sign_in(page, "admin", "/?queue=nobody")
    expect(page.locator("[data-task]")).to_have_count(30)
    page.get_by_role("checkbox", name="Select all on the page").check()
    page.keyboard.press("c")
    page.get_by_role("alertdialog").get_by_role("button", name="Cancel them").click()
    job = page.get_by_role("group", name="Job")
    expect(job.get_by_text(re.compile("Cancelled|Aborted"))).to_be_visible(timeout=20_000)
    expect(row(page, ids[-1]).get_by_text("Cancelled")).to_be_visible(timeout=15_000)
    job.get_by_role("button", name="Dismiss").click()
    expect(job).to_have_count(0)


def test_run_again_with_other_arguments(bureau: Stack, page: Page) -> None:
    """What is no JSON is refused with its place; the new task is opened and names its origin; a log is searched."""
    (task_id, talk) = bureau.publish(
        "bureau", "result = [bureau.add.delay(20, None).id, bureau.talk.delay(20, 0.01).id]"
    )
    bureau.wait_for_task(task_id, status="failed")
    bureau.wait_for_task(talk, status="completed")
    bureau.sign_in(page, "admin", f"/?task={task_id}")
    detail = page.get_by_role("region", name="Task", exact=True)
    expect(detail.locator(".history-entry")).to_have_count(3)
    page.keyboard.press("e")
    dialog = page.get_by_role("dialog", name="Run bureau.add with other arguments")
    args = dialog.get_by_label("Positional arguments")
    expect(args).to_be_focused(timeout=20_000)
    expect(args).to_have_value(re.compile(r"20"))
    args.fill("[20,\n 2")
    expect(dialog.get_by_role("alert")).to_contain_text("line 2")
    expect(dialog.get_by_role("button", name="Run as a new task")).to_be_disabled()
    args.fill('{"x": 1}')
    expect(dialog.get_by_role("alert")).to_contain_text("JSON array")
    no_violations(page, "edited")
    args.fill("[20, 22]")
    dialog.get_by_label(re.compile("Reason")).fill("one was wrong")
    dialog.get_by_role("button", name="Run as a new task").click()
    expect(dialog).to_have_count(0)
    expect(detail.get_by_role("group", name="Result", exact=True).first).to_contain_text("sum: 42", timeout=20_000)
    expect(detail.locator(".history")).to_contain_text("Made of:")
    detail.locator(".history").get_by_role("button", name=task_id).click()
    expect(detail.locator(".history")).to_contain_text("one was wrong")
    expect(detail.locator(".history")).to_contain_text("New task:")
    detail.get_by_role("link", name="All runs of bureau.add").click()
    expect(page.locator("[data-task]")).to_have_count(2)

    page.goto(f"{bureau.url}/?task={talk}")
    log = detail.get_by_role("log")
    detail.get_by_label("Level").select_option("WARNING")
    expect(log.locator(".log-line")).to_have_count(2)
    detail.get_by_label("Level").select_option("")
    detail.get_by_label("Search the log").fill("line 7 of")
    expect(log.locator(".log-line")).to_have_count(1)
    with page.expect_download() as download:
        detail.get_by_role("button", name="Download the log").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert re.fullmatch(r"\S+ INFO bureau: line 7 of 20\n", text), text

    page.emulate_media(media="print")
    expect(page.locator(".header")).to_be_hidden()
    expect(page.locator(".list")).to_be_hidden()
    expect(detail.get_by_role("heading", level=2)).to_be_visible()
    expect(detail.locator(".facts")).to_be_visible()
