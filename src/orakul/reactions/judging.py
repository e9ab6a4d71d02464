"""What a rule makes of what happens: which messages, when. Pure: events and the time go in, drafts come out.

A storm is a few messages: the first of a group at once, what follows together, at most so many for the whole rule, and
one when it is over. All of it is state that is kept (see `store`), so that a process that is killed goes on with it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from orakul.reactions.occurrence import Occurrence, asks, recovers
from orakul.reactions.rule import StoredRule

__all__ = ["Draft", "GroupState", "Judge", "RuleState"]

_MOST_GROUPS = 5_000
_REMEMBERED = 7 * 86400.0
_PURGE_EVERY = 600.0
_LONGEST_GROUP = 300


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A message to be written: an alert, "recovered", or how many were left out of the rule's limit (`over`).

    `members` are the groups that a recovery is of.
    """

    kind: Literal["alert", "recovered", "over"]
    group: str
    count: int
    first: float
    last: float
    sample: dict[str, Any]
    groups: int = 1
    members: tuple[str, ...] = ()


class GroupState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is known of a group: events that wait to be told, when it was told last, and how many in all since."""

    subject: str = ""
    hits: list[float] = []
    pending: int = 0
    first: float = 0.0
    last: float = 0.0
    sent_at: float = 0.0
    total: int = 0
    since: float = 0.0
    alerted: bool = False
    sample: dict[str, Any] = {}
    seen: float = 0.0


class Recovery(msgspec.Struct, kw_only=True):
    """A recovery that waits for the end of quiet hours."""

    count: int
    since: float
    last: float
    sample: dict[str, Any]
    members: list[str] = []


class RuleState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is known of a rule: when it told, what it left out, and what is wrong with it."""

    sent: list[float] = []
    over: int = 0
    over_groups: int = 0
    over_first: float = 0.0
    over_sample: dict[str, Any] = {}
    recoveries: dict[str, Recovery] = {}
    trouble: str | None = None


