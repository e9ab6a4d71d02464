"""Whether everything answers, and if not, since when."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from orakul.errors import OrakulError

__all__ = ["Readiness", "Trouble"]

_GOOD_FOR = 1.0


class Trouble:
    """One thing that does not answer, since when, and what it said."""

    def __init__(self, name: str, since: datetime, said: str) -> None:
        self.name = name
        self.since = since
        self.said = said


class Readiness:
    """Asks the probes, at most once a second however often it is asked itself."""

    def __init__(self, probes: Mapping[str, Callable[[], object]]) -> None:
        self._probes = dict(probes)
        self._troubles: dict[str, Trouble] = {}
        self._asked_at = float("-inf")
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Return what is asked."""
        return tuple(self._probes)

    def troubles(self) -> list[Trouble]:
        """Return what does not answer now."""
        # While one asks, the others take the last answer: a probe that hangs must not hold all threads.
        first = self._asked_at == float("-inf")
        if self._lock.acquire(blocking=first):
            try:
                if time.monotonic() - self._asked_at >= _GOOD_FOR:
                    for name, probe in self._probes.items():
                        self._ask(name, probe)
                    self._asked_at = time.monotonic()
            finally:
                self._lock.release()
        return list(self._troubles.values())

    def _ask(self, name: str, probe: Callable[[], object]) -> None:
        try:
            probe()
        except OrakulError as error:
            said = str(error)
        except Exception as error:  # noqa: BLE001 (whatever a probe raises means that it does not answer)
            said = type(error).__name__
        else:
            self._troubles.pop(name, None)
            return
        since = self._troubles[name].since if name in self._troubles else datetime.now(UTC)
        self._troubles[name] = Trouble(name, since, said)
