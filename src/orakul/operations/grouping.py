"""Errors grouped and limited in number, for whatever brings messages to people: of a storm, a few reach them."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from orakul.operations.handlers import ErrorHandler
from orakul.operations.record import OperationLog, SubOperationLog

__all__ = ["GroupedErrorHandler"]

logger = logging.getLogger(__name__)

SHOWN = 20


class _Group(msgspec.Struct):
    title: str
    text: str
    count: int = 1


class GroupedErrorHandler(ErrorHandler):
    """Calls `send(subject, text)`: the first error at once, those of the `interval` seconds after it together.

    Errors of one operation, type and message are one entry with a count. Messages are sent from a thread of their
    own; one for which `send` raises is tried again with the next.
    """

    def __init__(self, send: Callable[[str, str], object], *, interval: float = 300.0) -> None:
        self._send = send
        self._interval = interval
        self._groups: dict[tuple[str, str, str], _Group] = {}
        self._left_out = 0
        self._condition = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def handle_operation_error(self, operation_log: OperationLog, exception: BaseException | None) -> None:
        """Take the operation's error into the next message."""
        kind = operation_log.error_type or (type(exception).__name__ if exception is not None else "error")
        self._add(operation_log.name, kind, operation_log.error_message or "", operation_log.traceback)

    def handle_suboperation_error(self, subop_log: SubOperationLog, error_data: dict[str, Any]) -> None:
        """Take the step's error into the next message."""
        name = f"{error_data['operation']} / {subop_log.name}"
        self._add(name, str(error_data["type"] or "error"), str(error_data["message"]), error_data["traceback"])

    def _add(self, name: str, kind: str, message: str, traceback: str | None) -> None:
        with self._condition:
            group = self._groups.get((name, kind, message))
            if group is not None:
                group.count += 1
            elif len(self._groups) < 10 * SHOWN:
                self._groups[name, kind, message] = _Group(f"{name}: {kind}: {message}", traceback or "")
            else:
                self._left_out += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="orakul-errors", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._groups or self._closed)
                if self._closed and not self._groups:
                    return
                subject, text = self._message()
                kept, left_out = dict(self._groups), self._left_out
                self._groups.clear()
                self._left_out = 0
            try:
                self._send(subject, text)
            except Exception:
                logger.exception("a message about errors could not be sent; it goes with the next")
                self._put_back(kept, left_out)
            with self._condition:
                self._condition.wait_for(lambda: self._closed, timeout=self._interval)

    def _put_back(self, kept: dict[tuple[str, str, str], _Group], left_out: int) -> None:
        with self._condition:
            if self._closed:
                return
            self._left_out += left_out
            for key, group in kept.items():
                if key in self._groups:
                    self._groups[key].count += group.count
                else:
                    self._groups[key] = group

    def _message(self) -> tuple[str, str]:
        groups = sorted(self._groups.values(), key=lambda each: -each.count)
        total = sum(each.count for each in groups) + self._left_out
        first = " ".join(groups[0].title.split())[:120]
        parts = [f"{each.count} × {each.title}\n{each.text}" for each in groups[:SHOWN]]
        if len(groups) > SHOWN or self._left_out:
            parts.append(f"… and {len(groups) - len(parts)} more kinds, {self._left_out} more errors")
        text = "\n\n".join(parts).encode("utf-8", "replace").decode()
        return (first if len(groups) == 1 else f"{total} errors: {first} …"), text

    def close(self, timeout: float = 10.0) -> None:
        """Send what waits, and end."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)