class Judge:
    """One rule at work. `changed` names the groups whose state is to be kept; `rule_changed` the rule's own."""

    def __init__(
        self, stored: StoredRule, state: RuleState | None = None, groups: dict[str, GroupState] | None = None
    ) -> None:
        self.stored = stored
        self.rule = stored.rule
        self.state = state or RuleState()
        self.groups = groups or {}
        self.changed: set[str] = set()
        self.rule_changed = False
        self._waiting = {name for name, group in self.groups.items() if group.pending}
        self._alerted: dict[str, set[str]] = {}
        for name, group in self.groups.items():
            if group.alerted or group.pending:
                self._alerted.setdefault(group.subject, set()).add(name)
        self._purged = 0.0

    def take(self, one: Occurrence, now: float) -> list[Draft]:
        """Take an event; return what is to be told at once."""
        if asks(self.rule, one):
            return list(self._happened(one, now))
        if one.subject in self._alerted and recovers(self.rule, one):
            return list(self._recovered(one, now))
        return []

    def _happened(self, one: Occurrence, now: float) -> Iterator[Draft]:
        moment = one.timestamp.timestamp()
        name = self._group_of(one)
        group = self.groups.get(name)
        if group is None:
            if len(self.groups) >= _MOST_GROUPS:
                self._leave_out(1, moment, one.slim())
                return
            group = self.groups[name] = GroupState(subject=one.subject)
        self.changed.add(name)
        group.seen = now
        if not self._enough(group, moment):
            return
        many = len(group.hits) if self.rule.threshold else 1
        group.first = min(group.first or moment, group.hits[0] if self.rule.threshold else moment)
        group.hits = []
        group.pending += many
        group.last = max(group.last, moment)
        group.sample = one.slim()
        self._alerted.setdefault(one.subject, set()).add(name)
        self._waiting.add(name)
        yield from self._tell(name, group, now)

    def _enough(self, group: GroupState, moment: float) -> bool:
        window = self.rule.threshold
        if window is None:
            return True
        group.hits = [hit for hit in group.hits if hit > moment - window.seconds][-window.count :]
        group.hits.append(moment)
        return len(group.hits) >= window.count

    def _group_of(self, one: Occurrence) -> str:
        parts = [str(value) if (value := one.at(path)) is not None else "" for path in self.rule.group]
        return " · ".join(part for part in parts if part)[:_LONGEST_GROUP] or one.event_type

    def _tell(self, name: str, group: GroupState, now: float) -> Iterator[Draft]:
        """Tell of what waits in a group, unless it is too early, too quiet or too much."""
        if group.sent_at and now - group.sent_at < self.rule.every_seconds:
            return
        if self.rule.is_quiet(datetime.fromtimestamp(now, UTC)):
            return
        if not self._room(now):
            self._leave_out(group.pending, group.first, group.sample)
            self._clear(name, group)
            return
        group.sent_at = now
        group.total += group.pending
        group.since = group.since or group.first
        group.alerted = True
        draft = Draft(
            kind="alert", group=name, count=group.pending, first=group.first, last=group.last, sample=group.sample
        )
        self._clear(name, group)
        self._count(now)
        yield draft

    def _clear(self, name: str, group: GroupState) -> None:
        group.pending, group.first, group.last = 0, 0.0, 0.0
        group.sample = {}
        self._waiting.discard(name)
        self.changed.add(name)

    def _room(self, now: float) -> bool:
        bound = self.rule.bound
        if bound is None:
            return True
        kept = [moment for moment in self.state.sent if moment > now - bound.seconds]
        if len(kept) != len(self.state.sent):
            self.state.sent = kept
        return len(kept) < bound.count

    def _count(self, now: float) -> None:
        if self.rule.bound is not None:
            self.state.sent.append(now)
            self.rule_changed = True

    def _leave_out(self, count: int, moment: float, sample: dict[str, Any]) -> None:
        state = self.state
        state.over += count
        state.over_groups += 1
        state.over_first = min(state.over_first or moment, moment)
        state.over_sample = sample
        self.rule_changed = True

    def _recovered(self, one: Occurrence, now: float) -> Iterator[Draft]:
        count, since, members = 0, 0.0, []
        for name in sorted(self._alerted.pop(one.subject)):
            group = self.groups[name]
            if group.alerted:
                members.append(name)
                count += group.total + group.pending
                since = min(since or group.since, group.since)
            # What was never told has gone as it came, and nobody needs to know.
            group.total, group.since, group.alerted, group.hits, group.sent_at = 0, 0.0, False, [], 0.0
            self._clear(name, group)
        if not count:
            return
        waits = self.state.recoveries.get(one.subject)
        if waits is not None:
            count, since, members = count + waits.count, min(since, waits.since), [*waits.members, *members]
        moment = one.timestamp.timestamp()
        found = Recovery(count=count, since=since, last=moment, sample=one.slim(), members=members[:50])
        self.rule_changed = True
        if self.rule.is_quiet(datetime.fromtimestamp(now, UTC)):
            self.state.recoveries[one.subject] = found
        else:
            self.state.recoveries.pop(one.subject, None)
            yield _recovery(one.subject, found)

    def tick(self, now: float) -> list[Draft]:
        """Return what has waited long enough: the rest of groups, recoveries after quiet hours, what was left out."""
        drafts = [draft for name in sorted(self._waiting) for draft in self._tell(name, self.groups[name], now)]
        quiet = self.rule.is_quiet(datetime.fromtimestamp(now, UTC))
        state = self.state
        if state.recoveries and not quiet:
            drafts += [_recovery(subject, found) for subject, found in state.recoveries.items()]
            state.recoveries = {}
            self.rule_changed = True
        if state.over and not quiet and self._room(now):
            drafts.append(
                Draft(
                    kind="over", group="more", count=state.over, first=state.over_first, last=now,
                    sample=state.over_sample, groups=state.over_groups,
                )
            )  # fmt: skip
            state.over, state.over_groups, state.over_first, state.over_sample = 0, 0, 0.0, {}
            self._count(now)
        self._purge(now)
        return drafts

    def _purge(self, now: float) -> None:
        """Forget groups of which nothing was heard for long."""
        if now - self._purged < _PURGE_EVERY:
            return
        self._purged = now
        keep = 2.0 * max(self.rule.every_seconds, self.rule.threshold.seconds if self.rule.threshold else 0, 300)
        for name, group in list(self.groups.items()):
            silent = now - group.seen
            if silent > (_REMEMBERED if group.alerted and self.rule.recovered else keep) and not group.pending:
                del self.groups[name]
                self._alerted.get(group.subject, set()).discard(name)
                self.changed.add(name)


def _recovery(subject: str, found: Recovery) -> Draft:
    return Draft(
        kind="recovered", group=subject, count=found.count, first=found.since, last=found.last, sample=found.sample,
        members=tuple(found.members),
    )  # fmt: skip
