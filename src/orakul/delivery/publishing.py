"""Publishing without a transaction of one's own.

Where the settings name a database (`database_url`), the event goes into its outbox, in a transaction of its own, and is
relayed from there. Where they name none, it is logged only, as long as no broker is part of the house.
"""

import logging
from collections.abc import Callable, Mapping
from functools import cache

from orakul import extensions
from orakul.delivery.outbox import OutboxRow, event_from, log_line, row_of
from orakul.events import Event, EventType
from orakul.settings import load_settings

__all__ = ["publish_event"]

_log = logging.getLogger("orakul.events")


def publish_event(
    event: Event | EventType, *, subject: str | None = None, headers: Mapping[str, str] | None = None
) -> bool:
    """Publish the event and log it; say whether that was done. Never raises: what went wrong is in the log.

    A change in a database and an event about it belong into one transaction: `outbox.publish` is for them.
    """
    try:
        told = event_from(event)
        row = row_of(told, subject=subject, headers=headers)
        settings = load_settings()
        url = settings.database_url or next(iter(settings.events.outboxes), None)
        if url is not None:
            _publisher()(url, row)
        _log.info("%s", log_line(told))
    except Exception:  # noqa: BLE001 (the document's contract: it answers, and never raises)
        _log.exception("Failed to publish event")
        return False
    return True


@cache  # the installed packages are looked through once: that takes milliseconds
def _publisher() -> Callable[[str, OutboxRow], None]:
    found: Callable[[str, OutboxRow], None] = extensions.load("orakul.publishers", "postgres")
    return found
