"""The usual words of messages, in both languages."""

from datetime import UTC, datetime
from typing import Any

import pytest

from orakul.reactions.judging import Draft
from orakul.reactions.occurrence import Occurrence
from orakul.reactions.rule import read_rule
from orakul.reactions.writing import Language, write

MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def written(language: Language, kind: Any, event: str, count: int = 1, **data: Any) -> tuple[str, str, list[str]]:
    status = event.removeprefix("task.") if event.startswith("task.") else ""
    one = Occurrence(
        seq=1, event_type=event, timestamp=MOMENT, task_id="t", name="shop.pay", kind="celery", status=status, data=data
    )
    at = MOMENT.timestamp()
    draft = Draft(kind=kind, group="g", count=count, first=at, last=at, sample=one.slim())
    rule = read_rule({"name": "r", "notify": "ops", "when": {"event": "*"}})
    message, wrong = write(rule, "r", draft, key="k", public_url=None, language=language)
    assert wrong is None
    return message.title, message.text, list(message.fields)


@pytest.mark.parametrize(
    ("language", "title", "again", "label"),
    [
        ("en", "shop.pay failed × 3", "shop.pay works again", "Task"),
        ("ru", "shop.pay: ошибка × 3", "shop.pay снова работает", "Задача"),
    ],
)
def test_messages_are_in_the_language_of_the_settings(language: Language, title: str, again: str, label: str) -> None:
    told = written(language, "alert", "task.failed", 3, error={"type": "E", "message": "no money"})
    assert told[:2] == (title, "E: no money")
    assert told[2][0] == label
    title, text, _ = written(language, "recovered", "task.completed", 3)
    assert title == again
    assert "3" in text
    assert "3" in written(language, "over", "task.failed", 3)[1]


def test_a_broken_rule_of_data_quality_tells_its_sentence() -> None:
    said = "2 строки отброшено валидатором/фильтром"
    assert written("ru", "alert", "pipeline.rule_broken", message=said)[1] == said
    assert written("ru", "alert", "order.placed", order_id=5)[1] == ""
