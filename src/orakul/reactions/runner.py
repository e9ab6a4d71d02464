"""The runner of deliveries: a retry or a cancellation is heard by the engine, from the journal."""

from collections.abc import Sequence

from orakul.reactions.occurrence import KIND
from orakul.settings import Settings
from orakul.tasks.orders import Cancellation, Fleet
from orakul.tasks.reader import PausedQueue
from orakul.tasks.sealing import Sealer
from orakul.tasks.task import Task

__all__ = ["ReactionRunner", "runner"]


class ReactionRunner:
    """Fulfils `tasks.Runner`. There is nobody to tell: who reads the feed for reactions reads the commands too."""

    kind = KIND
    keeps_messages = True  # what is to be told is in the deliveries of the engine

    def retry(self, task: Task, sealed: bytes) -> None:
        """Nothing: the engine hears `task.retry_requested`."""

    def cancel(self, task: Task, order: Cancellation) -> None:
        """Nothing: the engine hears `task.cancelled`; one that is being sent is not called back."""

    def pause(self, queue: str) -> None:
        """Nothing: deliveries are in no queue of a fleet's."""

    def resume(self, queue: str) -> None:
        """Nothing, likewise."""

    def repeat(self, pauses: Sequence[PausedQueue], cancellations: Sequence[Cancellation]) -> None:
        """Nothing."""


def runner(settings: Settings, sealer: Sealer, fleet: Fleet) -> ReactionRunner:
    """Return it; it is always set up."""
    del settings, sealer, fleet
    return ReactionRunner()
