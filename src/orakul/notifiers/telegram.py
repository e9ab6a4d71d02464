"""Telegram, by its Bot API: https://core.telegram.org/bots/api#sendmessage."""

from collections.abc import Sequence
from html import escape
from typing import Any, ClassVar

from orakul.notifiers.request import Answer, ask, failure
from orakul.reactions.notifier import Message, Notifier, Options, PassingError, Receipt
from orakul.reactions.secret import Secret

__all__ = ["TelegramNotifier", "TelegramOptions"]

_LONGEST = 4096  # characters, after the markup is taken away
_MARKS = {"error": "🔴", "warning": "🟠", "info": "🔵", "recovered": "🟢"}


class TelegramOptions(Options, frozen=True, kw_only=True):
    """`token` is the bot's, `chat_id` a chat's number or a channel's `@name`; `thread_id` a topic of a group."""

    token: Secret
    chat_id: str | int
    thread_id: int | None = None
    silent: bool = False
    url: str = "https://api.telegram.org"


class TelegramNotifier(Notifier):
    """Sends a message to a chat."""

    kind = "telegram"
    Options: ClassVar[type[Options]] = TelegramOptions
    options: TelegramOptions

    def send(self, messages: Sequence[Message]) -> Receipt:
        """Send it, formatted; cut where it is too long for Telegram."""
        options, message = self.options, messages[0]
        body: dict[str, Any] = {
            "chat_id": options.chat_id,
            "text": _html(message),
            "parse_mode": "HTML",
            "disable_notification": options.silent or message.severity == "info",
            "link_preview_options": {"is_disabled": True},
        }
        if options.thread_id is not None:
            body["message_thread_id"] = options.thread_id
        address = f"{options.url.rstrip('/')}/bot{options.token.reveal()}/sendMessage"
        answer = ask("POST", address, json=body, timeout=options.timeout_seconds, hide=self.hide, accept=(429,))
        if answer.status == 429:  # noqa: PLR2004 (too many requests)
            raise self._too_many(answer)
        result = (answer.json() or {}).get("result") or {}
        return Receipt(reference=str(result["message_id"]) if "message_id" in result else None)

    def _too_many(self, answer: Answer) -> Exception:
        found = answer.json()
        pause = found.get("parameters", {}).get("retry_after") if isinstance(found, dict) else None
        said = failure("Telegram", answer, self.hide)
        if isinstance(said, PassingError) and isinstance(pause, int | float):
            said.retry_after = float(pause)
        return said

    @classmethod
    def example(cls, url: str) -> dict[str, Any]:
        """Return options such as somebody would write."""
        return {"token": "env:TELEGRAM_TOKEN", "chat_id": "-1001234567890", "url": url}


def _html(message: Message) -> str:
    title = f"{_MARKS[message.severity]} {message.title}"[:_LONGEST]
    room = _LONGEST - len(title) - 2
    text = message.plain()
    if len(text) > room:
        text = text[: max(0, room - 1)] + "…"
    # Telegram counts UTF-16 units; a text near the limit made of emoji alone is cut by half to be sure.
    if _units(title) + _units(text) + 2 > _LONGEST:
        text = text[: max(0, (room - len(title)) // 2)] + "…"
    return f"<b>{escape(title, quote=False)}</b>" + (f"\n\n{escape(text, quote=False)}" if text else "")


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "replace")) // 2
