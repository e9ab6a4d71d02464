"""Errors by e-mail: grouped, and limited in number, so that a storm of failures is a few letters."""

import smtplib
import threading
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from typing import Any

import msgspec

from orakul.operations.handlers import ErrorHandler
from orakul.operations.record import OperationLog, SubOperationLog

__all__ = ["EmailErrorHandler"]

SHOWN = 20


class _Group(msgspec.Struct):
    title: str
    text: str
    count: int = 1


class EmailErrorHandler(ErrorHandler):
    """Sends letters over SMTP: the first error at once, those of the `interval` seconds after it together.

    Errors of one operation, type and message are one entry with a count. `send` replaces SMTP (it takes an
    EmailMessage). Letters are sent from a thread of their own; one that cannot be sent is tried again with the next.
    """

    def __init__(
        self,
        to: Sequence[str],
        *,
        sender: str,
        host: str = "localhost",
        port: int = 25,
        username: str | None = None,
        password: str | None = None,
        starttls: bool = False,
        interval: float = 300.0,
        send: Callable[[EmailMessage], object] | None = None,
    ) -> None:
        self._to = list(to)
        self._sender = sender
        self._server = (host, port)
        self._login = (username, password) if username is not None else None
        self._starttls = starttls
        self._interval = interval
        self._send = send or self._over_smtp
        self._groups: dict[tuple[str, str, str], _Group] = {}
        self._left_out = 0
        self._condition = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def handle_operation_error(self, operation_log: OperationLog, exception: BaseException | None) -> None:
        """Take the operation's error into the next letter."""
        kind = operation_log.error_type or (type(exception).__name__ if exception is not None else "error")
        self._add(operation_log.name, kind, operation_log.error_message or "", operation_log.traceback)

    def handle_suboperation_error(self, subop_log: SubOperationLog, error_data: dict[str, Any]) -> None:
        """Take the step's error into the next letter."""
        name = f"{error_data['operation']} / {subop_log.name}"
        self._add(name, str(error_data["type"] or "error"), str(error_data["message"]), error_data["traceback"])

    def _add(self, name: str, kind: str, message: str, traceback: str | None) -> None:
        with self._condition:
            key = (name, kind, message)
            group = self._groups.get(key)
            if group is not None:
                group.count += 1
            elif len(self._groups) < 10 * SHOWN:
                self._groups[key] = _Group(f"{name}: {kind}: {message}", traceback or "")
            else:
                self._left_out += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="orakul-mail", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._groups or self._closed)
                if self._closed and not self._groups:
                    return
                letter, kept = self._letter(), dict(self._groups)
                self._groups.clear()
            try:
                self._send(letter)
            except (OSError, smtplib.SMTPException):
                self._put_back(kept)
            with self._condition:
                self._condition.wait_for(lambda: self._closed, timeout=self._interval)

    def _put_back(self, kept: dict[tuple[str, str, str], _Group]) -> None:
        with self._condition:
            for key, group in kept.items():
                if key in self._groups:
                    self._groups[key].count += group.count
                elif not self._closed:
                    self._groups[key] = group

    def _letter(self) -> EmailMessage:
        groups = sorted(self._groups.values(), key=lambda each: -each.count)
        total = sum(each.count for each in groups) + self._left_out
        letter = EmailMessage()
        first = " ".join(groups[0].title.split())[:120]
        letter["Subject"] = first if len(groups) == 1 else f"{total} errors: {first} …"
        letter["From"] = self._sender
        letter["To"] = ", ".join(self._to)
        parts = [f"{each.count} × {each.title}\n{each.text}" for each in groups[:SHOWN]]
        if len(groups) > SHOWN or self._left_out:
            parts.append(f"… and {len(groups) - len(parts)} more kinds, {self._left_out} more errors")
        letter.set_content("\n\n".join(parts).encode("utf-8", "replace").decode())
        self._left_out = 0
        return letter

    def _over_smtp(self, letter: EmailMessage) -> None:
        with smtplib.SMTP(*self._server, timeout=30) as server:
            if self._starttls:
                server.starttls()
            if self._login is not None:
                server.login(self._login[0] or "", self._login[1] or "")
            server.send_message(letter)

    def close(self, timeout: float = 10.0) -> None:
        """Send what waits, and end."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)
