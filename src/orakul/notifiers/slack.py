"""Slack, by an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks."""

from collections.abc import Sequence
from typing import Any, ClassVar

from orakul.notifiers.request import ask
from orakul.reactions.notifier import Message, Notifier, Options, Receipt
from orakul.reactions.secret import Secret

__all__ = ["SlackNotifier", "SlackOptions"]

_MARKS = {"error": ":red_circle:", "warning": ":large_orange_circle:", "info": ":large_blue_circle:"}
_RECOVERED = ":large_green_circle:"
_LONGEST_TITLE, _LONGEST_TEXT, _FIELDS = 150, 2_900, 10


class SlackOptions(Options, frozen=True, kw_only=True):
    """`url` is the webhook's address, which is a secret: whoever has it can post."""

    url: Secret


class SlackNotifier(Notifier):
    """Posts a message to the webhook's channel."""

    kind = "slack"
    Options: ClassVar[type[Options]] = SlackOptions
    options: SlackOptions

    def send(self, messages: Sequence[Message]) -> Receipt:
        """Post it, as blocks, with a text for notifications."""
        message = messages[0]
        mark = _MARKS.get(message.severity, _RECOVERED)
        blocks: list[dict[str, Any]] = [_section(f"{mark} *{_escaped(message.title[:_LONGEST_TITLE])}*")]
        if message.text:
            blocks.append(_section(_cut(_escaped(message.text))))
        if message.fields:
            facts = list(message.fields.items())[:_FIELDS]
            fields = [
                {"type": "mrkdwn", "text": f"*{_escaped(name)}*\n{_escaped(value)}"[:2000]} for name, value in facts
            ]
            blocks.append({"type": "section", "fields": fields})
        if message.link:
            blocks.append(_section(f"<{message.link}>"))
        body = {"text": _escaped(message.title), "blocks": blocks}
        ask("POST", self.options.url.reveal(), json=body, timeout=self.options.timeout_seconds, hide=self.hide)
        return Receipt()

    @classmethod
    def example(cls, url: str) -> dict[str, Any]:
        """Return options such as somebody would write; the variable holds the webhook's address."""
        del url
        return {"url": "env:SLACK_URL"}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
