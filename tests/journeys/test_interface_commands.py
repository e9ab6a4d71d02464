"""Commands given on the page: each asks first, shows at once that it is under way, and ends in the true state."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from stacks import Stack

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_retry_cancel_pause_and_resume(
    make_stack: Callable[..., Stack], page: Page, tmp_path: Path, broker: str
) -> None:
    """Retry a failed task, cancel a running and a waiting one, pause and resume a queue, all seen on the page."""
    stack = make_stack(broker=broker)
    stack.worker("bureau:app", "--pool", "prefork", "--concurrency", "1", "--queues", "celery,mail")
    wanted = tmp_path / "wanted"
    failed, running = stack.publish(
        "bureau", f"result = [bureau.need.delay({str(wanted)!r}).id, bureau.rest.delay(60).id]"
    )
    stack.sign_in(page, "admin", f"/?task={failed}")
    detail = page.get_by_role("region", name="Task", exact=True)
    status = detail.locator(".detail-status")

    expect(status).to_have_text("Failed", timeout=15_000)
    expect(detail.get_by_role("button", name="Cancel")).to_be_disabled()
    stack.wait_for_task(running, status="in_progress")
    _cancel(page, running)
    expect(status).to_have_text("Cancelled", timeout=25_000)
    expect(detail.locator(".history")).to_contain_text("by 1")

    wanted.touch()
    page.locator(f'[data-task="{failed}"]').click()
    detail.get_by_role("button", name="Retry").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Retry").click()
    expect(status).to_have_text("Completed", timeout=20_000)
    expect(detail.get_by_text("attempt 2").first).to_be_visible()
    expect(detail.locator(".history")).to_contain_text("Retry requested")

    page.get_by_role("button", name="Pause queue").click()
    page.get_by_role("menuitem", name="Pause celery").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Pause the queue").click()
    paused = page.get_by_role("region", name="Paused queues")
    expect(paused).to_contain_text("celery", timeout=15_000)
    expect(paused).to_contain_text("paused by 1")
    page.wait_for_timeout(1_500)  # the workers hear of it within their beat
    waiting, doomed, mailed = stack.publish(
        "bureau", "result = [bureau.add.delay(1, 2).id, bureau.add.delay(3, 4).id, bureau.mail.delay('x').id]"
    )
    page.get_by_role("button", name="3 new").click(timeout=15_000)  # a list with an opened task stands still
    expect(page.locator(f'[data-task="{mailed}"]').get_by_text("Completed")).to_be_visible(timeout=15_000)
    expect(page.locator(f'[data-task="{waiting}"]').get_by_text("Pending")).to_be_visible()

    _cancel(page, doomed)
    expect(status).to_have_text("Cancelled", timeout=15_000)

    paused.get_by_role("button", name="Resume celery").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Resume the queue").click()
    expect(paused).to_have_count(0, timeout=15_000)
    expect(page.locator(f'[data-task="{waiting}"]').get_by_text("Completed")).to_be_visible(timeout=25_000)
    expect(page.locator(f'[data-task="{doomed}"]').get_by_text("Cancelled")).to_be_visible()


def _cancel(page: Page, task_id: str) -> None:
    page.locator(f'[data-task="{task_id}"]').click()
    detail = page.get_by_role("region", name="Task", exact=True)
    detail.get_by_text(task_id).wait_for()
    detail.get_by_role("button", name="Cancel").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Cancel the task").click()


def test_commands_by_keys_and_errors_in_words(stack: Stack, page: Page) -> None:
    """`c` asks to cancel; a refusal is told in words, and the page shows the true state again."""
    (task_id,) = stack.publish("bureau", "result = [bureau.rest.delay(60).id]")
    stack.wait_for_task(task_id, status="pending")
    stack.sign_in(page, "admin")
    page.locator(f'[data-task="{task_id}"]').wait_for()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    detail = page.get_by_role("region", name="Task", exact=True)
    expect(detail).to_contain_text(task_id)
    page.route("**/api/tasks/*", lambda route: route.abort() if route.request.method == "DELETE" else route.continue_())
    page.keyboard.press("c")
    page.get_by_role("alertdialog").get_by_role("button", name="Cancel the task").click()
    expect(page.locator(".toast")).to_contain_text("Orakul does not answer")
    expect(detail.locator(".detail-status")).to_have_text("Pending")
    page.unroute_all()
    page.keyboard.press("c")
    page.keyboard.press("Escape")
    expect(page.get_by_role("alertdialog")).to_have_count(0)
    expect(detail).to_be_visible()
    page.keyboard.press("Escape")
    expect(detail).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.wait_for_timeout(200)
    page.console_errors.clear()  # type: ignore[attr-defined]  # the browser reports the request that was cut off
