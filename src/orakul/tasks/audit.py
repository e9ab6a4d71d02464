"""Contract: the audit, every command with its author, time, reason, target and what came of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from orakul.tasks.reader import Page

__all__ = ["COMMANDS", "SETTINGS_COMMANDS", "Audit", "AuditEntry"]

COMMANDS = (
    "task.retry_requested",
    "task.cancel_requested",
    "task.run_requested",
    "queue.paused",
    "queue.resumed",
    "bulk.requested",
    "bulk.abort_requested",
)
"""The events that are commands: their `Event.user_id` is the author."""

SETTINGS_COMMANDS = (
    "retention.changed",
    "reaction.rule_created",
    "reaction.rule_changed",
    "reaction.rule_deleted",
)
"""Those that change how Orakul is kept: seldom, and about no task and no queue."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One command. `command` is its event type; of `task_id` and `queue` one says what it was about.

    `result` is what came of it: for a task `requested`, `sent`, or how the attempt ended (`completed`, `failed`,
    `cancelled`); for a queue `paused` or `resumed`. `made` is the new task of a run with edited arguments.
    """

    seq: int
    timestamp: datetime
    command: str
    author: str | None
    reason: str | None
    task_id: str | None
    queue: str | None
    attempt: int | None
    made: str | None
    result: str


class Audit(Protocol):
    """Reads the commands, the newest first. Raises JournalUnavailableError where PostgreSQL does not answer."""

    def entries(
        self,
        *,
        author: str | None = None,
        types: Sequence[str] = (),
        task_id: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> Page[AuditEntry]:
        """Return commands that fit; `after` is the `next` of the page before, 0 for the newest."""
        ...
