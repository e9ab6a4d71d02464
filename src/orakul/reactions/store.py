"""Contract: what reactions keep: the cursor, what is known of rules and groups, stored rules, deliveries."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

import msgspec

from orakul.reactions.judging import GroupState, RuleState
from orakul.reactions.notifier import Message
from orakul.reactions.rule import Rule, StoredRule

__all__ = ["Delivery", "LostTurnError", "ReactionStore", "Turn"]


class LostTurnError(Exception):
    """Another process reads the feed for reactions now; nothing was stored."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Whose turn it is to read: the cursor, and the number that fences off those who had it before."""

    epoch: int
    cursor: int | None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message on its way to a notifier: a task of kind `reaction`, whose id is `delivery_id`.

    `attempt` is the task's; `tries` are those since it was made or retried by hand.
    """

    delivery_id: str
    rule_id: str
    rule: str
    notifier: str
    message: Message
    parent: str | None = None
    attempt: int = 1
    tries: int = 0


class ReactionStore(Protocol):
    """Keeps it. Raises JournalUnavailableError where it cannot now."""

    def turn(self) -> AbstractContextManager[bool]:
        """Say whether this process is to read; nobody else is, until it leaves."""
        ...

    def take_turn(self) -> Turn:
        """Return where to go on, and let nobody who had the turn before store anything."""
        ...

    def rest(self) -> None:
        """Forget the cursor: there is no rule, and one that comes is about what happens from then on."""
        ...

    def states(self) -> tuple[Mapping[str, RuleState], Mapping[str, Mapping[str, GroupState]]]:
        """Return what is known of each rule, and of each of its groups."""
        ...

    def advance(
        self,
        turn: Turn,
        cursor: int,
        *,
        rules: Mapping[str, RuleState],
        groups: Mapping[tuple[str, str], GroupState | None],
        deliveries: Sequence[Delivery],
    ) -> None:
        """Store the new cursor, the states that changed (None: forgotten) and the deliveries, all or nothing.

        Raises LostTurnError where the turn is another's.
        """
        ...

    def claim(self, notifier: str, limit: int, lease_seconds: float) -> Sequence[Delivery]:
        """Return deliveries that are due, as ours for so long; counts the try."""
        ...

    def settle(self, delivery_ids: Sequence[str], status: str, said: str, *, due_at: datetime | None = None) -> None:
        """Store what came of a try: `done`, `failed`, or `pending` again at `due_at`, as the next attempt."""
        ...

    def waiting(self) -> Mapping[str, datetime]:
        """Return the notifiers that deliveries wait for, with the earliest time that one is due."""
        ...

    def again(self, delivery_id: str, attempt: int) -> bool:
        """Let a failed delivery be tried again, as this attempt; False where there is none such."""
        ...

    def cancel(self, delivery_id: str) -> bool:
        """Let a delivery that waits not be made."""
        ...

    def figures(self) -> Mapping[str, Mapping[str, int]]:
        """Return, by rule, how many deliveries of the last day are in each status."""
        ...

    def rules(self) -> Sequence[StoredRule]:
        """Return the rules made on the page."""
        ...

    def save_rule(self, rule_id: str | None, rule: Rule, author: str) -> StoredRule | None:
        """Store a rule, a new one without an id; None where there is none of that id."""
        ...

    def delete_rule(self, rule_id: str) -> bool:
        """Delete a rule and what is known of it."""
        ...

    def forget(self, days: int) -> int:
        """Drop deliveries that ended longer ago."""
        ...
