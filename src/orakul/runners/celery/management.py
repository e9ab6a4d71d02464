"""What RabbitMQ's management API says of queues: ready, unacknowledged, rates, consumers.

Asked where its address is set, or where it may be found at the broker's host: at port 15672, or 15671 for `amqps`, with
the broker's own user. Where it does not answer, or refuses, it is left alone for a minute, and AMQP tells the depth.
"""

import http.client
import ssl
import time
from base64 import b64encode
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec

from orakul.tasks.depths import QueueDepth

__all__ = ["Management", "management_of"]

_SECONDS = 1.0
_LEFT_ALONE = 60.0
_PORTS = {"http": 15672, "https": 15671}
_COLUMNS = (
    "name,messages_ready,messages_unacknowledged,consumers,"
    "message_stats.publish_details.rate,message_stats.deliver_get_details.rate"
)
_AMQP = {"amqp": "http", "pyamqp": "http", "amqps": "https"}
_MOST_BYTES = 16 * 1024 * 1024


class Management:
    """The management API of one virtual host."""

    def __init__(self, address: str, *, user: str, password: str, virtual_host: str) -> None:
        found = urlsplit(address)
        self._encrypted = found.scheme == "https"
        self._host = found.hostname or "localhost"
        self._port = found.port or _PORTS[found.scheme]
        self._path = f"{found.path.rstrip('/')}/api/queues/{quote(virtual_host, safe='')}?columns={_COLUMNS}"
        self._headers = {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}
        self._until = float("-inf")

    def depths(self, queues: Sequence[str]) -> dict[str, QueueDepth] | None:
        """Return what is known of those of the queues that there are; None where the API does not tell."""
        if time.monotonic() < self._until:
            return None
        try:
            listed = self._list()
            wanted = set(queues)
            return {each["name"]: _depth(each) for each in listed if each.get("name") in wanted}
        except (OSError, http.client.HTTPException, msgspec.MsgspecError, TypeError, ValueError, AttributeError):
            # Anything may answer at a port that was guessed: whatever it says that is not this API's is no answer.
            self._until = time.monotonic() + _LEFT_ALONE
            return None

    def _list(self) -> list[dict[str, Any]]:
        connection: http.client.HTTPConnection
        if self._encrypted:
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=_SECONDS, context=context)
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=_SECONDS)
        try:
            connection.request("GET", self._path, headers=self._headers)  # a redirection would not be followed
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise ValueError(f"it answers {answer.status}")
            return msgspec.json.decode(answer.read(_MOST_BYTES), type=list[dict[str, Any]])
        finally:
            connection.close()


def management_of(broker: str, address: str | None) -> Management | None:
    """Return the management API of a broker; `address` may carry a user of its own, `off` means that none is asked."""
    url = urlsplit(broker)
    if url.scheme not in _AMQP or address == "off":
        return None
    if address is None:
        scheme = _AMQP[url.scheme]
        host = url.hostname or "localhost"
        address = f"{scheme}://{f'[{host}]' if ':' in host else host}:{_PORTS[scheme]}"
    own = urlsplit(address)
    whose = own if own.username else url
    return Management(
        address,
        user=unquote(whose.username or "guest"),
        password=unquote(whose.password or "guest"),
        virtual_host=unquote(url.path[1:]) or "/",
    )


def _depth(told: dict[str, Any]) -> QueueDepth:
    stats = told.get("message_stats") or {}
    return QueueDepth(
        depth=int(told["messages_ready"]) if "messages_ready" in told else None,
        note=None if "messages_ready" in told else "the broker has no figures of this queue yet",
        unacknowledged=_number(told.get("messages_unacknowledged")),
        consumers=_number(told.get("consumers")),
        rate_in=_a_minute(stats.get("publish_details")),
        rate_out=_a_minute(stats.get("deliver_get_details")),
    )


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _a_minute(details: Any) -> float | None:
    rate = details.get("rate") if isinstance(details, dict) else None
    return float(rate) * 60 if isinstance(rate, int | float) else None
