"""Contract: a channel, where pipelines report."""

from collections.abc import Iterator, Sequence
from typing import Protocol

__all__ = ["Channel"]


class Channel(Protocol):
    """What is told of pipelines, as it comes, and the last word on each, as long as that is kept.

    Each call raises UnavailableError where the other side does not answer; the next call tries anew.
    """

    shown: str
    """Where it is, for people, without a password."""

    def listen(self) -> None:
        """Begin to hear, or begin again; what was said before is not heard, only kept (`states`)."""
        ...

    def heard(self, seconds: float) -> Sequence[tuple[str, bytes]]:
        """Wait so long at most; return what was told since the last call, as (channel, message), in order."""
        ...

    def states(self) -> Iterator[tuple[str, bytes]]:
        """Return the last word kept on each result, as (key, message); goes beside `heard`, in another thread."""
        ...

    def close(self) -> None:
        """Stop hearing."""
        ...
