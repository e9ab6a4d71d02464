"""Errors by e-mail."""

import smtplib
from collections.abc import Sequence
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from orakul.operations.grouping import GroupedErrorHandler

__all__ = ["EmailErrorHandler"]


class EmailErrorHandler(GroupedErrorHandler):
    """Sends letters over SMTP, grouped and limited in number (see `GroupedErrorHandler`).

    `server` is `smtp://user:password@host:port`, or `smtps://` for TLS from the start; with a user, `smtp://` asks for
    STARTTLS first.
    """

    def __init__(
        self, to: Sequence[str], *, sender: str, server: str = "smtp://localhost", interval: float = 300.0
    ) -> None:
        super().__init__(self._letter, interval=interval)
        self._to = list(to)
        self._sender = sender
        self._server = urlsplit(server)
        if self._server.scheme not in {"smtp", "smtps"} or not self._server.hostname:
            raise ValueError("the mail server is smtp://host:port or smtps://host:port")

    def _letter(self, subject: str, text: str) -> None:
        letter = EmailMessage()
        letter["Subject"] = subject
        letter["From"] = self._sender
        letter["To"] = ", ".join(self._to)
        letter.set_content(text)
        secure = self._server.scheme == "smtps"
        connect = smtplib.SMTP_SSL if secure else smtplib.SMTP
        with connect(self._server.hostname or "", self._server.port or 0, timeout=30) as server:
            if self._server.username is not None:
                if not secure:
                    server.starttls()
                server.login(unquote(self._server.username), unquote(self._server.password or ""))
            server.send_message(letter)
