"""The door: sign-in with a password, slowed down and bounded."""

import threading

from orakul.web.problems import ProblemError
from orakul.web.throttle import Throttle

__all__ = ["Doorkeeper"]


class Doorkeeper:
    """Slows sign-in down, by name and address and by address alone, and bounds how many are checked at once.

    A check of a password takes memory and time on purpose; more than a few at once would be the attack.
    """

    def __init__(self, *, checks_at_once: int = 2) -> None:
        self.by_pair = Throttle(free=4)
        self.by_address = Throttle(free=40)
        self.room = threading.BoundedSemaphore(checks_at_once)

    def admit(self, username: str, address: str) -> None:
        """Count a trial, or refuse it with how long to wait."""
        wait = max(self.by_address.attempt(address), 0.0) or self.by_pair.attempt(username.casefold(), address)
        if wait > 0:
            seconds = int(wait) + 1
            raise ProblemError(
                429,
                "too-many-failures",
                f"Too many sign-ins failed; try again in {seconds} s.",
                headers={"Retry-After": str(seconds)},
            )

    def welcome(self, username: str, address: str) -> None:
        """Forget the failures after a sign-in that was right."""
        self.by_pair.succeeded(username.casefold(), address)
        self.by_address.succeeded(address)
