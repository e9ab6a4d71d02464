"""What happened, as rules see it: an event with what is known of its task, and whether a rule asks for it."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from orakul.events import Event
from orakul.reactions.rule import Rule, When

__all__ = ["KIND", "Occurrence", "asks", "occurrence_of", "recovers"]

KIND = "reaction"
"""The kind of the tasks that deliveries are. Rules never see them, so that none reacts to itself."""

_COMPARED = re.compile(r"(>=|<=|!=|>|<|=)\s*(.+)", re.DOTALL)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip
_LARGEST = 30_000
_KEPT = ("error", "outcome", "reason", "author", "worker", "progress", "rows", "message", "level", "logger")


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """An event, flat: what patterns, groups and templates speak of."""

    seq: int
    event_type: str
    timestamp: datetime
    kind: str = ""
    name: str = ""
    status: str = ""
    queue: str = ""
    worker: str = ""
    task_id: str | None = None
    user_id: str | None = None
    attempt: int | None = None
    data: Mapping[str, Any] = {}

    @property
    def error(self) -> Mapping[str, Any]:
        """The error in its data, empty where there is none."""
        found = self.data.get("error")
        return found if isinstance(found, Mapping) else {}

    @property
    def subject(self) -> str:
        """What recovers: a kind and a name."""
        return f"{self.kind} {self.name}"

    def at(self, path: str) -> Any:
        """Return a field by its path: `name`, `error.type`, `data.rows.loaded`; None where there is none."""
        if path in _FLAT:
            return getattr(self, path)
        return _at(self.data, path.removeprefix("data."))

    def slim(self) -> dict[str, Any]:
        """Return it as what is kept of it: large data is cut to what messages are made of."""
        form: dict[str, Any] = msgspec.to_builtins(self)
        if len(msgspec.json.encode(form)) > _LARGEST:
            form["data"] = {name: _short(value) for name, value in self.data.items() if name in _KEPT}
        return form


_FLAT = frozenset(Occurrence.__struct_fields__) - {"data"}


def _short(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _short(each) for name, each in list(value.items())[:20]}
    return str(value)[:2_000] if isinstance(value, str) else value if isinstance(value, int | float | bool) else None


def _at(found: Any, path: str) -> Any:
    if isinstance(found, Mapping) and path in found:
        return found[path]
    for part in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def occurrence_of(seq: int, event: Event, task: Any = None) -> Occurrence | None:
    """Return what an event is to rules; None for what concerns reactions themselves."""
    data = event.data
    kind = str(getattr(task, "kind", None) or data.get("kind") or "")
    if kind == KIND or event.event_type.startswith("reaction."):
        return None
    bears = event.event_type.removeprefix("task.") if event.event_type.startswith("task.") else ""
    user = event.user_id
    return Occurrence(
        seq=seq,
        event_type=event.event_type,
        timestamp=event.timestamp,
        kind=kind,
        name=str(getattr(task, "name", None) or data.get("name") or ""),
        status=bears if bears in {"pending", "in_progress", "completed", "failed", "cancelled"} else "",
        queue=str(getattr(task, "queue", None) or data.get("queue") or ""),
        worker=str(getattr(task, "worker", None) or data.get("worker") or ""),
        task_id=event.task_id,
        user_id=None if user is None else str(user),
        attempt=data.get("attempt") if isinstance(data.get("attempt"), int) else None,
        data=data,
    )


def asks(rule: Rule, one: Occurrence) -> bool:
    """Say whether the rule is about it. A failure after which Celery itself tries again is none, unless asked for."""
    when = rule.when
    if one.data.get("retrying") is True and "retrying" not in when.data:
        return False
    return (
        _fits(when.event, one.event_type)
        and _fits(when.status, one.status)
        and _of_the_same(when, one)
        and all(_field_fits(wanted, one.at(path)) for path, wanted in when.data.items())
    )


def recovers(rule: Rule, one: Occurrence) -> bool:
    """Say whether it is a success of what the rule tells the failures of."""
    return rule.recovered and one.status == "completed" and _of_the_same(rule.when, one) and not asks(rule, one)


def _of_the_same(when: When, one: Occurrence) -> bool:
    return _fits(when.kind, one.kind) and _fits(when.name, one.name) and _fits(when.queue, one.queue)


def _fits(patterns: Sequence[str], text: str) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)


def _field_fits(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return any(_field_fits(each, found) for each in wanted)
    if isinstance(wanted, bool) or wanted is None:
        return found is wanted
    if isinstance(wanted, int | float):
        return not isinstance(found, bool) and found == wanted
    compared = _COMPARED.fullmatch(str(wanted).strip())
    if compared:
        return _compare(compared[1], found, compared[2])
    return found is not None and fnmatchcase(str(found), str(wanted))


def _compare(sign: str, found: Any, text: str) -> bool:
    if found is None:
        return False
    try:
        return _OPERATORS[sign](float(found), float(text))
    except (TypeError, ValueError):
        return sign in {"=", "!="} and _OPERATORS[sign](str(found), text)
