"""From a draft to a message: the rule's templates, or the usual words; one that fails is told of in its place."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from orakul.reactions.judging import Draft
from orakul.reactions.notifier import Message, Severity
from orakul.reactions.occurrence import Occurrence
from orakul.reactions.rule import Rule
from orakul.reactions.templates import TemplateError, render

__all__ = ["Language", "sample_of", "write"]

Language = Literal["ru", "en"]

_LONGEST_TITLE = 200
_SEVERITY: dict[str, Severity] = {"failed": "error", "cancelled": "warning", "completed": "info"}
_FACTS = (
    "{% if error.type %}{{ error.type }}: {% endif %}"
    "{{ error.message or (data.message if data.message is string else '') }}"
)
_TITLES: dict[Language, dict[str, str]] = {
    "en": {
        "alert": "{{ name or event_type }}{{ ' ' + status if status }}{{ ' × ' ~ count if count > 1 }}",
        "recovered": "{{ name or event_type }} works again",
        "over": "{{ rule }}: {{ count }} more",
    },
    "ru": {
        "alert": "{{ name or event_type }}{{ ': ' + status_word if status }}{{ ' × ' ~ count if count > 1 }}",
        "recovered": "{{ name or event_type }} снова работает",
        "over": "{{ rule }}: ещё {{ count }}",
    },
}
_TEXTS: dict[Language, dict[str, str]] = {
    "en": {
        "alert": _FACTS,
        "recovered": "After {{ count }} failed since {{ first }}.",
        "over": "{{ count }} events in {{ groups }} groups were more than this rule tells of one by one ({{ limit }}).",
    },
    "ru": {
        "alert": _FACTS,
        "recovered": "Перед этим ошибок: {{ count }}, первая {{ first }}.",
        "over": "Событий: {{ count }}, групп: {{ groups }} — больше, чем правило сообщает по одному ({{ limit }}).",
    },
}
_STATUSES = {
    "pending": "ожидает",
    "in_progress": "выполняется",
    "completed": "выполнено",
    "failed": "ошибка",
    "cancelled": "отменено",
}
_LABELS: dict[Language, tuple[str, ...]] = {
    "en": ("Task", "Queue", "Count", "First", "At", "Rule"),
    "ru": ("Задача", "Очередь", "Число", "Первое", "Когда", "Правило"),
}
_WRONG: dict[Language, str] = {
    "en": "The template of the rule {} is wrong: {}",
    "ru": "Шаблон правила {} неверен: {}",
}


def write(
    rule: Rule,
    rule_id: str,
    draft: Draft,
    *,
    key: str,
    public_url: str | None,
    group: str | None = None,
    language: Language = "en",
) -> tuple[Message, str | None]:
    """Return the message, and what is wrong with the rule's templates. `group`: one of a recovery's members."""
    values = _values(rule, draft)
    own = draft.kind == "alert"
    title, wrong_title = _written(rule.title if own else "", _TITLES[language][draft.kind], values)
    text, wrong_text = _written(rule.text if own else "", _TEXTS[language][draft.kind], values)
    wrong = "; ".join(
        f"{name}: {each}" for name, each in (("title", wrong_title), ("text", wrong_text)) if each is not None
    )
    if wrong:
        text = f"{text}\n\n({_WRONG[language].format(rule.name, wrong)})".strip()
    one = msgspec.convert(draft.sample, Occurrence, strict=False)
    message = Message(
        key=key,
        title=" ".join(title.split())[:_LONGEST_TITLE] or rule.name,
        text=text,
        severity=_severity(rule, draft, one),
        link=f"{public_url.rstrip('/')}/?task={one.task_id}" if public_url and one.task_id else None,
        group=f"{rule_id} {_digest(group or draft.group)}",
        count=draft.count,
        fields=_fields(rule, draft, one, language),
        event={
            "seq": one.seq,
            "event_type": one.event_type,
            "timestamp": one.timestamp,
            "task_id": one.task_id,
            "user_id": one.user_id,
            "data": dict(one.data),
        },
    )
    return message, wrong or None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _severity(rule: Rule, draft: Draft, one: Occurrence) -> Severity:
    if draft.kind == "recovered":
        return "recovered"
    return rule.severity or _SEVERITY.get(one.status, "warning" if one.error else "info")


def _fields(rule: Rule, draft: Draft, one: Occurrence, language: Language) -> dict[str, str]:
    many = draft.count > 1
    facts = (
        one.task_id,
        one.queue or None,
        str(draft.count) if many else None,
        _moment(draft.first) if many else None,
        _moment(draft.last),
        rule.name,
    )
    return {name: value for name, value in zip(_LABELS[language], facts, strict=True) if value}


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _values(rule: Rule, draft: Draft) -> dict[str, Any]:
    sample = dict(draft.sample)
    data = sample.get("data") or {}
    found = data.get("error")
    error = found if isinstance(found, Mapping) else {}
    return {
        **{name: "" if value is None else value for name, value in sample.items()},
        "data": data,
        "status_word": _STATUSES.get(str(sample.get("status")), sample.get("status") or ""),
        "error": {"type": "", "message": "", "traceback": "", "place": "", **{k: v or "" for k, v in error.items()}},
        "rule": rule.name,
        "group": draft.group,
        "groups": draft.groups,
        "count": draft.count,
        "first": _moment(draft.first),
        "last": _moment(draft.last),
        "limit": rule.limit,
    }


def _written(own: str, usual: str, values: Mapping[str, Any]) -> tuple[str, str | None]:
    if own:
        try:
            return render(own, values), None
        except TemplateError as error:
            return render(usual, values), str(error)
    return render(usual, values), None


def sample_of(rule: Rule) -> Draft:
    """Return a draft such as the rule might make, for trying it out."""
    now = datetime.now(UTC)
    name = next((each for each in rule.when.name if not set("*?[") & set(each)), "sample.task")
    kind = next((each for each in rule.when.kind if not set("*?[") & set(each)), "celery")
    event = next((each for each in rule.when.event if not set("*?[") & set(each)), "task.failed")
    data = {"error": {"type": "SampleError", "message": "this is a sample; nothing has failed"}}
    one = Occurrence(
        seq=0, event_type=event, timestamp=now, kind=kind, name=name, queue="sample", data=data,
        status=event.removeprefix("task.") if event.startswith("task.") else "",
    )  # fmt: skip
    moment = now.timestamp()
    return Draft(kind="alert", group="sample", count=1, first=moment, last=moment, sample=one.slim())
