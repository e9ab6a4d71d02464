"""Reading ahead: while the journal stores one batch, the next is read from the spool and made ready, beside it."""

import threading
from typing import TYPE_CHECKING, Any

from orakul.events import Event
from orakul.tasks.journal import Journal
from orakul.tasks.spool import Batch, Inbox

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ReadingAhead", "worth_shipping"]


def worth_shipping(events: list[Event]) -> list[Event]:
    """Leave out the kept messages of tasks that completed in the same batch: nobody can want to retry those."""
    completed = {event.task_id for event in events if event.event_type == "task.completed"}
    if not completed:
        return events
    return [event for event in events if event.event_type != "task.message" or event.task_id not in completed]


class ReadingAhead:
    """The next batch, read by a thread of its own; nobody else may touch the inbox until `end`."""

    def __init__(self, inbox: Inbox, journal: Journal | None) -> None:
        self._inbox = inbox
        self._prepare: Callable[[Sequence[Event]], Any] | None = getattr(journal, "prepare", None)
        self._found: Batch | None = None
        self._thread = threading.Thread(target=self._read, name="orakul-ahead", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            batch = self._inbox.batch(ahead=True)
            if batch is not None and self._prepare is not None:
                batch.ready = self._prepare(worth_shipping(batch.events))
        except Exception:  # noqa: BLE001 (whatever it is: read again in the usual way, it is met and told of there)
            return
        self._found = batch

    def end(self) -> Batch | None:
        """Wait until it is read, and return it; None where there is none yet."""
        self._thread.join()
        return self._found
