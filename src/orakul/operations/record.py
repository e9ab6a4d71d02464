"""The record of an operation: what it was, how long it took and how it ended; never its result.

`version` is the form's number: a reader of older files and rows upgrades them (`upgrade`), so they stay readable.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

__all__ = ["VERSION", "OperationLog", "Outcome", "SubOperationLog", "read_log"]

VERSION = 2


class Outcome(StrEnum):
    """How an operation ended. `running` has not ended."""

    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"
    CANCELLED = "cancelled"  # asyncio.CancelledError: somebody wished it
    CLOSED = "closed"  # a generator that nobody read to its end
    ABORTED = "aborted"  # KeyboardInterrupt, SystemExit


class _Log(msgspec.Struct, kw_only=True, frozen=True):
    """What every record holds.

    `operation_id` (16 hex digits) and `root_id` (32) are valid span and trace ids. `started_at` is the wall clock,
    `duration_ns` the monotonic one. `result_type` and `result_shape` (`len`, or the `shape` of arrays) tell of the
    result without keeping it.
    """

    operation_id: str
    root_id: str
    parent_id: str | None = None
    name: str
    outcome: Outcome
    started_at: datetime
    duration_ns: int
    target: str | None = None
    result_type: str | None = None
    result_shape: list[int] | None = None
    error_type: str | None = None
    error_message: str | None = None
    traceback: str | None = None
    file: str = ""
    line: int = 0
    thread_id: int = 0
    thread_name: str = ""
    process_id: int = 0
    context: dict[str, Any] = msgspec.field(default_factory=dict)
    facts: dict[str, Any] = msgspec.field(default_factory=dict)
    count: int = 1
    version: int = VERSION

    @property
    def ended_at(self) -> datetime:
        """The wall clock's start plus the monotonic duration."""
        return datetime.fromtimestamp(self.started_at.timestamp() + self.duration_ns / 1e9, UTC)

    @property
    def duration_ms(self) -> float:
        """The duration in milliseconds."""
        return self.duration_ns / 1e6


class SubOperationLog(_Log, kw_only=True, frozen=True, tag="sub_operation", tag_field="form"):
    """A step of an operation: an operation without children. `count` is above 1 for a run of like steps."""


class OperationLog(_Log, kw_only=True, frozen=True, tag="operation", tag_field="form"):
    """One operation, with the steps and operations under it, in the order of their start."""

    level: int = 20
    children: list["OperationLog | SubOperationLog"] = msgspec.field(default_factory=list)

    def steps(self) -> int:
        """Return how many steps and operations stand under this one, at any depth."""
        return sum(each.count + (each.steps() if isinstance(each, OperationLog) else 0) for each in self.children)


def _from_1(form: dict[str, Any]) -> dict[str, Any]:
    # Version 1 told durations in seconds, and had no shape.
    form["duration_ns"] = round(form.pop("duration_seconds", 0.0) * 1e9)
    form["children"] = [_from_1(child) for child in form.get("children", ())]
    form["version"] = 2
    return form


_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}


def read_log(form: Mapping[str, Any] | bytes | str) -> OperationLog | SubOperationLog:
    """Read a record of this or an older version; raise ValueError, naming the field, where it is none.

    Fields of a newer version that this one does not know are passed over.
    """
    try:
        decoded = msgspec.json.decode(form) if isinstance(form, bytes | str) else dict(form)
        while (version := decoded.get("version", 1)) < VERSION:
            decoded = _UPGRADES[version](decoded)
        return msgspec.convert(decoded, OperationLog | SubOperationLog)
    except (msgspec.MsgspecError, AttributeError, TypeError) as error:
        raise ValueError(f"not the record of an operation: {error}") from error
