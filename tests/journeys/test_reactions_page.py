"""The page of reactions in a real browser: a rule is made, looked at over yesterday, tried, reacts, and is deleted."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from counterparties import Counterparty, counterparty
from pages_world import journal_of, life
from playwright.sync_api import Page, expect
from processes import wait_for
from stacks import Stack

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def party() -> Iterator[Counterparty]:
    with counterparty() as found:
        yield found


@pytest.fixture
def stack(make_stack: Callable[..., Stack], party: Counterparty) -> Stack:
    hook = {"kind": "webhook", "url": party.url, "secret": "env:HOOK_SECRET"}
    notifiers = json.dumps({"hook": hook, "broken": {"kind": "jira"}})
    rules = '[{"name": "of the file", "notify": "hook", "when": {"event": "order.*"}}]'
    return make_stack(ORAKUL_NOTIFIERS=notifiers, ORAKUL_RULES=rules, HOOK_SECRET="secret of tests")


def test_a_rule_is_made_previewed_tried_reacts_and_is_deleted(
    stack: Stack, page: Page, party: Counterparty, axe: Callable[[Page, str], None]
) -> None:
    error = {"type": "ValueError", "message": "no money", "place": "shop.py:1 pay"}
    with journal_of(stack) as journal:
        journal.append(life("before", "failed", datetime.now(UTC) - timedelta(hours=1), error=error))
        stack.sign_in(page, "admin", "/reactions")
        expect(page.locator("article.rule")).to_have_count(1)
        expect(page.locator("[data-notifier=broken]")).to_contain_text("notifiers.broken")
        page.get_by_role("button", name="New rule").click()
        form = page.get_by_role("form", name="New rule")
        form.get_by_label("Name of the rule").fill("payments fail")
        form.get_by_label("hook").check()
        form.get_by_label("So many within").fill("often")
        form.get_by_role("button", name="Keep the rule").click()
        expect(form.get_by_role("alert")).to_contain_text("times: 'often' is not such as 5 in 10m")
        page.console_errors.clear()  # type: ignore[attr-defined]  # the browser reports the 422 that it was given
        form.get_by_label("So many within").fill("")
        form.get_by_role("button", name="What would it have told?").click()
        expect(form.locator(".rule-messages li")).to_have_count(1)
        axe(page, "the editor")
        form.get_by_role("button", name="Keep the rule").click()
        rule = page.locator("article.rule[data-rule='payments fail']")
        rule.get_by_role("button", name="Try it").click()
        expect(rule.locator("[data-delivered=true]")).to_contain_text("delivered")
        assert party.asked[0].json["data"]["title"].startswith("[sample] ")
        failures = count()

        def told() -> bool:
            # A rule holds within seconds of its making; what failed before that is not told of.
            journal.append(life(f"after-{next(failures)}", "failed", datetime.now(UTC), error=error))
            return len(party.asked) > 1

        wait_for(told, "a failure is told of", every=1.0)
        assert party.asked[1].json["data"]["event"]["task_id"].startswith("after-")
        expect(rule.locator(".rule-deliveries")).to_contain_text("told: 1", timeout=30_000)
        axe(page, "the rules")
        rule.locator(".rule-deliveries").click()
        expect(page.get_by_role("grid", name="Tasks")).to_contain_text("payments fail")
        page.go_back()
        rule.get_by_role("button", name="Delete").click()
        page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
        expect(rule).to_have_count(0)
    stack.sign_in(page, "user", "/reactions")
    expect(page.get_by_text("This page is not for your role")).to_be_visible()
