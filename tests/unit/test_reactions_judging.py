"""What a rule makes of what happens: groups, limits, thresholds, quiet hours, recoveries, with the time in hand."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from orakul.errors import InvalidQueryError, SettingsError
from orakul.events import Event
from orakul.reactions.judging import Draft, GroupState, Judge
from orakul.reactions.occurrence import Occurrence, asks, occurrence_of
from orakul.reactions.rule import StoredRule, read_rule, rules_of
from orakul.reactions.templates import TemplateError, render
from orakul.reactions.writing import sample_of, write

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC).timestamp()


def rule(**form: Any) -> StoredRule:
    usual = {"name": "r", "notify": "ops", "when": {"event": "task.failed"}, "limit": ""}
    return StoredRule(rule_id="r", rule=read_rule({**usual, **form}))


def happened(event_type: str = "task.failed", at: float = NOON, **data: Any) -> Occurrence:
    usual: dict[str, Any] = {"kind": "celery", "name": "shop.pay"}
    if event_type == "task.failed":
        usual["error"] = {"type": "ValueError", "message": "no money"}
    event = Event(event_type=event_type, task_id="t", data={**usual, **data}, timestamp=datetime.fromtimestamp(at, UTC))
    one = occurrence_of(1, event)
    assert one is not None
    return one


def told(judge: Judge, *moments: tuple[float, Occurrence]) -> list[tuple[str, int]]:
    drafts: list[Draft] = []
    for now, one in moments:
        drafts += judge.take(one, now)
    return [(draft.kind, draft.count) for draft in drafts]


def test_a_storm_is_one_message_then_the_rest_together_then_one_recovered() -> None:
    judge = Judge(rule(every="5m", recovered=True))
    assert told(judge, *((NOON + n / 100, happened(at=NOON + n / 100)) for n in range(10_000))) == [("alert", 1)]
    assert judge.tick(NOON + 299) == []
    assert [(draft.kind, draft.count) for draft in judge.tick(NOON + 301)] == [("alert", 9_999)]
    assert told(judge, (NOON + 302, happened("task.completed", NOON + 302))) == [("recovered", 10_000)]
    assert told(judge, (NOON + 303, happened("task.completed", NOON + 303))) == [], "once"


def test_what_never_was_told_does_not_recover() -> None:
    judge = Judge(rule(times="3 in 1m", recovered=True))
    assert told(judge, (NOON, happened()), (NOON, happened("task.completed"))) == []


def test_so_many_within_so_long() -> None:
    judge = Judge(rule(times="3 in 1m", every="0s"))
    moments = [0, 50, 100, 110, 115, 300]
    assert told(judge, *((NOON + at, happened(at=NOON + at)) for at in moments)) == [("alert", 3)]
    late = Judge(rule(times="2 in 1m", every="0s"))
    read_late = [(NOON + 9_000, happened(at=NOON)), (NOON + 9_000, happened(at=NOON + 100))]
    assert told(late, *read_late) == [], "what counts is when it happened, not when it was read"


def test_groups_are_told_apart_and_bounded_together() -> None:
    judge = Judge(rule(limit="3 in 1h"))
    kinds = [f"Error{number}" for number in range(10)]
    drafts = told(judge, *((NOON, happened(error={"type": kind, "message": ""})) for kind in kinds))
    assert drafts == [("alert", 1)] * 3
    assert judge.tick(NOON + 60) == []
    (over,) = judge.tick(NOON + 3_601)
    assert (over.kind, over.count, over.groups) == ("over", 7, 7)
    assert judge.tick(NOON + 3_602) == []


def test_in_quiet_hours_nothing_is_told_and_after_them_everything_together() -> None:
    judge = Judge(rule(quiet="22:00-07:00 Europe/Moscow", recovered=True, every="1m"))
    night = datetime(2026, 3, 2, 21, 0, tzinfo=UTC).timestamp()  # midnight in Moscow
    assert told(judge, *((night + n * 90, happened(at=night + n * 90)) for n in range(5))) == []
    morning = datetime(2026, 3, 3, 4, 1, tzinfo=UTC).timestamp()
    assert [(draft.kind, draft.count) for draft in judge.tick(morning)] == [("alert", 5)]
    assert told(judge, (night + 86_400, happened("task.completed"))) == []
    assert [draft.kind for draft in judge.tick(morning + 86_400)] == ["recovered"]


def test_what_is_known_survives_as_json() -> None:
    stored = rule(every="5m", recovered=True, limit="5 in 1h")
    judge = Judge(stored)
    told(judge, (NOON, happened()), (NOON + 1, happened()))
    state = msgspec.json.decode(msgspec.json.encode(judge.state), type=type(judge.state))
    groups = msgspec.json.decode(msgspec.json.encode(judge.groups), type=dict[str, GroupState])
    after = Judge(stored, state, groups)
    assert [(draft.kind, draft.count) for draft in after.tick(NOON + 301)] == [("alert", 1)]
    assert told(after, (NOON + 302, happened("task.completed"))) == [("recovered", 2)]


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ({"event": "task.*"}, True),
        ({"event": ["order.*", "task.failed"]}, True),
        ({"event": "task.completed"}, False),
        ({"status": "failed", "name": "shop.*"}, True),
        ({"name": "shop"}, False),
        ({"kind": "export"}, False),
        ({"data": {"error.type": "Value*"}}, True),
        ({"data": {"error.type": ["KeyError", "ValueError"]}}, True),
        ({"data": {"rows": ">= 10"}}, True),
        ({"data": {"rows": "> 10"}}, False),
        ({"data": {"rows": 10}}, True),
        ({"data": {"ok": False}}, True),
        ({"data": {"missing": "*"}}, False),
        ({"data": {"deep.er.value": "x"}}, True),
    ],
)
def test_when(when: dict[str, Any], fits: bool) -> None:  # noqa: FBT001 (a table's column)
    one = happened(rows=10, ok=False, deep={"er": {"value": "x"}})
    assert asks(rule(when=when).rule, one) is fits


def test_a_failure_that_celery_itself_tries_again_is_none_yet() -> None:
    assert not asks(rule().rule, happened(retrying=True))
    assert asks(rule(when={"event": "task.failed", "data": {"retrying": True}}).rule, happened(retrying=True))


def test_no_rule_sees_what_becomes_of_messages() -> None:
    event = Event(event_type="task.failed", task_id="d", data={"kind": "reaction", "name": "r"})
    assert occurrence_of(1, event) is None


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"evry": "5m"}, "there is no evry; did you mean every"),
        ({"every": "often"}, "every: 'often' is no time such as 90s, 5m"),
        ({"times": "many"}, "times: 'many' is not such as 5 in 10m"),
        ({"limit": "0 in 1h"}, "limit: "),
        ({"quiet": "at night"}, "quiet: 'at night' is not such as"),
        ({"quiet": "22:00-07:00 Mars/Olympus"}, "quiet: there is no time zone"),
        ({"when": {}}, "when: it asks for nothing"),
        ({"when": {"evnt": "x"}}, "there is no when.evnt; did you mean event"),
        ({"title": "{{ name"}, "title: line 1: "),
        ({"text": "{% for x in y %}"}, "text: line 1: "),
        ({"notify": []}, "notify"),
        ({"name": 5}, "name: expected str"),
        ({"severity": "fatal"}, "severity: "),
    ],
)
def test_what_is_wrong_with_a_rule_is_named(form: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        rule(**form)
    assert said.lower() in str(caught.value).lower()
    with pytest.raises(SettingsError, match="rules: the rule"):
        rules_of([{"name": "r", "notify": "ops", "when": {"event": "task.failed"}, **form}])


def test_messages_by_the_usual_words_and_by_templates() -> None:
    usual = rule().rule
    (draft,) = Judge(rule()).take(happened(), NOON)
    message, wrong = write(usual, "r", draft, key="k", public_url="https://orakul.example.com/")
    assert (message.title, message.text, message.severity, wrong) == (
        "shop.pay failed", "ValueError: no money", "error", None,
    )  # fmt: skip
    assert message.link == "https://orakul.example.com/?task=t"
    own = rule(title="{{ count }}× {{ name|upper }}", text="{{ data.error.message }} in {{ kind }}").rule
    message, wrong = write(own, "r", draft, key="k", public_url=None)
    assert (message.title, message.text, wrong) == ("1× SHOP.PAY", "no money in celery", None)


@pytest.mark.parametrize(
    "text",
    [
        "{{ nothing.at.all }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ 'x' * 1000000000 }}",
        "{{ 9 ** 99999999 }}",
        "".join(f"{{% for {letter} in name %}}" for letter in "abcdefghij") + "{% endfor %}" * 10,
        "{% for a in long %}{{ long }}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ data.pop('error') }}",
        "{% include 'secrets' %}",
        "{{ 1 / 0 }}",
    ],
)
def test_a_template_that_is_wrong_endless_or_huge_is_named_and_the_message_goes_out(text: str) -> None:
    with pytest.raises(TemplateError):
        render(text, {"name": "shop.payment", "long": "x" * 3_000, "data": {"error": 1}})
    broken = rule(title=text).rule
    (draft,) = Judge(rule()).take(happened(long="x" * 3_000), NOON)
    message, wrong = write(broken, "r", draft, key="k", public_url=None)
    assert message.title == "shop.pay failed"
    assert wrong is not None
    assert wrong.startswith("title: ")
    assert "(The template of the rule r is wrong: title: " in message.text


def test_a_sample_is_such_as_the_rule_might_make() -> None:
    one = rule(when={"event": "task.failed", "name": ["shop.*", "shop.pay"]}).rule
    message, _ = write(one, "r", sample_of(one), key="k", public_url=None)
    assert message.title == "shop.pay failed"
    assert "this is a sample" in message.text
