"""The original message of a task, exactly as it came: what a retry sends again, whatever its serializer."""

import sys
from typing import TYPE_CHECKING, Any

import msgspec
from celery.app import trace

from orakul.errors import NotPossibleError
from orakul.runners.celery.headers import RUN
from orakul.tasks.sealing import Sealer

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["LARGEST_ORIGINAL", "Original", "open_original", "original_in_frame", "original_of", "seal_original"]

LARGEST_ORIGINAL = 1_000_000
"""Bodies with more bytes are not kept: the journal is no file store. A retry says so."""

_RUNNERS = frozenset((trace.fast_trace_task.__code__, trace.trace_task_ret.__code__))
_FRAMES = 8
# What Celery adds to the headers in the request that it hands to the pool.
_ADDED = frozenset(
    (
        *("properties", "reply_to", "correlation_id", "hostname", "delivery_info", "args", "kwargs", "is_eager"),
        *("callbacks", "errbacks", "chain", "chord", RUN),
    )
)
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
    return _original(
        message.body,
        message.headers,
        message.properties,
        message.delivery_info or {},
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        queue=queue,
    )


def original_in_frame(queue: str | None) -> Original | None:
    """Return the original of the task that is about to run, from the call of Celery's that runs it.

    Its body reaches the process that runs the task as that call's argument, and no signal hands it on. Taken here, in
    the pool, it costs the worker's main process nothing. None where there is none, or it is too large.
    """
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 (the only way to the argument)
    for _ in range(_FRAMES):
        if frame is None or frame.f_code in _RUNNERS:
            break
        frame = frame.f_back
    values = frame.f_locals if frame is not None and frame.f_code in _RUNNERS else {}
    request = values.get("request")
    if not isinstance(request, dict) or values["content_type"] is None:
        return None
    return _original(
        values["body"],
        {name: value for name, value in request.items() if name not in _ADDED},
        request.get("properties") or {},
        request.get("delivery_info") or {},
        content_type=values["content_type"],
        content_encoding=values["content_encoding"],
        queue=queue,
    )


def _original(
    body: Any, headers: dict[str, Any], properties: dict[str, Any], delivery: dict[str, Any], **more: Any
) -> Original | None:
    is_text = isinstance(body, str)  # some transports hand text over as text
    body = body.encode() if is_text else bytes(body)
    if len(body) > LARGEST_ORIGINAL:
        return None
    if "compression" in headers:
        headers = {name: value for name, value in headers.items() if name != "compression"}
    return Original(
        body=body,
        is_text=is_text,
        headers=headers,
        properties={name: properties[name] for name in _PROPERTIES if properties.get(name) is not None},
        exchange=delivery.get("exchange") or "",
        routing_key=delivery.get("routing_key") or "",
        **more,
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
