"""Rules over the API: made, changed, tried out and run over yesterday; those of the settings stand beside them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from counterparties import Counterparty, counterparty
from web_world import World, story

from orakul.journals.postgres.reactions import PostgresReactions
from orakul.reactions.desk import RuleDesk
from orakul.reactions.making import Notifiers
from orakul.reactions.rule import rules_of

FORM = {"name": "payments fail", "notify": ["hook"], "when": {"event": ["task.failed"], "name": ["shop.*"]}}


@pytest.fixture
def party() -> Iterator[Counterparty]:
    with counterparty() as found:
        yield found


@pytest.fixture
def world(database_url: str, party: Counterparty, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("HOOK_SECRET", "secret of tests")
    found = World.on(database_url)
    hook = {"kind": "webhook", "url": party.url, "secret": "env:HOOK_SECRET"}
    own = rules_of([{"name": "of the file", "notify": "hook", "when": {"event": "order.*"}}])
    store = PostgresReactions(found.connections)
    desk = RuleDesk(store, Notifiers({"hook": hook, "broken": {"kind": "jira"}}), own, store.past)
    found = replace(found, parts=replace(found.parts, rules=desk))
    found.journal.append([event for number in range(30) for event in story(f"t-{number}", "failed")])
    found.journal.append(story("t-last", "completed"))
    yield found
    found.connections.close()


def ask(world: World, method: str, path: str, form: Any = None, who: str = "admin") -> Any:
    return world.client(who)(method, path, **({} if form is None else {"json": form}))


def test_a_rule_is_made_listed_changed_and_deleted(world: World) -> None:
    made = ask(world, "POST", "/api/rules", FORM).json()
    assert (made["source"], made["author"], made["rule"]["every"]) == ("page", "1", "5m")
    listed = ask(world, "GET", "/api/rules", who="viewer").json()
    assert [(each["rule"]["name"], each["source"]) for each in listed["items"]] == [
        ("of the file", "file"),
        ("payments fail", "page"),
    ]
    notifiers = {each["name"]: each for each in listed["notifiers"]}
    assert (notifiers["hook"]["kind"], notifiers["hook"]["trouble"]) == ("webhook", None)
    assert "project" in notifiers["broken"]["trouble"] or "url" in notifiers["broken"]["trouble"]
    assert "secret" not in str(listed["items"])
    changed = ask(world, "PUT", f"/api/rules/{made['rule_id']}", {**FORM, "enabled": False}).json()
    assert changed["rule"]["enabled"] is False
    assert ask(world, "DELETE", f"/api/rules/{made['rule_id']}").status_code == 204
    assert ask(world, "DELETE", f"/api/rules/{made['rule_id']}").status_code == 404
    said = ask(world, "GET", "/api/events?type=reaction.*").json()["items"]
    assert [(each["event_type"], each["user_id"]) for each in said] == [
        ("reaction.rule_created", "1"),
        ("reaction.rule_changed", "1"),
        ("reaction.rule_deleted", "1"),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"evry": "5m"}, "there is no evry; did you mean every"),
        ({"notify": ["hok"]}, "did you mean hook"),
        ({"when": {}}, "it asks for nothing"),
        ({"text": "{{ wrong"}, "text: line 1"),
        ({"times": "often"}, "times: 'often' is not such as 5 in 10m"),
    ],
)
def test_what_is_wrong_is_named(world: World, change: dict[str, Any], said: str) -> None:
    for path in ("/api/rules", "/api/rules/preview"):
        if "notify" in change and path.endswith("preview"):
            continue
        response = ask(world, "POST", path, {**FORM, **change})
        assert response.status_code == 422
        assert said in response.json()["detail"]


def test_a_rule_of_the_settings_is_changed_there(world: World) -> None:
    for method in ("PUT", "DELETE"):
        response = ask(world, method, "/api/rules/file:of the file", FORM if method == "PUT" else None)
        assert response.status_code == 409
        assert "orakul.toml" in response.json()["detail"]


def test_a_sample_is_sent_and_it_says_what_came_of_it(world: World, party: Counterparty) -> None:
    rule = ask(world, "POST", "/api/rules", FORM).json()
    tried = ask(world, "POST", f"/api/rules/{rule['rule_id']}/try").json()
    assert tried == {"items": [{"notifier": "hook", "delivered": True, "said": "delivered"}], "trouble": None}
    assert party.asked[0].json["data"]["title"].startswith("[sample] ")
    party.trouble = 401
    tried = ask(world, "POST", f"/api/rules/{rule['rule_id']}/try").json()
    assert tried["items"][0]["delivered"] is False
    assert "answers 401" in tried["items"][0]["said"]


def test_what_a_rule_would_have_told(world: World, party: Counterparty) -> None:
    found = ask(world, "POST", "/api/rules/preview", {**FORM, "recovered": True, "group": ["name"]}).json()
    assert [(each["kind"], each["count"], each["title"]) for each in found["items"]] == [
        ("recovered", 30, "shop.pay works again"),
        ("alert", 1, "shop.pay failed"),
    ]
    assert (found["total"], found["partial"], found["trouble"]) == (2, False, None)
    assert found["looked"] >= 31
    none = ask(world, "POST", "/api/rules/preview", {**FORM, "when": {"name": ["other.*"]}}).json()
    assert none["items"] == []
    stored = ask(world, "POST", "/api/rules", {**FORM, "times": "10 in 1h", "every": "0s"}).json()
    told = ask(world, "GET", f"/api/rules/{stored['rule_id']}/preview", who="viewer").json()
    assert [each["count"] for each in told["items"]] == [10, 10, 10]
    assert party.asked == [], "nothing was sent"
