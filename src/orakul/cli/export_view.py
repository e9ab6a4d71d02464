"""How an export looks in a terminal: a bar a script while it runs, a table at the end."""

import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from wcwidth import wcswidth

from orakul.exports.observer import ExportObserver

if TYPE_CHECKING:
    from orakul.exports.events import ExportProgress, ScriptFinished, ScriptStart
    from orakul.exports.plan import Choice, Plan
    from orakul.exports.run import RunResult

__all__ = ["print_table", "shown"]

_EVERY = 0.2
_BAR = 24
_UNITS = ("B", "kB", "MB", "GB", "TB")
_THOUSAND = 1000
_MARKS = {"Success": "✓", "NoData": "∅", "Failed": "✗", "Cancelled": "■"}


class Progress(ExportObserver):
    """What is known of each script, for the bars."""

    immediate = True
    name = "the terminal"

    def __init__(self, choice: "Choice") -> None:
        self.scripts: dict[tuple[str, str], dict[str, Any]] = {
            (group.id, script.id): {"rows": 0, "bytes": 0, "share": None, "outcome": None, "began": None}
            for group in choice.groups
            for script in group.scripts
        }

    def on_script_start(self, event: "ScriptStart") -> None:
        """Begin its bar."""
        self._of(event)["began"] = self._of(event)["began"] or time.monotonic()

    def on_progress(self, event: "ExportProgress") -> None:
        """Move it on."""
        of = self._of(event)
        of |= {"rows": event.rows, "bytes": event.bytes, "share": event.share, "began": of["began"] or time.monotonic()}

    def on_script_finished(self, event: "ScriptFinished") -> None:
        """End it."""
        self._of(event).update(rows=event.rows_exported, bytes=event.bytes_written, outcome=str(event.outcome))

    def _of(self, event: Any) -> dict[str, Any]:
        return self.scripts[event.group_id, event.script_id]


def shown(export: "Callable[[list[Any], threading.Event], RunResult]", choice: "Choice", *, quiet: bool) -> "RunResult":
    """Run `export(observers, cancelled)`, with bars on the terminal's standard error where that is one."""
    cancelled = threading.Event()
    if quiet or not sys.stderr.isatty():
        return export([], cancelled)
    progress = Progress(choice)
    done = threading.Event()
    drawing = threading.Thread(target=_draw, args=(progress, done), name="orakul-progress", daemon=True)
    drawing.start()
    try:
        return export([progress], cancelled)
    finally:
        done.set()
        drawing.join(2)


def _draw(progress: Progress, done: threading.Event) -> None:
    drawn = 0
    while True:
        last = done.wait(_EVERY)
        size = shutil.get_terminal_size()
        lines = _lines(progress, size.lines - 2, size.columns - 1)
        back = f"\x1b[{drawn}F" if drawn else ""
        sys.stderr.write(back + "".join(f"\x1b[K{line}\n" for line in lines) + "\x1b[J")
        sys.stderr.flush()
        drawn = len(lines)
        if last:
            sys.stderr.write(f"\x1b[{drawn}F\x1b[J" if drawn else "")  # the table says it all
            sys.stderr.flush()
            return


def _lines(progress: Progress, most: int, width: int) -> list[str]:
    scripts = list(progress.scripts.items())
    ended = sum(of["outcome"] is not None for _, of in scripts)
    running = [(key, of) for key, of in scripts if of["outcome"] is None and of["began"] is not None]
    rows = sum(of["rows"] for _, of in scripts)
    total = sum(of["bytes"] for _, of in scripts)
    share = (ended + sum(of["share"] or 0 for _, of in running)) / max(1, len(scripts))
    head = f"{_bar(share)} {ended}/{len(scripts)} scripts  {rows:,} rows  {in_bytes(total)}"
    longest = max((wcswidth("/".join(key)) for key, _ in running), default=0)
    lines = [head]
    for key, of in running[: max(1, most - 1)]:
        name = "/".join(key)
        took = time.monotonic() - of["began"]
        rate = f"{of['rows'] / took:,.0f} rows/s" if took > 1 else ""
        lines.append(
            f"  {_pad(name, longest)} {_bar(of['share'])} {of['rows']:,} rows  {in_bytes(of['bytes'])}  {rate}"
        )
    return [line[:width] for line in lines]


def _bar(share: float | None) -> str:
    if share is None:
        return "·" * _BAR + "     "
    full = round(share * _BAR)
    return "━" * full + "┈" * (_BAR - full) + f"{share:5.0%}"


def print_table(result: "RunResult", plan: "Plan") -> None:
    """Print the scripts with outcome, rows, files, size and time; below it the errors, and where the files are."""
    rows = [("script", "outcome", "rows", "files", "size", "time")]
    errors = []
    for group in result.groups:
        for script in group.scripts:
            name = f"{group.group_id}/{script.script_id}"
            began = (group.group_id, script.script_id) in result.results
            rows.append(
                (
                    name,
                    f"{_MARKS[script.outcome]} {script.outcome}",
                    f"{script.rows_exported:,}",
                    str(script.files),
                    in_bytes(script.bytes_written),
                    _seconds(script.duration_ms) if began else "–",
                )
            )
            if script.error is not None:
                variant = f" (variant {script.error.variant})" if script.error.variant else ""
                errors.append(f"{name}{variant}: {script.error.message}")
    print("\n".join(_aligned(rows)))
    if result.error is not None:
        errors.append(result.error.message)
    if errors:
        print("\n" + "\n".join(f"✗ {error}" for error in errors))
    files = sum(script.files for group in result.groups for script in group.scripts)
    where = f" in {plan.output.directory.resolve()}" if files else ""
    print(
        f"\n{result.outcome}: {result.rows_exported:,} rows in {_count(files, 'file')} "
        f"({in_bytes(result.bytes_written)}), {_seconds(result.duration_ms)}{where}"
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(wcswidth(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [_pad(cell, width, right=at > 1) for at, (cell, width) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return [lines[0], "─" * wcswidth(max(lines, key=wcswidth)), *lines[1:]]


def _pad(text: str, width: int, *, right: bool = False) -> str:
    room = " " * (width - wcswidth(text))
    return room + text if right else text + room


def in_bytes(size: float) -> str:
    """Return a size for people."""
    for unit in _UNITS:
        if size < _THOUSAND or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _THOUSAND
    return ""


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.2f} s"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
