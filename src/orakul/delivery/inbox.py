"""Contract: the inbox, which makes a handler's effects in a database happen exactly once.

The row that says "this consumer has seen this event" is written in the same transaction as the effects, and the
message is acknowledged after its commit. Killed before the commit: neither is there, and the message comes again.
Killed after it: both are there, and the message that comes again finds the row. Rows are kept longer than a message can
stay on its way (`keep_days`).
"""

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol

from orakul import extensions
from orakul.errors import SettingsError, UnavailableError

__all__ = ["Inbox", "InboxUnavailableError", "open_inbox"]


class InboxUnavailableError(UnavailableError):
    """The inbox's database is away: the delivery waits for it, which counts as no attempt."""


class Inbox(Protocol):
    """Opens transactions, in the thread of a handler or in the event loop."""

    def enter(self, consumer: str, event_id: str) -> AbstractContextManager[Any]:
        """Open a transaction with the inbox's row in it; yield its connection, None where the row was there.

        It commits at the end of the block, and rolls back where the block raises.
        """
        ...

    def enter_async(self, consumer: str, event_id: str) -> AbstractAsyncContextManager[Any]:
        """Do the same for a coroutine."""
        ...

    def prepare(self) -> None:
        """Make the inbox's table where it is missing, and forget rows of long ago."""
        ...

    def close(self) -> None:
        """Leave the database."""
        ...


def open_inbox(library: str, target: Any) -> Inbox:
    """Return the inbox for handlers that use this library (`psycopg`, `sqlalchemy`) on a URL, an engine or the like."""
    known = extensions.names("orakul.inboxes")
    if library not in known:
        raise SettingsError(f"no inbox is known for connections of {library}; there is: {', '.join(known)}")
    made: Inbox = extensions.load("orakul.inboxes", library)(target)
    return made
