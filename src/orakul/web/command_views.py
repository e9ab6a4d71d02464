"""What the routes of commands answer, beside what `views` has."""

from typing import Annotated, Any

import msgspec

from orakul.tasks.audit import AuditEntry

__all__ = ["Arguments", "AuditPage", "EditedRun", "Reason"]


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Commands, the newest first; `next` is the `after` of the following page."""

    items: list[AuditEntry]
    next: str | None


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why something is commanded; kept with the command."""

    reason: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """A task's arguments for editing, secrets masked; what is sent back masked and in its place is what it was."""

    args: list[Any]
    kwargs: dict[str, Any]


class EditedRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arguments of the new task; its queue is the original's unless named."""

    args: list[Any]
    kwargs: dict[str, Any]
    queue: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None
