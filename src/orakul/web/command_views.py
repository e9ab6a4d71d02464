"""What the routes of commands answer, beside what `views` has."""

from typing import Annotated, Any, Literal

import msgspec

from orakul.tasks.audit import AuditEntry
from orakul.tasks.bulk import BulkJob, BulkResult

__all__ = ["Arguments", "AuditPage", "BulkFilter", "BulkForm", "BulkList", "BulkResults", "EditedRun", "Reason"]


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


class BulkFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The list's filters. No status: those that the command is for."""

    status: list[str] = []
    name: str | None = None
    user: str | None = None
    kind: list[str] = []
    queue: list[str] = []
    worker: list[str] = []
    since: str | None = None
    until: str | None = None
    error: str | None = None
    search: str | None = None
    text: str | None = None


class BulkForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to command, of which tasks (either by filter or by id), and why."""

    command: Literal["retry", "cancel"]
    filter: BulkFilter | None = None
    task_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=1_000)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None


class BulkList(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs, the latest first."""

    items: list[BulkJob]
    next: str | None


class BulkResults(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks of a job in order; `next` is the `after` of the following page."""

    items: list[BulkResult]
    next: str | None
