"""A rule: when this happens, tell them.

[[rules]]
name = "payments fail"
notify = ["ops"]
when = {event = "task.failed", name = "shop.pay*"}
times = "5 in 10m"
recovered = true
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, time
from difflib import get_close_matches
from functools import cached_property
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from orakul.errors import InvalidQueryError, SettingsError
from orakul.reactions.notifier import Severity
from orakul.reactions.templates import check
from orakul.settings import place_of

__all__ = ["Rule", "StoredRule", "When", "Window", "duration", "read_rule", "rules_of"]

_DURATION = re.compile(r"(\d{1,6})\s*([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TIMES = re.compile(r"(\d{1,6})\s+in\s+(.+)")
_QUIET = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})(?:\s+(\S+))?")
_LONGEST = 30 * 86400
_MOST_TIMES = 10_000
_Name = Annotated[str, Meta(min_length=1, max_length=100)]
_Patterns = Annotated[list[Annotated[str, Meta(max_length=200)]], Meta(max_length=50)]


def duration(text: str) -> int:
    """Return the seconds of `90s`, `5m`, `1h`, `2d`."""
    found = _DURATION.fullmatch(text.strip())
    seconds = int(found[1]) * _UNITS[found[2]] if found else -1
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"{text!r} is no time such as 90s, 5m, 1h or 2d, 30 days at most")
    return seconds


class Window(msgspec.Struct, frozen=True):
    """So many in so many seconds."""

    count: int
    seconds: int

    @classmethod
    def read(cls, text: str) -> "Window":
        """Read `5 in 10m`."""
        found = _TIMES.fullmatch(text.strip())
        if found is None or not 1 <= int(found[1]) <= _MOST_TIMES:
            raise ValueError(f"{text!r} is not such as 5 in 10m, {_MOST_TIMES:,} at most")
        return cls(int(found[1]), max(1, duration(found[2])))


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events. Fields left empty do not ask; patterns take `*` and `?`, and one of several is enough.

    `data` asks for fields of the event's data by their path: `{"error.type" = "Timeout*", "rows" = ">= 10"}`.
    """

    event: _Patterns = []
    kind: _Patterns = []
    name: _Patterns = []
    status: _Patterns = []
    queue: _Patterns = []
    data: Annotated[dict[str, Any], Meta(max_length=20)] = {}


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """When what is told to whom.

    Events are in groups, by the fields in `group`. A group has one message in `every` at most; those in between are
    told together at its end. With `times`, it has one when so many came within so long. `limit` bounds the messages of
    the whole rule: of what is beyond it, one message tells the number. In `quiet` hours nothing is sent, and told
    together after them. `recovered` tells once when a task of the same kind and name completes after failures that were
    told.
    """

    name: _Name
    notify: Annotated[list[_Name], Meta(min_length=1, max_length=20)]
    when: When
    enabled: bool = True
    severity: Severity | None = None
    title: Annotated[str, Meta(max_length=2_000)] = ""
    text: Annotated[str, Meta(max_length=20_000)] = ""
    group: Annotated[list[Annotated[str, Meta(max_length=200)]], Meta(max_length=10)] = msgspec.field(
        default_factory=lambda: ["name", "error.type"]
    )
    times: str = ""
    every: str = "5m"
    limit: str = "20 in 1h"
    quiet: str = ""
    recovered: bool = False

    @cached_property
    def every_seconds(self) -> int:
        """How long a group has one message at most."""
        return duration(self.every)

    @cached_property
    def threshold(self) -> Window | None:
        """How many within how long it takes."""
        return Window.read(self.times) if self.times else None

    @cached_property
    def bound(self) -> Window | None:
        """How many messages within how long there are at most."""
        return Window.read(self.limit) if self.limit else None

    @cached_property
    def _hours(self) -> tuple[time, time, ZoneInfo] | None:
        if not self.quiet:
            return None
        found = _QUIET.fullmatch(self.quiet.strip())
        if found is None:
            raise ValueError(f"{self.quiet!r} is not such as 22:00-07:00 Europe/Moscow")
        begin, end = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
        try:
            zone = ZoneInfo(found[5] or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {found[5]!r}") from error
        return begin, end, zone

    def is_quiet(self, moment: datetime) -> bool:
        """Say whether nothing is to be sent at this moment."""
        if self._hours is None:
            return False
        begin, end, zone = self._hours
        now = moment.astimezone(zone).time()
        return begin <= now < end if begin <= end else now >= begin or now < end

    def checked(self) -> "Rule":
        """Return the rule; raise ValueError, naming the field, where a value means nothing."""
        if not any(getattr(self.when, field) for field in When.__struct_fields__):
            raise ValueError('when: it asks for nothing; write at least event = "task.failed"')
        for field in ("every_seconds", "threshold", "bound", "_hours"):
            name = {"every_seconds": "every", "threshold": "times", "bound": "limit", "_hours": "quiet"}[field]
            try:
                getattr(self, field)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        for name in ("title", "text"):
            try:
                check(getattr(self, name))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        return self


class StoredRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule and where it is from: `file` for one of `orakul.toml`, else who made it on the page."""

    rule_id: str
    rule: Rule
    source: str = "page"
    author: str | None = None
    updated_at: datetime | None = None


def read_rule(form: Mapping[str, Any]) -> Rule:
    """Read a rule; raise InvalidQueryError that names what is wrong. Single texts will do for lists."""
    given = dict(form)
    when = given.get("when")
    if isinstance(when, Mapping):
        given["when"] = {name: _list(value) if name != "data" else value for name, value in when.items()}
    for name in ("notify", "group"):
        if name in given:
            given[name] = _list(given[name])
    try:
        return msgspec.convert(given, Rule).checked()
    except msgspec.ValidationError as error:
        raise InvalidQueryError(_named(str(error), given)) from error
    except ValueError as error:
        raise InvalidQueryError(str(error)) from error


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _named(said: str, given: Mapping[str, Any]) -> str:
    unknown = re.search(r"unknown field `(\w+)`", said)
    if unknown:
        inside = "when" in said.rpartition(" - at ")[2]
        known: Sequence[str] = When.__struct_fields__ if inside else Rule.__struct_fields__
        near = get_close_matches(unknown[1], known, n=1)
        place = "when." if inside else ""
        return f"there is no {place}{unknown[1]}" + (f"; did you mean {near[0]}?" if near else f": {', '.join(known)}")
    reason, _, path = said.partition(" - at ")
    del given
    return f"{path.strip('`$.')}: {reason}".lstrip(": ").replace("`", "")


def rules_of(given: Sequence[Mapping[str, Any]]) -> list[StoredRule]:
    """Read the rules of `orakul.toml`; raise SettingsError that names the rule and what is wrong with it."""
    found: dict[str, StoredRule] = {}
    for number, form in enumerate(given, 1):
        name = form.get("name") if isinstance(form.get("name"), str) else f"number {number}"
        try:
            rule = read_rule(form)
        except InvalidQueryError as error:
            raise SettingsError(f"{place_of('rules', number)}rules: the rule {name!r}: {error}") from error
        if rule.name in found:
            raise SettingsError(f"{place_of('rules', number)}rules: there are two rules {rule.name!r}")
        found[rule.name] = StoredRule(rule_id=f"file:{rule.name}", rule=rule, source="file")
    return list(found.values())
