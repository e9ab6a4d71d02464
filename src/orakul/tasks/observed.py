"""A recorder that tells the installed observers as well, so that they hear of a program as they do of a worker."""

from collections.abc import Iterable
from typing import Any

from orakul.events import Event
from orakul.events.catalogue import Catalogue
from orakul.events.dispatcher import Dispatcher
from orakul.tasks.recorder import Recorder

__all__ = ["ObservedRecorder"]


class ObservedRecorder(Recorder):
    """Records first, then tells: each observer in its own queue, its errors logged, the recording untouched by both.

    What is recorded is of our own making and not checked against the catalogue.
    """

    def __init__(self, *given: Any, observers: Iterable[Any], **settings: Any) -> None:
        super().__init__(*given, **settings)
        self._dispatcher = Dispatcher(observers, catalogue=Catalogue())

    def record(self, event: Event) -> None:
        """Take the event, and tell the observers of it."""
        super().record(event)
        self._dispatcher.publish(event)

    observe = record

    def record_together(self, *events: Event) -> None:
        """Take several events, and tell the observers of each."""
        for event in events:
            self.record(event)

    def close(self, deadline: float = 5.0) -> None:
        """Let the observers finish, then ship what there is."""
        self._dispatcher.close(deadline)
        super().close(deadline)
