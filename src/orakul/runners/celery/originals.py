"""The original message of a task, exactly as it came: what a retry sends again, whatever its serializer."""

from typing import Any

import msgspec

from orakul.errors import NotPossibleError
from orakul.tasks.sealing import Sealer

__all__ = ["LARGEST_ORIGINAL", "Original", "open_original", "original_of", "seal_original"]

LARGEST_ORIGINAL = 1_000_000
"""Bodies with more bytes are not kept: the journal is no file store. A retry says so."""

_PROPERTIES = ("correlation_id", "reply_to", "priority", "expiration", "delivery_mode", "message_id", "type", "app_id")


class Original(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task message: body as bytes (of text, where the transport gave that), with all that is needed to send it again.

    The body is not compressed: the transport undid that, and a `compression` header is left out.
    """

    body: bytes
    is_text: bool = False
    content_type: str | None = None
    content_encoding: str | None = None
    headers: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    exchange: str = ""
    routing_key: str = ""
    queue: str | None = None


_encode = msgspec.msgpack.Encoder(enc_hook=str).encode
_decode = msgspec.msgpack.Decoder(Original).decode


def original_of(message: Any, queue: str | None) -> Original | None:
    """Return the original of a message received (kombu's Message), or None where its body is too large to keep."""
    is_text = isinstance(message.body, str)  # some transports hand text over as text
    body = message.body.encode() if is_text else bytes(message.body)
    if len(body) > LARGEST_ORIGINAL:
        return None
    properties = message.properties
    delivery = message.delivery_info
    headers = message.headers
    if "compression" in headers:
        headers = {name: value for name, value in headers.items() if name != "compression"}
    return Original(
        body=body,
        is_text=is_text,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers=headers,
        properties={name: properties[name] for name in _PROPERTIES if properties.get(name) is not None},
        exchange=delivery.get("exchange") or "",
        routing_key=delivery.get("routing_key") or "",
        queue=queue,
    )


def seal_original(sealer: Sealer, task_id: str, original: Original) -> bytes:
    """Return the original encrypted; it opens for this task only."""
    return sealer.seal(_encode(original), task_id)


def open_original(sealer: Sealer, task_id: str, sealed: bytes) -> Original:
    """Return the original; raise NotPossibleError where it does not open with this key."""
    content = sealer.open(sealed, task_id)
    try:
        return _decode(content)
    except msgspec.DecodeError as error:
        raise NotPossibleError("The kept message is of a form that this version does not know.") from error
