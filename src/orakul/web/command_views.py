"""What the routes of commands answer, beside what `views` has."""

from typing import Annotated

import msgspec

from orakul.tasks.audit import AuditEntry

__all__ = ["AuditPage", "Reason"]


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Commands, the newest first; `next` is the `after` of the following page."""

    items: list[AuditEntry]
    next: str | None


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why something is commanded; kept with the command."""

    reason: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None
