"""Who hears what: decided here, on the owner of the row, for live frames and for replayed ones alike."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import msgspec

from orakul.web.stream.frames import Framed

if TYPE_CHECKING:
    from orakul.web.stream.connection import Connection

__all__ = ["ALL", "Audience", "Audiences", "Subscription", "Viewer", "readers"]

ALL = "*"
"""The key of those who see everything. An owner's key begins with `=`, so no name of a user can equal it."""

KINDS = frozenset({"task", "log", "event", "metrics"})


class Viewer(Protocol):
    """Who is signed in."""

    @property
    def user_id(self) -> str:
        """The id that tasks carry as their owner."""
        ...

    @property
    def role(self) -> str:
        """`admin` and `viewer` see everything; anybody else sees their own."""
        ...


class Subscription(msgspec.Struct, frozen=True):
    """What a connection is to hear: on whose behalf, and how much of that it wants."""

    key: str
    only: frozenset[str] = KINDS
    task_id: str | None = None

    @property
    def owner(self) -> str | None:
        """The owner whose tasks these are; None for those who see everything."""
        return None if self.key == ALL else self.key[1:]

    @classmethod
    def of(cls, viewer: Viewer, *, only: frozenset[str] = KINDS, task_id: str | None = None) -> "Subscription":
        """Return the subscription of a viewer. Whoever is not known to see all sees their own only."""
        key = ALL if viewer.role in {"admin", "viewer"} else f"={viewer.user_id}"
        return cls(key, only, task_id)

    def hears(self, framed: Framed) -> bool:
        """Say whether the frame is for this subscription: the same rule as the index of `Audiences`."""
        return (
            framed.kind in self.only
            and (self.task_id is None or self.task_id == framed.task_id)
            and self.key in readers(framed)
        )


def readers(framed: Framed) -> tuple[str, ...]:
    """Return the keys of those who may see a frame.

    Events that are no task's are for the all-seeing only; so is a task whose owner is not known (yet).
    """
    if framed.owner and framed.kind != "event":
        return (ALL, f"={framed.owner}")
    return (ALL,)


class Audience:
    """The connections that hear exactly the same."""

    __slots__ = ("connections", "pending", "subscription")

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.connections: set[Connection] = set()
        self.pending: list[bytes] = []


class Audiences:
    """The index from owner (and task, where one asks for a single task) to audiences: no event scans them all."""

    def __init__(self) -> None:
        self._index: dict[tuple[str, str | None], dict[frozenset[str], Audience]] = {}
        self._keyed: dict[str, set[str | None]] = {}

    def __iter__(self) -> Iterator[Audience]:
        for group in self._index.values():
            yield from group.values()

    def join(self, connection: "Connection") -> None:
        """Let a connection hear what comes from now on."""
        wanted = connection.subscription
        group = self._index.setdefault((wanted.key, wanted.task_id), {})
        self._keyed.setdefault(wanted.key, set()).add(wanted.task_id)
        audience = group.get(wanted.only)
        if audience is None:
            audience = group[wanted.only] = Audience(wanted)
        audience.connections.add(connection)

    def leave(self, connection: "Connection") -> bool:
        """Let a connection go; return False for one that never joined."""
        wanted = connection.subscription
        group = self._index.get((wanted.key, wanted.task_id), {})
        audience = group.get(wanted.only)
        if audience is None or connection not in audience.connections:
            return False
        audience.connections.remove(connection)
        if not audience.connections:
            del group[wanted.only]
            if not group:
                del self._index[wanted.key, wanted.task_id]
                keyed = self._keyed[wanted.key]
                keyed.discard(wanted.task_id)
                if not keyed:
                    del self._keyed[wanted.key]
        return True

    def of(self, key: str) -> Iterator[Audience]:
        """Return the audiences of one key, whatever they filter."""
        for task_id in self._keyed.get(key, ()):
            yield from self._index[key, task_id].values()

    def hearing(self, framed: Framed) -> Iterator[Audience]:
        """Return the audiences of a frame."""
        tasks = (None,) if framed.task_id is None else (None, framed.task_id)
        for key in readers(framed):
            for task_id in tasks:
                group = self._index.get((key, task_id))
                if group:
                    for only, audience in group.items():
                        if framed.kind in only:
                            yield audience
