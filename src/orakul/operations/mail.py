"""Letters over SMTP, and errors by e-mail."""

import hashlib
import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

from orakul.operations.grouping import GroupedErrorHandler

__all__ = ["EmailErrorHandler", "PostOffice"]


class PostOffice:
    """Where letters are posted: `smtp://user:password@host:port`, or `smtps://` for TLS from the start.

    With a user, `smtp://` asks for STARTTLS first.
    """

    def __init__(self, server: str, *, timeout: float = 30.0) -> None:
        self._server = urlsplit(server)
        self._timeout = timeout
        if self._server.scheme not in {"smtp", "smtps"} or not self._server.hostname:
            raise ValueError("the mail server is smtp://host:port or smtps://host:port")
        self.host = self._server.hostname

    def send(
        self,
        subject: str,
        text: str,
        *,
        to: Sequence[str],
        sender: str,
        sign_in: tuple[str, str] | None = None,
        key: str | None = None,
        group: str | None = None,
    ) -> None:
        """Post a letter; raise what smtplib raises, also where only some of the recipients are refused.

        `sign_in` stands in for the address's user and password. Letters of one `group` are one conversation, and one
        sent again with the same `key` is the same letter.
        """
        letter = EmailMessage()
        letter["Subject"] = " ".join(subject.split())
        letter["From"] = sender
        letter["To"] = ", ".join(to)
        letter["Date"] = formatdate()
        domain = sender.rpartition("@")[2].strip("> ") or "orakul"
        letter["Message-ID"] = f"<{_digest(key)}@{domain}>" if key else make_msgid(domain=domain)
        letter["Auto-Submitted"] = "auto-generated"
        if group:
            letter["References"] = f"<{_digest(group)}.group@{domain}>"
        letter.set_content(text.encode("utf-8", "replace").decode())
        secure = self._server.scheme == "smtps"
        trusted = ssl.create_default_context()  # a password is for the server whose certificate is right
        port = self._server.port or 0
        with (
            smtplib.SMTP_SSL(self.host, port, timeout=self._timeout, context=trusted)
            if secure
            else smtplib.SMTP(self.host, port, timeout=self._timeout)
        ) as server:
            user, password = sign_in or (self._server.username, self._server.password or "")
            if user is not None:
                if not secure:
                    server.starttls(context=trusted)
                plain = sign_in is not None
                server.login(user if plain else unquote(user), password if plain else unquote(password))
            refused = server.send_message(letter)
            if refused:
                raise smtplib.SMTPRecipientsRefused(refused)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


class EmailErrorHandler(GroupedErrorHandler):
    """Sends letters over SMTP, grouped and limited in number (see `GroupedErrorHandler` and `PostOffice`)."""

    def __init__(
        self, to: Sequence[str], *, sender: str, server: str = "smtp://localhost", interval: float = 300.0
    ) -> None:
        super().__init__(self._letter, interval=interval)
        self._to = list(to)
        self._sender = sender
        self._office = PostOffice(server)

    def _letter(self, subject: str, text: str) -> None:
        self._office.send(subject, text, to=self._to, sender=self._sender)
