"""Errors grouped and limited in number, for whatever brings messages to people: of a storm, a few reach them."""

import logging
import threading
from collections.abc import Callable, Iterable
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

    @property
    def subject(self) -> str:
        return " ".join(self.title.split())[:120]


class GroupedErrorHandler(ErrorHandler):
    """Calls `send(subject, text)`: the first error at once, those of the `interval` seconds after it together.

    Errors of one operation, type and message are one entry with a count. With `apart`, each entry is a message of its
    own, 20 in an interval at most, and `send` gets its count as well. Messages are sent from a thread of their own; one
    for which `send` raises is tried again with the next, no sooner than the error's `retry_after`, where it has one.
    """

    def __init__(self, send: Callable[..., object], *, interval: float = 300.0, apart: bool = False) -> None:
        self._send = send
        self._interval = interval
        self._apart = apart
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
                self._start()
            self._condition.notify()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="orakul-errors", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is ending: `close` sends what there is
            self._thread = None

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._groups or self._closed)
                if self._closed and not self._groups:
                    return
                kept, left_out = dict(self._groups), self._left_out
                self._groups.clear()
                self._left_out = 0
            pause = self._tell_apart(kept, left_out) if self._apart else self._tell_together(kept, left_out)
            with self._condition:
                self._condition.wait_for(lambda: self._closed, timeout=max(self._interval, pause))

    def _tell_together(self, kept: dict[tuple[str, str, str], _Group], left_out: int) -> float:
        try:
            self._send(*_message(kept.values(), left_out))
        except Exception as error:
            logger.exception("a message about errors could not be sent; it goes with the next")
            self._put_back(kept, left_out)
            return _pause_of(error)
        return 0.0

    def _tell_apart(self, kept: dict[tuple[str, str, str], _Group], left_out: int) -> float:
        waits = dict(kept)
        pause = 0.0
        for key, group in sorted(kept.items(), key=lambda each: -each[1].count)[:SHOWN]:
            try:
                self._send(group.subject, f"{group.count} × {group.title}\n{group.text}", group.count)
                del waits[key]
            except Exception as error:
                logger.exception("a message about errors could not be sent; it goes with the next")
                pause = max(pause, _pause_of(error))
        if left_out:
            logger.error("%d more errors of operations, of too many kinds, were told to nobody", left_out)
        self._put_back(waits, 0)
        return pause

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

    def close(self, timeout: float = 10.0) -> None:
        """Send what waits, and end."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)
        else:
            self._run()


def _message(kept: Iterable[_Group], left_out: int) -> tuple[str, str]:
    groups = sorted(kept, key=lambda each: -each.count)
    total = sum(each.count for each in groups) + left_out
    first = groups[0].subject
    parts = [f"{each.count} × {each.title}\n{each.text}" for each in groups[:SHOWN]]
    if len(groups) > SHOWN or left_out:
        parts.append(f"… and {len(groups) - len(parts)} more kinds, {left_out} more errors")
    text = "\n\n".join(parts).encode("utf-8", "replace").decode()
    return (first if len(groups) == 1 else f"{total} errors: {first} …"), text


def _pause_of(error: Exception) -> float:
    pause = getattr(error, "retry_after", None)
    return float(pause) if isinstance(pause, int | float) else 0.0
