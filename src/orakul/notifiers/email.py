"""E-mail, over SMTP: the same post office as that of `operations.mail`."""

import smtplib
from collections.abc import Sequence
from typing import Any, ClassVar

from orakul.operations.mail import PostOffice
from orakul.reactions.notifier import Message, Notifier, NotifierError, Options, PassingError, PermanentError, Receipt
from orakul.reactions.secret import Secret

__all__ = ["EmailNotifier", "EmailOptions"]

_MARKS = {"error": "✗", "warning": "!", "info": "i", "recovered": "✓"}
_LATER = range(400, 500)


class EmailOptions(Options, frozen=True, kw_only=True):
    """`server` is `smtp://host:port` or `smtps://host:port`; with a `username`, `smtp://` asks for STARTTLS first."""

    to: list[str]
    sender: str
    server: str = "smtp://localhost:25"
    username: str | None = None
    password: Secret | None = None


class EmailNotifier(Notifier):
    """Sends a letter."""

    kind = "email"
    Options: ClassVar[type[Options]] = EmailOptions
    options: EmailOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        try:
            self._office = PostOffice(self.options.server, timeout=self.options.timeout_seconds)
        except ValueError as error:
            raise PermanentError(f"email: {error}") from error

    def send(self, messages: Sequence[Message]) -> Receipt:
        """Send it to all; the group's letters are one conversation."""
        options, message = self.options, messages[0]
        password = options.password.reveal() if options.password is not None else None
        try:
            self._office.send(
                f"[{_MARKS[message.severity]}] {message.title}",
                message.plain() or message.title,
                to=options.to,
                sender=options.sender,
                sign_in=(options.username, password or "") if options.username is not None else None,
                key=message.key,
                group=message.group,
            )
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise self._told_apart(error) from None
        return Receipt(said=f"sent to {len(options.to)}")

    def _told_apart(self, error: Exception) -> NotifierError:
        said = self.hide(f"the mail server {self._office.host}: {_reason(error)}")
        if isinstance(error, ValueError) and not isinstance(error, OSError):
            return PermanentError(said)
        codes = _codes(error)
        if codes and not any(code in _LATER for code in codes):
            return PermanentError(said)
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return PermanentError(said)
        return PassingError(said)

    @classmethod
    def example(cls, url: str) -> dict[str, Any]:
        """Return options such as somebody would write."""
        return {"to": ["ops@example.com"], "sender": "orakul@example.com", "server": url}


def _codes(error: Exception) -> list[int]:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return [code for code, _ in error.recipients.values()]
    return [error.smtp_code] if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code > 0 else []


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{who}: {code} {_text(said)}" for who, (code, said) in error.recipients.items())
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    if isinstance(error, TimeoutError):
        return "it has not answered in time"
    return str(error) or type(error).__name__


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
