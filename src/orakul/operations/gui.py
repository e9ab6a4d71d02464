"""Error handlers for programs with windows: the error arrives in the GUI's own thread, and nothing freezes.

Neither toolkit is imported here: a handler is given what it speaks to.
"""

import queue
from collections.abc import Callable
from typing import Any, Protocol

from orakul.operations.handlers import ErrorHandler
from orakul.operations.record import OperationLog, SubOperationLog

__all__ = ["CallableErrorHandler", "QtErrorHandler", "TkErrorHandler"]


class CallableErrorHandler(ErrorHandler):
    """Hands `(title, text)` to a callable, from the writer's thread: for toolkits with a call of their own for that."""

    def __init__(self, deliver: Callable[[str, str], object]) -> None:
        self._deliver = deliver

    def handle_operation_error(self, operation_log: OperationLog, exception: BaseException | None) -> None:
        """Deliver the operation's error."""
        kind = type(exception).__name__ if exception is not None else operation_log.error_type or "Error"
        self._deliver(f"{operation_log.name} failed", f"{kind}: {operation_log.error_message}")

    def handle_suboperation_error(self, subop_log: SubOperationLog, error_data: dict[str, Any]) -> None:
        """Deliver the step's error."""
        self._deliver(f"{error_data['operation']}: {subop_log.name} failed", str(error_data["message"]))


class _Signal(Protocol):
    def emit(self, title: str, text: str) -> Any: ...


class QtErrorHandler(CallableErrorHandler):
    """Emits a Qt signal of two texts: `failed = Signal(str, str)` of a QObject that lives in the GUI's thread.

    Qt queues a signal emitted in another thread and delivers it in the receiver's.
    """

    def __init__(self, signal: _Signal) -> None:
        super().__init__(signal.emit)


class TkErrorHandler(CallableErrorHandler):
    """Shows errors in a Tk program; made in Tk's thread, where `show(title, text)` is called too.

    Tk may only be touched from its own thread, so errors wait in a queue that Tk looks into every `interval_ms`.
    Without `show`, a message box is opened; at most one at a time, and those that come meanwhile are joined into the
    next.
    """

    def __init__(self, root: Any, show: Callable[[str, str], object] | None = None, *, interval_ms: int = 100) -> None:
        self._queue: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._root = root
        self._show = show or self._dialog
        self._interval = interval_ms
        super().__init__(lambda title, text: self._queue.put((title, text)))
        root.after(interval_ms, self._look)

    def _look(self) -> None:
        errors = []
        while not self._queue.empty():
            errors.append(self._queue.get())
        if errors:
            title = errors[0][0] if len(errors) == 1 else f"{errors[0][0]} (and {len(errors) - 1} more)"
            self._show(title, "\n\n".join(text for _, text in errors[:10]))
        self._root.after(self._interval, self._look)

    @staticmethod
    def _dialog(title: str, text: str) -> None:
        from tkinter import messagebox  # noqa: PLC0415 (programs without Tk need not have it)

        messagebox.showerror(title, text)
