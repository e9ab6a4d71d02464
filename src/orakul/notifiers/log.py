"""A line in the program's own log: for trying rules out, and for a house whose logs are watched."""

import logging
from collections.abc import Sequence
from typing import Any, ClassVar

from orakul.reactions.notifier import Message, Notifier, Options, Receipt

__all__ = ["LogNotifier", "LogOptions"]

_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING}


class LogOptions(Options, frozen=True, kw_only=True):
    """`logger` is the name of the log; `quiet` writes all as information."""

    logger: str = "orakul.messages"
    quiet: bool = False


class LogNotifier(Notifier):
    """Writes the message to a log, as one line."""

    kind = "log"
    Options: ClassVar[type[Options]] = LogOptions
    options: LogOptions

    def send(self, messages: Sequence[Message]) -> Receipt:
        """Write it, at a level as serious as it is."""
        message = messages[0]
        level = logging.INFO if self.options.quiet else _LEVELS.get(message.severity, logging.INFO)
        line = " ".join(f"{message.title}: {message.text}".removesuffix(": ").split())
        logging.getLogger(self.options.logger).log(level, "%s", line[:2_000])
        return Receipt(said="logged")

    @classmethod
    def example(cls, url: str) -> dict[str, Any]:
        """Return options such as somebody would write."""
        del url
        return {"logger": "house.messages"}
