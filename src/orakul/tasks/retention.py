"""Contract: retention, how long what is kept, and what would go."""

from datetime import date, datetime
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta

from orakul.errors import SettingsError
from orakul.settings import Settings

__all__ = ["Days", "Going", "Preview", "Retention", "Rules", "RulesChange", "days_of_kinds", "rules_of"]

What = Literal["tasks", "events", "logs"]
Days = Annotated[int, Meta(ge=1, le=3650)]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How many days things are kept: ended tasks (`kinds`: those of single kinds), events, log lines.

    What is open stays, however old: its row, its events, its log, and the ended tasks below it.
    """

    tasks_days: int
    events_days: int
    logs_days: int
    kinds: dict[str, int] = {}
    changed_by: str | None = None
    """Who has changed them here last; null: they are the settings'."""
    changed_at: datetime | None = None


class RulesChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules to keep from now on; what is null or left out is what the settings say."""

    tasks_days: Days | None = None
    events_days: Days | None = None
    logs_days: Days | None = None
    kinds: Annotated[dict[Annotated[str, Meta(min_length=1, max_length=100)], Days], Meta(max_length=100)] = {}
    reason: Annotated[str, Meta(max_length=1_000)] | None = None


class Going(msgspec.Struct, frozen=True, kw_only=True):
    """What would go of one day: ended tasks of a kind, or a partition of events or of logs.

    `count` is of rows: counted for tasks, estimated for partitions. `held` tasks are open, and what is kept of theirs
    stays (counted up to 1,000).
    """

    what: What
    day: date
    kind: str | None = None
    count: int
    bytes: int | None = None
    held: int = 0


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """All that would go now. `partial`: there is more than was counted."""

    rules: Rules
    items: list[Going]
    next: str | None = None
    partial: bool = False


class Retention(Protocol):
    """Keeps the rules, tells what would go, lets it go."""

    def rules(self) -> Rules:
        """Return the rules in force."""
        ...

    def change(self, change: RulesChange, author: str) -> Rules:
        """Keep other rules from now on."""
        ...

    def preview(self, change: RulesChange | None = None) -> Preview:
        """Return what would go by the rules in force, or by others."""
        ...


def rules_of(settings: Settings) -> Rules:
    """Return the rules that the settings say."""
    keep = settings.retention
    return Rules(
        tasks_days=keep.tasks_days or keep.events_days,
        events_days=keep.events_days,
        logs_days=keep.logs_days,
        kinds=days_of_kinds(keep.kinds),
    )


def days_of_kinds(said: tuple[str, ...]) -> dict[str, int]:
    """Read the setting `retention.kinds`: each `KIND=DAYS`."""
    found = {}
    for each in said:
        kind, sign, days = each.partition("=")
        if not (kind.strip() and sign and days.strip().isdecimal() and 1 <= int(days) <= 3650):  # noqa: PLR2004 (as in Days)
            raise SettingsError(f"retention.kinds: {each!r} is not KIND=DAYS, such as export=365 (1 to 3650 days)")
        found[kind.strip()] = int(days)
    return found
