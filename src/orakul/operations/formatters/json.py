"""One line of JSON an operation: what `read_log` reads back."""

import msgspec

from orakul.operations.formatter import OutputFormatter
from orakul.operations.record import OperationLog

__all__ = ["JSONFormatter"]


class JSONFormatter(OutputFormatter):
    """JSON on one line, or indented. Values of metadata that JSON has no form for appear as their `repr`."""

    def __init__(self, *, indent: int = 0) -> None:
        self._indent = indent

    def format_operation_log(self, operation_log: OperationLog) -> str:
        """Return the record as JSON."""
        text = msgspec.json.encode(operation_log, enc_hook=repr)
        return (msgspec.json.format(text, indent=self._indent) if self._indent else text).decode()
