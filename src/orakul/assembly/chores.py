"""What is done again and again in the background of a control room."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from orakul.errors import OrakulError, UnavailableError

__all__ = ["Chore"]

log = logging.getLogger("orakul")


class Chore(threading.Thread):
    """Something done again and again in the background; its failures are told when they begin, change and end."""

    def __init__(self, what: str, do: Callable[[], Any], *, every: float, ready: threading.Event | None = None) -> None:
        super().__init__(name=f"orakul {what}", daemon=True)
        self.what = what
        self.trouble: str | None = None
        """What went wrong the last time, None where nothing did."""
        self.failure: Exception | None = None
        self._do = do
        self._every = every
        self._ready = ready
        self._end = threading.Event()

    def run(self) -> None:
        """Do it until asked to stop."""
        while self._ready is not None and not self._ready.wait(0.2):
            if self._end.is_set():
                return
        pause = 0.0
        while not self._end.wait(pause):
            try:
                answer = self._do()
            except Exception as error:  # noqa: BLE001 (a chore that fails is tried again)
                self.failure = error
                self._tell(error)
                pause = min(max(0.5, pause * 1.5), 15.0) if pause < self._every else self._every
                continue
            if self.trouble is not None:
                log.info("%s: works again", self.what)
            self.failure = None
            self.trouble, pause = None, answer if isinstance(answer, float) else self._every

    def _tell(self, error: Exception) -> None:
        saying = str(error) or type(error).__name__
        if saying != self.trouble:
            expected = isinstance(error, OrakulError)
            level = logging.WARNING if isinstance(error, UnavailableError) else logging.ERROR
            log.log(level, "%s: %s; trying again", self.what, saying, exc_info=None if expected else error)
        self.trouble = saying

    def ask_to_stop(self) -> None:
        """Let it end after what it is doing."""
        self._end.set()
