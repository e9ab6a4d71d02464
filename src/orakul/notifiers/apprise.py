"""The many others (Discord, Teams, Matrix, ntfy, Pushover, SMS …) through Apprise: https://appriseit.com/services/.

Apprise says only whether it worked. Why it did not is read from what it logs: a status such as `error=401` tells
permanent and passing failures apart; without one, a failure is taken to pass.
"""

import logging
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import apprise

from orakul.reactions.notifier import Message, Notifier, Options, PassingError, PermanentError, Receipt
from orakul.reactions.secret import Secret

__all__ = ["AppriseNotifier", "AppriseOptions"]

_TYPES = {"error": "failure", "warning": "warning", "info": "info", "recovered": "success"}
_STATUS = re.compile(r"error=(\d{3})\b")
_AGAIN = frozenset({408, 425, 429})
_SERVER = 500
_LOGGERS = ("apprise", "urllib3.connectionpool", "urllib3.util.retry", "requests")


class AppriseOptions(Options, frozen=True, kw_only=True):
    """`urls` name the services, as Apprise writes them; they hold tokens, so each is a secret."""

    urls: list[Secret]


class AppriseNotifier(Notifier):
    """Sends through Apprise."""

    kind = "apprise"
    Options: ClassVar[type[Options]] = AppriseOptions
    options: AppriseOptions

    def send(self, messages: Sequence[Message]) -> Receipt:
        """Send it to every service; it has failed where one of them failed."""
        message = messages[0]
        heard = _Heard()
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(heard)
        try:
            # One after the other, in this thread: Apprise's own pool refuses work while a program ends.
            sent = [self._tell(service, message) for service in self._services()]
        finally:
            for name in _LOGGERS:
                logging.getLogger(name).removeFilter(heard)
        if all(sent):
            return Receipt()
        raise self._told_apart(heard.lines)

    def _tell(self, service: Any, message: Message) -> bool:
        try:
            return bool(
                service.notify(
                    title=message.title, body=message.plain() or message.title, notify_type=_TYPES[message.severity]
                )
            )
        except Exception as error:  # noqa: BLE001 (a service's own code may raise anything)
            raise PassingError(self.hide(f"Apprise: {error}")) from None

    def _services(self) -> list[Any]:
        pause = self.options.timeout_seconds
        asset = apprise.AppriseAsset(app_id="Orakul", app_desc="Orakul", app_url="", async_mode=False)
        made = []
        for number, secret in enumerate(self.options.urls, 1):
            address = secret.reveal()
            timed = f"{address}{'&' if '?' in address else '?'}rto={pause}&cto={pause}"
            service = apprise.Apprise.instantiate(timed, asset=asset)
            if not service:
                raise PermanentError(f"Apprise does not know the address number {number} in urls")
            made.append(service)
        return made

    def _told_apart(self, lines: list[str]) -> Exception:
        said = self.hide("; ".join(lines[:3]) or "it says no more")
        statuses = [int(found) for line in lines for found in _STATUS.findall(line)]
        permanent = bool(statuses) and all(each not in _AGAIN and each < _SERVER for each in statuses)
        return (PermanentError if permanent else PassingError)(f"Apprise could not deliver: {said}")

    @classmethod
    def example(cls, url: str) -> dict[str, Any]:
        """Return options such as somebody would write; the variable holds an address such as `ntfys://topic`."""
        del url
        return {"urls": ["env:APPRISE_URL"]}


class _Heard(logging.Filter):
    """Hears why it did not work; and keeps what Apprise and what it uses log, addresses with tokens, out of the log.

    Apprise works in threads of its own, so the rest of the process is not heard of these loggers either, meanwhile.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep it to ourselves."""
        if record.levelno >= logging.WARNING and record.name == "apprise":
            self.lines.append(record.getMessage())
        return False
