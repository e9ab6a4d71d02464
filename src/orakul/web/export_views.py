"""What the routes of exports take and answer, beside what `views` has."""

from typing import Annotated

import msgspec

from orakul.exports.desk import PlanShown

__all__ = ["ExportFile", "ExportForm", "FileList", "PlanList"]

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class ExportForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to export: all groups of a plan, one group, or one script, of which columns may be chosen by their ids."""

    plan: _Name
    group: _Name | None = None
    script: _Name | None = None
    columns: Annotated[list[int], msgspec.Meta(min_length=1, max_length=1_000)] | None = None


class PlanList(msgspec.Struct, frozen=True, kw_only=True):
    """The plans, all of them. `may_start`: whether whoever asks may start them."""

    items: list[PlanShown]
    may_start: bool
    next: str | None = None


class ExportFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that an export left; `href` is where it can be had, below the address of Orakul."""

    number: int
    name: str
    variant: str | None
    rows: int | None
    bytes: int | None
    href: str


class FileList(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a task, those of all its scripts."""

    items: list[ExportFile]
    next: str | None = None
