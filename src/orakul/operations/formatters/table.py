"""A table of an operation and its steps, for people."""

from collections.abc import Iterator

from wcwidth import wcswidth

from orakul.operations.formatter import OutputFormatter
from orakul.operations.record import OperationLog, SubOperationLog

__all__ = ["TableFormatter", "duration_text", "plain", "result_text"]

_COLUMNS = ("Step", "Sub-operation", "Target", "Result type", "Status", "Time")
_RIGHT = frozenset((0, 5))
_MILLISECOND, _SECOND, _MINUTE = 1_000_000, 1_000_000_000, 60_000_000_000


class TableFormatter(OutputFormatter):
    """A header, a row a step (nested ones numbered `2.1`), and a summary; wide characters align.

    `width` bounds each column, in terminal cells; longer text ends in `…`.
    """

    def __init__(self, *, width: int = 48, ascii_only: bool = False) -> None:
        self._width = width
        self._lines = ("-", "|", "+") if ascii_only else ("─", "│", "┼")

    def format_operation_log(self, operation_log: OperationLog) -> str:
        """Return the record as a table."""
        rows = [_COLUMNS, *(self._row(number, log) for number, log in _numbered(operation_log, ""))]
        widths = [max(_cells(row[column]) for row in rows) for column in range(len(_COLUMNS))]
        dash, bar, cross = self._lines
        rule = f"{dash}{cross}{dash}".join(dash * width for width in widths)
        lines = [self._header(operation_log)]
        if len(rows) > 1:
            lines += [self._line(rows[0], widths, bar), rule, *(self._line(row, widths, bar) for row in rows[1:]), rule]
        lines.append(self._summary(operation_log))
        if operation_log.error_message is not None:
            lines.append(f"Error: {_error(operation_log)}")
        return "\n".join(lines)

    def _header(self, log: OperationLog) -> str:
        words = [f"Operation {plain(log.name)}"]
        if log.target:
            words[0] += f" {plain(log.target)}"
        words.append(f"{log.started_at:%Y-%m-%d %H:%M:%S}")
        words += [f"{plain(str(key))}={plain(str(value))}" for key, value in {**log.context, **log.facts}.items()]
        return "  ".join(words)

    def _summary(self, log: OperationLog) -> str:
        failed = sum(1 for _, each in _numbered(log, "") if each.outcome == "error")
        steps = log.steps()
        count = f"{steps} step{'s' * (steps != 1)}"
        return f"{log.outcome.upper()} in {duration_text(log.duration_ns)}: {count}, {failed} failed"

    def _row(self, number: str, log: OperationLog | SubOperationLog) -> tuple[str, ...]:
        times = f" (×{log.count})" if log.count > 1 else ""
        cells = (
            number,
            plain(log.name) + times,
            plain(log.target or ""),
            result_text(log),
            log.outcome if log.error_message is None else f"{log.outcome}: {_error(log)}",
            duration_text(log.duration_ns),
        )
        return tuple(_shorten(cell, self._width) for cell in cells)

    def _line(self, row: tuple[str, ...], widths: list[int], bar: str) -> str:
        cells = []
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - _cells(cell))
            cells.append(space + cell if column in _RIGHT else cell + space)
        return f" {bar} ".join(cells).rstrip()


def _numbered(log: OperationLog, prefix: str) -> Iterator[tuple[str, OperationLog | SubOperationLog]]:
    for number, child in enumerate(log.children, 1):
        label = f"{prefix}{number}"
        yield label, child
        if isinstance(child, OperationLog):
            yield from _numbered(child, f"{label}.")


def _error(log: OperationLog | SubOperationLog) -> str:
    return plain(f"{log.error_type}: {log.error_message}" if log.error_type else log.error_message or "")


def result_text(log: OperationLog | SubOperationLog) -> str:
    """Return kind and shape of a result: `list[3]`, `DataFrame[10×4]`."""
    if log.result_type is None:
        return ""
    shape = "" if log.result_shape is None else f"[{'×'.join(map(str, log.result_shape))}]"
    return plain(log.result_type) + shape


def duration_text(nanoseconds: int) -> str:
    """Return a duration with its unit, three digits or so: `850 µs`, `12.3 ms`, `4.20 s`, `2 m 05 s`."""
    if nanoseconds < _MILLISECOND:
        return f"{nanoseconds / 1e3:.0f} µs"
    if nanoseconds < _SECOND:
        return f"{nanoseconds / 1e6:.1f} ms"
    seconds = nanoseconds / 1e9
    if nanoseconds < _MINUTE:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} m {rest:02d} s"


def plain(text: str) -> str:
    """Return text with control characters made visible, so that it stays on its line and sends a terminal nothing."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _cells(text: str) -> int:
    width = wcswidth(text)
    return width if width >= 0 else len(text)


def _shorten(text: str, width: int) -> str:
    if _cells(text) <= width:
        return text
    kept = text[:width]
    while kept and _cells(kept) > width - 1:
        kept = kept[:-1]
    return kept + "…"
