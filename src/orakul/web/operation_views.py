"""The form in which the API reports on operations."""

from datetime import datetime
from typing import Literal

import msgspec

from orakul.operations.analyzer import Bottleneck, Difference, ErrorGroup, Statistics

__all__ = ["OperationBottleneck", "OperationErrors", "OperationReport", "bottleneck_kind", "error_kind"]


class OperationErrors(msgspec.Struct, frozen=True, kw_only=True):
    """Errors of one operation and type, seen `count` times; `message` is that of the first of them."""

    name: str
    error_type: str
    message: str
    count: int
    first_seen: datetime
    last_seen: datetime


class OperationBottleneck(msgspec.Struct, frozen=True, kw_only=True):
    """Where time goes. `share` is of the parent's total time, 0 to 1; `reason` says what of it stands out."""

    name: str
    reason: Literal["share", "waiting", "growth"]
    parent: str | None
    share: float | None
    total_ms: float
    exponent: float | None


class OperationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What operations did in a period: by name, the most time first; where time goes; what fails.

    `read` is how many ended ones were analyzed; `partial` says that there are more, and only the latest were.
    `compared` is each name beside itself in the period that begins at `before`; both are null where it was not asked.
    """

    since: datetime
    until: datetime
    read: int
    partial: bool
    statistics: list[Statistics]
    bottlenecks: list[OperationBottleneck]
    errors: list[OperationErrors]
    before: datetime | None
    compared: list[Difference] | None


def bottleneck_kind(found: Bottleneck) -> OperationBottleneck:
    """Return a bottleneck in this form."""
    return msgspec.convert(found, OperationBottleneck, from_attributes=True)


def error_kind(group: ErrorGroup) -> OperationErrors:
    """Return a group of errors in this form."""
    return msgspec.convert(group, OperationErrors, from_attributes=True)
