"""Contract: a notifier, what brings a message to people or systems (Telegram is one).

A new one is a file in `notifiers/` (or in your own package) and one line in the entry-point group `orakul.notifiers`:
the contract suite then tests it unasked.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

import msgspec

from orakul.errors import OrakulError
from orakul.events import utc_now
from orakul.reactions.secret import Secret

__all__ = ["Message", "Notifier", "NotifierError", "Options", "PassingError", "PermanentError", "Receipt", "Severity"]

Severity = Literal["info", "warning", "error", "recovered"]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be told.

    `key` is the message's own id: one that is delivered again carries the same, so that receivers can know it. `group`
    is what belongs together (one error group): the same for each message about it. `count` is how many events it
    stands for, `fields` are facts by name, in the order to be shown; `event` is the event that set it off, whole, for
    systems rather than people.
    """

    key: str
    title: str
    text: str = ""
    severity: Severity = "info"
    link: str | None = None
    group: str = ""
    count: int = 1
    fields: Mapping[str, str] = msgspec.field(default_factory=dict)
    event: Mapping[str, Any] = msgspec.field(default_factory=dict)
    at: datetime = msgspec.field(default_factory=utc_now)

    def plain(self) -> str:
        """Return text, fields and link as plain text, below each other."""
        facts = "\n".join(f"{name}: {value}" for name, value in self.fields.items())
        return "\n\n".join(part for part in (self.text, facts, self.link) if part)


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: `said` in words for people, `reference` as the other side calls it (an issue's key, a run)."""

    said: str = "delivered"
    reference: str | None = None


class NotifierError(OrakulError):
    """A message could not be delivered. Its text holds no secret."""


class PermanentError(NotifierError):
    """Trying again will not help: a wrong address, a wrong token, a message that is not accepted."""


class PassingError(NotifierError):
    """Trying again may help. `retry_after` is how many seconds the other side asks to be left alone, where it says."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a notifier can be told in the settings; a subclass each. Fields of type `Secret` are named, not written."""

    timeout_seconds: float = 10.0


class Notifier(ABC):
    """Delivers messages. Called from one thread at a time; each call ends within a few times its time-out.

    `batch` is how many messages it takes at once: above 1 they come together, and all of them fail or none. `apart`
    says that each group of errors is to have a message of its own, where others like several in one (a letter).
    """

    kind: ClassVar[str]
    Options: ClassVar[type[Options]] = Options
    batch: ClassVar[int] = 1
    apart: ClassVar[bool] = False

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def send(self, messages: Sequence[Message]) -> Receipt:
        """Deliver the messages (one, unless `batch` is above 1), or raise PermanentError or PassingError."""

    @classmethod
    @abstractmethod
    def example(cls, url: str) -> dict[str, Any]:
        """Return options such as somebody would write, with the other side at `url`: for the page, docs and tests."""

    def hide(self, text: str) -> str:
        """Return the text without any secret of the options in it."""
        for name in self.options.__struct_fields__:
            value = getattr(self.options, name)
            for each in value if isinstance(value, list | tuple) else (value,):
                if isinstance(each, Secret):
                    text = each.hide(text)
        return text

    def close(self) -> None:  # noqa: B027 (most have nothing to close)
        """Let go of what is held."""
