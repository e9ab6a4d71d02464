"""Contract: an error handler, what is told when an operation or a step of one fails; and who tells it.

Handlers are called in the writer's thread, after the fact, each apart from the others: neither its slowness nor its
errors reach the operation. Recovery, which has to happen in the operation itself, is asked for there
(`orakul.operations.recovery`).
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from orakul.operations.collection import Call
from orakul.operations.record import OperationLog, Outcome, SubOperationLog

__all__ = ["ErrorHandler", "ErrorHandlers", "LogErrorHandler"]

logger = logging.getLogger(__name__)


class ErrorHandler(ABC):
    """Told of failures. Own ones join by code, by settings, or by the entry-point group `orakul.error_handlers`."""

    @abstractmethod
    def handle_operation_error(self, operation_log: OperationLog, exception: BaseException | None) -> None:
        """Take an operation that failed; `exception` is None for a soft failure."""

    @abstractmethod
    def handle_suboperation_error(self, subop_log: SubOperationLog, error_data: dict[str, Any]) -> None:
        """Take a step that failed; `error_data` has `type`, `message`, `traceback` and the name of its `operation`."""


class LogErrorHandler(ErrorHandler):
    """Writes an error line to the log `orakul.operations`."""

    def __init__(self, name: str = "orakul.operations") -> None:
        self._logger = logging.getLogger(name)

    def handle_operation_error(self, operation_log: OperationLog, exception: BaseException | None) -> None:
        """Log the operation, with its traceback where there is one."""
        self._logger.error(
            "operation %s failed after %.1f ms: %s",
            operation_log.name,
            operation_log.duration_ms,
            operation_log.error_message,
            exc_info=exception,
        )

    def handle_suboperation_error(self, subop_log: SubOperationLog, error_data: dict[str, Any]) -> None:
        """Log the step."""
        self._logger.error("step %s of %s failed: %s", subop_log.name, error_data["operation"], error_data["message"])


class ErrorHandlers:
    """A sink of the collector that tells the handlers, isolated from each other."""

    def __init__(self, handlers: Sequence[ErrorHandler] = ()) -> None:
        self.handlers = list(handlers)
        self.failed = 0
        self._exceptions: dict[str, BaseException] = {}

    def on_calls(self, calls: list[Call]) -> None:
        """Keep the exceptions until their tree is whole."""
        for call in calls:
            if isinstance(call.error, BaseException) and call.outcome is Outcome.ERROR:
                self._exceptions[f"{call.span:016x}"] = call.error
                if len(self._exceptions) > 10_000:  # noqa: PLR2004 (trees that never end must not keep them for ever)
                    del self._exceptions[next(iter(self._exceptions))]

    def on_running(self, log: OperationLog) -> None:
        """Pass over what has not ended."""

    def on_tree(self, log: OperationLog) -> None:
        """Tell the handlers of each failure in the tree: of an exception that rose through several, where it began."""
        for operation, failed in _failures(log):
            exception = self._exceptions.get(failed.operation_id)
            for handler in self.handlers:
                try:
                    if isinstance(failed, OperationLog):
                        handler.handle_operation_error(failed, exception)
                    else:
                        handler.handle_suboperation_error(failed, _error_data(operation, failed))
                except Exception:
                    self.failed += 1
                    logger.exception("the error handler %s failed on %s", type(handler).__name__, failed.name)
        self._forget(log)

    def _forget(self, log: OperationLog | SubOperationLog) -> None:
        self._exceptions.pop(log.operation_id, None)
        for child in log.children if isinstance(log, OperationLog) else ():
            self._forget(child)


def _failures(log: OperationLog) -> Iterator[tuple[OperationLog, OperationLog | SubOperationLog]]:
    told = False
    for child in log.children:
        if isinstance(child, OperationLog):
            yield from _failures(child)
        elif child.outcome is Outcome.ERROR:
            yield log, child
        told = told or (
            child.outcome is Outcome.ERROR
            and child.error_type is not None
            and (child.error_type, child.error_message) == (log.error_type, log.error_message)
        )
    if log.outcome is Outcome.ERROR and not told:
        yield log, log


def _error_data(operation: OperationLog, step: SubOperationLog) -> dict[str, Any]:
    return {
        "type": step.error_type,
        "message": step.error_message,
        "traceback": step.traceback,
        "operation": operation.name,
        "operation_id": operation.operation_id,
    }
