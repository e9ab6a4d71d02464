"""When a failed delivery is tried again, and when it is not: the rules, each of which a consumer may replace."""

import random
from collections.abc import Callable

import msgspec

from orakul.errors import InvalidEventError, OrakulError

__all__ = ["DEFAULT_RETRIES", "Permanence", "PermanentError", "Retries", "RetryLaterError", "is_permanent"]

Permanence = Callable[[BaseException], bool]
"""A rule: whether an error will be the same however often the delivery is tried."""

_VALIDATION = frozenset(("ValidationError", "DataError"))


class PermanentError(OrakulError):
    """Raised by a handler: trying again will not help; the message goes to the dead letters at once."""


class RetryLaterError(OrakulError):
    """Raised by a handler that knows when trying again is worth it; counts as an attempt like any other failure."""

    def __init__(self, message: str, delay: float) -> None:
        super().__init__(message)
        self.delay = delay


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """How often a delivery is tried, and how long it waits in between.

    The second attempt comes after `first` seconds, each further one after `factor` times as long, never more than
    `longest`; `jitter` of the time is added or taken away at random, so that what failed together does not come back
    together. After `attempts` attempts in all the message is dead.
    """

    attempts: int = 5
    first: float = 1.0
    factor: float = 3.0
    longest: float = 600.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts counts the first try too: it is at least 1, not {self.attempts}")
        if self.first < 0 or self.factor < 1 or self.longest < 0 or not 0 <= self.jitter <= 1:
            raise ValueError("first and longest are seconds, factor is at least 1, jitter is from 0 to 1")

    def delay(self, attempt: int) -> float:
        """Return how long to wait after this attempt has failed."""
        longest = max(self.longest, self.first)
        exponent = min(attempt - 1, 64)  # beyond it every sensible factor has reached the longest
        plain = min(self.first * self.factor**exponent, longest)
        return plain * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 (not for secrets)


DEFAULT_RETRIES = Retries()


def is_permanent(error: BaseException) -> bool:
    """Return whether an error is permanent, by the rule that holds where a consumer has none of its own.

    A PermanentError is; so is data that does not fit (InvalidEventError, and what msgspec, pydantic, marshmallow or
    Django call a ValidationError). Everything else may be different next time.
    """
    if isinstance(error, PermanentError | InvalidEventError | msgspec.ValidationError):
        return True
    return any(kind.__name__ in _VALIDATION and kind.__module__ != "builtins" for kind in type(error).__mro__[:3])
