"""A run in the words of the TDTP worker, line by line as its document shows them; and in English."""

from collections.abc import Sequence
from typing import Literal, Protocol

from orakul.pipelines.message import PipelineRun

__all__ = ["Language", "lines_of", "sentence_of"]

Language = Literal["ru", "en"]

_TEENS = range(11, 15)
_FEW = range(2, 5)
_UNITS: dict[Language, tuple[str, str, str, str]] = {"ru": ("д", "ч", "мин", "с"), "en": ("d", "h", "min", "s")}
_UNSAID: dict[Language, str] = {"ru": "не указана", "en": "not said"}


class _Broken(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def threshold(self) -> float: ...
    @property
    def value(self) -> float: ...
    @property
    def usual(self) -> float | None: ...


def sentence_of(broken: _Broken, language: Language = "ru") -> str:
    """Return what was broken, in a sentence."""
    value, usual, russian = broken.value, broken.usual or 0.0, language == "ru"
    match broken.kind:
        case "rows_lost":
            return _rows_lost(int(value)) if russian else _rows_lost_in_english(int(value))
        case "share_lost":
            share, most = f"{value:.1%}", f"{broken.threshold:.1%}"
            return f"потеряно {share} строк (допустимо {most})" if russian else f"{share} of rows lost ({most} allowed)"
        case "fewer_rows":
            if russian:
                return f"загружено строк: {value:.0f}, обычно около {usual:.0f}"
            return f"{value:.0f} rows loaded, usually about {usual:.0f}"
        case _:
            silent, rhythm = _span(value, language), _span(usual, language)
            if russian:
                return f"опаздывает: тишина {silent}, обычно запуск раз в {rhythm}"
            return f"late: silent for {silent}, usually a run every {rhythm}"


def _rows_lost(lost: int) -> str:
    number, word = abs(lost), _rows(abs(lost))
    if lost < 0:
        return f"выгружено на {number} {'строку' if word == 'строка' else word} больше, чем загружено"
    return f"{number} {word} {'отброшена' if word == 'строка' else 'отброшено'} валидатором/фильтром"


def _rows_lost_in_english(lost: int) -> str:
    rows = f"{abs(lost)} {'row' if abs(lost) == 1 else 'rows'}"
    return f"{rows} more exported than loaded" if lost < 0 else f"{rows} dropped by a validator or filter"


def _rows(number: int) -> str:
    if number % 100 in _TEENS:
        return "строк"
    last = number % 10
    return "строка" if last == 1 else "строки" if last in _FEW else "строк"


def _span(seconds: float, language: Language) -> str:
    units = _UNITS[language]
    for length, unit in zip((86400.0, 3600.0, 60.0), units, strict=False):
        if seconds >= length:
            return f"{seconds / length:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds:.0f} {units[-1]}"


def lines_of(run: PipelineRun, broken: Sequence[_Broken] = (), language: Language = "ru") -> list[tuple[str, str]]:
    """Return the lines about a run, each with its tone: `event`, `success`, `failed`, `warn`, `running` or `plain`."""
    lines = [("event", f"[EVENT] {run.pipeline_name} -> {run.result_name}")]
    tone = {"success": "success", "failed": "failed", "with_errors": "warn", "running": "running"}[run.verdict]
    took = "" if run.duration_ms is None or run.verdict == "failed" else f" ({run.duration_ms / 1000:.2f}s)"
    word = {"success": "SUCCESS", "failed": "FAILED"}.get(run.verdict, run.status.upper())
    lines.append((tone, f"  Status  : {word}{took}"))
    if run.verdict != "failed":
        lines.append(("plain", f"  Rows    : loaded={_count(run.rows_loaded)}  exported={_count(run.rows_exported)}"))
    if run.verdict == "failed" or run.error is not None:
        lines.append((tone, f"  Error   : {run.error or _UNSAID[language]}"))
    lines += [("warn", f"  [DQ]    : WARN — {sentence_of(each, language)}") for each in broken]
    if run.oddities:
        lines.append(("warn", f"  Note    : {'; '.join(run.oddities)}"))
    return [(kind, line if line.isprintable() else _printable(line)) for kind, line in lines]


def _printable(line: str) -> str:
    return "".join(sign if sign.isprintable() else "�" for sign in line)


def _count(rows: int | None) -> str:
    return "?" if rows is None else str(rows)
