"""A run in the words of the TDTP worker, line by line as its document shows them."""

from collections.abc import Sequence
from typing import Protocol

from orakul.pipelines.message import PipelineRun

__all__ = ["lines_of", "rows_lost"]

_TEENS = range(11, 15)
_FEW = range(2, 5)


class _Told(Protocol):
    @property
    def message(self) -> str: ...


def rows_lost(lost: int) -> str:
    """Return the sentence about rows that did not come out, or came out beyond what went in."""
    number, word = abs(lost), _rows(abs(lost))
    if lost < 0:
        return f"выгружено на {number} {'строку' if word == 'строка' else word} больше, чем загружено"
    return f"{number} {word} {'отброшена' if word == 'строка' else 'отброшено'} валидатором/фильтром"


def _rows(number: int) -> str:
    if number % 100 in _TEENS:
        return "строк"
    last = number % 10
    return "строка" if last == 1 else "строки" if last in _FEW else "строк"


def lines_of(run: PipelineRun, broken: Sequence[_Told] = ()) -> list[tuple[str, str]]:
    """Return the lines about a run, each with its tone: `event`, `success`, `failed`, `warn`, `running` or `plain`."""
    lines = [("event", f"[EVENT] {run.pipeline_name} -> {run.result_name}")]
    tone = {"success": "success", "failed": "failed", "with_errors": "warn", "running": "running"}[run.verdict]
    took = "" if run.duration_ms is None or run.verdict == "failed" else f" ({run.duration_ms / 1000:.2f}s)"
    word = {"success": "SUCCESS", "failed": "FAILED"}.get(run.verdict, run.status.upper())
    lines.append((tone, f"  Status  : {word}{took}"))
    if run.verdict != "failed":
        lines.append(("plain", f"  Rows    : loaded={_count(run.rows_loaded)}  exported={_count(run.rows_exported)}"))
    if run.verdict == "failed" or run.error is not None:
        lines.append((tone, f"  Error   : {run.error or 'не указана'}"))
    lines += [("warn", f"  [DQ]    : WARN — {each.message}") for each in broken]
    if run.oddities:
        lines.append(("warn", f"  Note    : {'; '.join(run.oddities)}"))
    return [(kind, line if line.isprintable() else _printable(line)) for kind, line in lines]


def _printable(line: str) -> str:
    return "".join(sign if sign.isprintable() else "�" for sign in line)


def _count(rows: int | None) -> str:
    return "?" if rows is None else str(rows)
