"""A webhook of your own, signed as Standard Webhooks says: https://www.standardwebhooks.com.

The receiver computes `base64(HMAC-SHA256(secret, "<webhook-id>.<webhook-timestamp>.<body>"))`, compares it with what
follows `v1,` in `webhook-signature`, and refuses a timestamp that is minutes old. `webhook-id` is the message's key:
the same when it is delivered again.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from orakul.notifiers.request import ask
from orakul.reactions.notifier import Message, Notifier, Options, Receipt
from orakul.reactions.secret import Secret

__all__ = ["WebhookNotifier", "WebhookOptions", "signature"]


class WebhookOptions(Options, frozen=True, kw_only=True):
    """`secret` signs; one that begins with `whsec_` is base64 behind it. `headers` go along as they are."""

    url: str
    secret: Secret
    token: Secret | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)


class WebhookNotifier(Notifier):
    """Posts the message, whole, as JSON."""

    kind = "webhook"
    Options: ClassVar[type[Options]] = WebhookOptions
    options: WebhookOptions

    def send(self, messages: Sequence[Message]) -> Receipt:
        """Post it, signed."""
        options, message = self.options, messages[0]
        body = msgspec.json.encode({"type": "orakul.message", "timestamp": message.at, "data": message})
        moment = int(time.time())
        headers = {
            **options.headers,
            "Content-Type": "application/json",
            "webhook-id": message.key,
            "webhook-timestamp": str(moment),
            "webhook-signature": signature(options.secret.reveal(), message.key, moment, body),
        }
        if options.token is not None:
            headers["Authorization"] = f"Bearer {options.token.reveal()}"
        ask("POST", options.url, body=body, headers=headers, timeout=options.timeout_seconds, hide=self.hide)
        return Receipt()

    @classmethod
    def example(cls, url: str) -> dict[str, Any]:
        """Return options such as somebody would write."""
        return {"url": f"{url}/hooks/orakul", "secret": "env:WEBHOOK_SECRET"}


def signature(secret: str, key: str, moment: int, body: bytes) -> str:
    """Return the value of `webhook-signature`."""
    bare = secret.removeprefix("whsec_")
    try:
        raw = base64.b64decode(bare, validate=True) if bare != secret else secret.encode()
    except binascii.Error:
        raw = secret.encode()
    signed = hmac.digest(raw, f"{key}.{moment}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(signed).decode()
