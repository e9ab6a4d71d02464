"""How an export's parts end: outcomes, files, failures, and how far they are."""

from enum import StrEnum
from pathlib import Path

import msgspec

__all__ = ["Failure", "Outcome", "Progress", "ScriptResult", "VariantResult", "WrittenFile"]


class Outcome(StrEnum):
    """How a script, a variant, a group or a run ended."""

    SUCCESS = "Success"
    NO_DATA = "NoData"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


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
