"""The door: sign-in with a password, slowed down and bounded."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from orakul.errors import UnavailableError
from orakul.web.problems import ProblemError
from orakul.web.throttle import Throttle

__all__ = ["Doorkeeper", "Trial"]

_PATIENCE = 5.0


class Doorkeeper:
    """Slows sign-in down, by name and address and by address alone, and bounds how many are checked at once.

    A check of a password takes memory and time on purpose; more than a few at once would be the attack.
    """

    def __init__(self, *, checks_at_once: int = 2) -> None:
        self.by_pair = Throttle(free=4)
        self.by_address = Throttle(free=40)
        self.room = threading.BoundedSemaphore(checks_at_once)

    @contextmanager
    def trial(self, username: str, address: str) -> Iterator["Trial"]:
        """Let a trial be made, or refuse it with how long to wait. It has failed unless it says that it succeeded."""
        pair = (username.casefold(), address)
        wait = self.by_address.attempt(address)
        if wait == 0:
            wait = self.by_pair.attempt(*pair)
            if wait > 0:
                self.by_address.forgive(address)
        if wait > 0:
            raise _refusal(429, "too-many-failures", "Too many sign-ins failed", int(wait) + 1)
        if not self.room.acquire(timeout=_PATIENCE):
            raise _refusal(503, "busy", "Too many sign-ins at once", 5)
        trial = Trial()
        try:
            yield trial
        except UnavailableError:
            trial.succeeded = True  # it was not the user's fault
            raise
        finally:
            self.room.release()
            if trial.succeeded:
                self.by_pair.succeeded(*pair)
                self.by_address.forgive(address)


class Trial:
    """One trial to sign in."""

    def __init__(self) -> None:
        self.succeeded = False


def _refusal(status: int, kind: str, said: str, seconds: int) -> ProblemError:
    headers = {"Retry-After": str(seconds)}
    return ProblemError(status, kind, f"{said}; try again in {seconds} s.", headers=headers)
