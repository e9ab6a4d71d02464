"""The next attempt's message, made from the kept original."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from orakul.runners.celery import headers as names
from orakul.runners.celery.originals import Original

__all__ = ["RETRIED_AT", "renewed", "retried_at"]

RETRIED_AT = "orakul_retried"
"""Header: when Orakul sent this attempt, epoch milliseconds. A Celery revocation older than it is not about it."""


def renewed(original: Original, attempt: int, now: datetime | None = None) -> Original:
    """Return the message to send as attempt `attempt`: the original, but for what must change.

    Celery's own count of retries begins anew; a time that has passed (`eta`) is dropped; an expiry counts again from
    now, as long as it was at first, or is dropped where that is not known and it has passed.
    """
    now = now or datetime.now(UTC)
    millis = int(now.timestamp() * 1000)
    headers = {**original.headers, "retries": 0, names.ATTEMPT: attempt - 1, RETRIED_AT: millis}
    headers.pop(names.RUN, None)
    eta = _moment(headers.get("eta"))
    if eta is not None and eta <= now:
        headers["eta"] = None
    sent = headers.get(names.SENT)
    expires = _moment(headers.get("expires"))
    if expires is not None:
        if isinstance(sent, int):
            headers["expires"] = (now + (expires - datetime.fromtimestamp(sent / 1000, UTC))).isoformat()
        elif expires <= now:
            headers["expires"] = None
    if isinstance(sent, int):
        headers[names.SENT] = millis
    properties = {name: value for name, value in original.properties.items() if name != "expiration"}
    return msgspec.structs.replace(original, headers=headers, properties=properties)


def retried_at(headers: Any) -> float:
    """Return when Orakul sent this message as a retry, epoch seconds; 0 where it did not."""
    value = (headers or {}).get(RETRIED_AT)
    return value / 1000 if isinstance(value, (int, float)) else 0.0


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
