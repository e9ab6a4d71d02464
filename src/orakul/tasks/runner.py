"""Contract: a runner, what executes tasks and can be told to run again, cancel, pause (Celery is one)."""

from collections.abc import Sequence
from typing import Protocol

from orakul.tasks.orders import Cancellation
from orakul.tasks.reader import PausedQueue
from orakul.tasks.task import Task

__all__ = ["Runner"]


class Runner(Protocol):
    """Sends commands to where the work is. Each call answers within a few seconds or raises BrokerUnavailableError.

    What must hold whether or not anybody hears the call (cancellations, pauses) is kept in the journal before;
    these calls make it prompt.
    """

    kind: str
    """The kind of task it runs (`Task.kind`)."""

    def retry(self, task: Task, sealed: bytes) -> None:
        """Send the task's original message again, as attempt `task.attempt`.

        A runner with `keeps_messages = True` has the original itself, and may be given an empty one.
        """
        ...

    def cancel(self, task: Task, order: Cancellation) -> None:
        """Tell the workers: do not start it; if it runs, ask it to stop, and kill it after the grace period."""
        ...

    def pause(self, queue: str) -> None:
        """Tell the workers to stop taking from the queue; `*` is all queues."""
        ...

    def resume(self, queue: str) -> None:
        """Tell the workers to take from the queue again; `*` is all queues."""
        ...

    def repeat(self, pauses: Sequence[PausedQueue], cancellations: Sequence[Cancellation]) -> None:
        """Tell the workers all standing orders, for those that missed them; pauses not named are over."""
        ...
