"""Contract: an output formatter, what makes text of an operation's record."""

from abc import ABC, abstractmethod

from orakul.operations.record import OperationLog

__all__ = ["OutputFormatter"]


class OutputFormatter(ABC):
    """Makes text of one whole record. Called from the writer's thread, one record at a time.

    Own ones join by the entry-point group `orakul.formatters`, and are then chosen by name like those that are shipped.
    """

    @abstractmethod
    def format_operation_log(self, operation_log: OperationLog) -> str:
        """Return the record as text, without a line end at its end."""
