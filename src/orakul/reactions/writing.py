"""From a draft to a message: the rule's templates, or the usual words; one that fails is told of in its place."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from orakul.reactions.judging import Draft
from orakul.reactions.notifier import Message, Severity
from orakul.reactions.occurrence import Occurrence
from orakul.reactions.rule import Rule
from orakul.reactions.templates import TemplateError, render

__all__ = ["sample_of", "write"]

_LONGEST_TITLE = 200
_SEVERITY: dict[str, Severity] = {"failed": "error", "cancelled": "warning", "completed": "info"}
_TITLES = {
    "alert": "{{ name or event_type }}{{ ' ' + status if status }}{{ ' × ' ~ count if count > 1 }}",
    "recovered": "{{ name or event_type }} works again",
    "over": "{{ rule }}: {{ count }} more",
}
_TEXTS = {
    "alert": "{% if error.type %}{{ error.type }}: {% endif %}{{ error.message or '' }}",
    "recovered": "After {{ count }} failed since {{ first }}.",
    "over": "{{ count }} events in {{ groups }} groups were more than this rule tells of one by one ({{ limit }}).",
}


def write(
    rule: Rule, rule_id: str, draft: Draft, *, key: str, public_url: str | None, group: str | None = None
) -> tuple[Message, str | None]:
    """Return the message, and what is wrong with the rule's templates. `group`: one of a recovery's members."""
    values = _values(rule, draft)
    own = draft.kind == "alert"
    title, wrong_title = _written(rule.title if own else "", _TITLES[draft.kind], values)
    text, wrong_text = _written(rule.text if own else "", _TEXTS[draft.kind], values)
    wrong = "; ".join(
        f"{name}: {each}" for name, each in (("title", wrong_title), ("text", wrong_text)) if each is not None
    )
    if wrong:
        text = f"{text}\n\n(The template of the rule {rule.name} is wrong: {wrong})".strip()
    one = msgspec.convert(draft.sample, Occurrence, strict=False)
    message = Message(
        key=key,
        title=" ".join(title.split())[:_LONGEST_TITLE] or rule.name,
        text=text,
        severity=_severity(rule, draft, one),
        link=f"{public_url.rstrip('/')}/?task={one.task_id}" if public_url and one.task_id else None,
        group=f"{rule_id} {_digest(group or draft.group)}",
        count=draft.count,
        fields=_fields(rule, draft, one),
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


def _fields(rule: Rule, draft: Draft, one: Occurrence) -> dict[str, str]:
    facts = {
        "Task": one.task_id,
        "Queue": one.queue or None,
        "Count": str(draft.count) if draft.count > 1 else None,
        "First": _moment(draft.first) if draft.count > 1 else None,
        "At": _moment(draft.last),
        "Rule": rule.name,
    }
    return {name: value for name, value in facts.items() if value}


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
