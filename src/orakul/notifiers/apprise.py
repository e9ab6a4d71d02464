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
        pause = self.options.timeout_seconds
        asset = apprise.AppriseAsset(app_id="Orakul", app_desc="Orakul", app_url="", async_mode=False)
        service = apprise.Apprise(asset=asset)
        for number, secret in enumerate(self.options.urls, 1):
            address = secret.reveal()
            timed = f"{address}{'&' if '?' in address else '?'}rto={pause}&cto={pause}"
            if not service.add(timed):
                raise PermanentError(f"Apprise does not know the address number {number} in urls: see its services")
        heard = _Heard()
        logger = logging.getLogger("apprise")
        logger.addHandler(heard)
        try:
            sent = service.notify(
                title=message.title, body=message.plain() or message.title, notify_type=_TYPES[message.severity]
            )
        except Exception as error:  # noqa: BLE001 (a service's own code may raise anything)
            raise PassingError(self.hide(f"Apprise: {error}")) from None
        finally:
            logger.removeHandler(heard)
        if sent:
            return Receipt()
        raise self._told_apart(heard.lines)

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


class _Heard(logging.Handler):
    """Hears why it did not work."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
