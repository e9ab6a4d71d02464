"""A tree of an operation, one line an operation: the shape of the work at a glance."""

from collections.abc import Iterator

from orakul.operations.formatter import OutputFormatter
from orakul.operations.formatters.table import duration_text, plain, result_text
from orakul.operations.record import OperationLog, SubOperationLog

__all__ = ["TreeFormatter"]

_MARKS = {"success": "✓", "error": "✗", "cancelled": "⊘", "closed": "◌", "aborted": "!", "running": "…"}


class TreeFormatter(OutputFormatter):
    """`✓ LOAD_FILE 1.20 s` and, below it, what it did, with lines that join them."""

    def format_operation_log(self, operation_log: OperationLog) -> str:
        """Return the record as a tree."""
        return "\n".join((_label(operation_log), *_lines(operation_log, "")))


def _lines(log: OperationLog, indent: str) -> Iterator[str]:
    for number, child in enumerate(log.children, 1):
        last = number == len(log.children)
        yield f"{indent}{'└─' if last else '├─'} {_label(child)}"
        if isinstance(child, OperationLog):
            yield from _lines(child, indent + ("   " if last else "│  "))


def _label(log: OperationLog | SubOperationLog) -> str:
    words = [_MARKS[log.outcome], plain(log.name)]
    if log.target:
        words.append(plain(log.target))
    if log.count > 1:
        words.append(f"×{log.count}")
    if log.result_type:
        words.append(f"→ {result_text(log)}")
    words.append(duration_text(log.duration_ns))
    if log.error_message is not None:
        words.append(plain(f"{log.error_type or 'error'}: {log.error_message}"))
    return " ".join(words)
