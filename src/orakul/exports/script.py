"""One script's export: all its variants, in threads, into files that appear together when they are whole."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeAlias

import msgspec

from orakul.exports.plan import Group, Plan, Script

__all__ = ["Cancelled", "Failure", "Outcome", "Progress", "ScriptResult", "VariantResult", "WrittenFile"]


class Outcome(StrEnum):
    """How a script, a variant, a group or a run ended."""

    SUCCESS = "Success"
    NO_DATA = "NoData"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class Cancelled(Protocol):
    """What says that the export is to stop: a `threading.Event`, for one."""

    def is_set(self) -> bool:
        """Whether it is to stop."""
        ...


class WrittenFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file, whole and under its final name."""

    path: Path
    """Absolute."""
    rows: int
    bytes: int
    sha256: str
    variant: str
    part: int
    """From 1."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a variant failed."""

    type: str
    message: str
    variant: str | None = None
    traceback: str | None = None


class VariantResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one variant ended. One that was stopped because another failed is `Cancelled`."""

    id: str
    outcome: Outcome
    rows: int = 0
    bytes: int = 0
    duration_ms: int = 0
    error: Failure | None = None


class ScriptResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a script ended. Only `Success` (and `NoData` with headers) leaves files."""

    outcome: Outcome
    rows_exported: int = 0
    bytes_written: int = 0
    duration_ms: int = 0
    files: tuple[WrittenFile, ...] = ()
    variants: tuple[VariantResult, ...] = ()
    error: Failure | None = None
    manifest: Path | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a script is, over all its variants."""

    rows: int
    bytes: int
    expected: int | None
    """About how many rows there will be in all, where the database knows (an estimate: it may be passed)."""
    variants_done: int
    variants: int


OnProgress: TypeAlias = Callable[[Progress], None]


class Slots(Protocol):
    """How many variants run at the same time: a `threading.BoundedSemaphore`, shared by the scripts of a run."""

    def acquire(self, blocking: bool = ..., timeout: float | None = ...) -> bool:  # noqa: FBT001  # threading's own form
        """Take a slot."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...


def export_script(
    plan: Plan,
    group: Group,
    script: Script,
    *,
    columns: Sequence[int] | None = None,
    cancelled: Cancelled | None = None,
    on_progress: OnProgress | None = None,
    slots: Slots | None = None,
) -> ScriptResult:
    """Export one script and say how it ended; it never raises for what a database or a disk does.

    `columns` are ids (mode Custom), None for all. `cancelled` is looked at ten times a second. `on_progress` is called
    a few times a second, from the threads of the export, one call at a time. `slots` bounds the variants of several
    scripts together; left out, this script alone has `plan.output.parallel`.

    Called in one thread a script, it may run any number of times at once. KeyboardInterrupt cancels and goes on.
    """
    raise NotImplementedError
