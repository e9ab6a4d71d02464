"""What the pages of the interface are shown with: lives of tasks, told to the journal as any source would tell them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from stacks import Stack

from orakul.events import Event
from orakul.journals.postgres import Connections, PostgresJournal

__all__ = ["filled", "journal_of", "life"]


@contextmanager
def journal_of(stack: Stack) -> Iterator[PostgresJournal]:
    """Open the journal that a served Orakul shows."""
    with Connections(stack.database_url) as connections:
        yield PostgresJournal(connections)


def life(
    task_id: str,
    end: str | None,
    begin: datetime,
    *,
    waited: float = 1,
    ran: float | None = 3,
    user: str = "7",
    **facts: Any,
) -> list[Event]:
    """Return the events of a task that came at `begin`, waited, ran and ended as `end`; None: it goes on.

    `ran` None: it has not been begun either. Further facts are of the first event, `error` of the last.
    """
    error = facts.pop("error", None)
    first = {"name": "office.task", "kind": "celery", "queue": "celery", "attempt": 1, **facts}
    told: list[tuple[str, float, dict[str, Any]]] = [("task.pending", 0, first)]
    if ran is not None:
        told.append(("task.in_progress", waited, {"attempt": 1, "worker": "w@test"}))
        if end is not None:
            told.append((f"task.{end}", waited + ran, {"attempt": 1, **({"error": error} if error else {})}))
    return [
        Event(event_type=kind, task_id=task_id, user_id=user, data=data, timestamp=begin + timedelta(seconds=after))
        for kind, after, data in told
    ]


def filled(journal: PostgresJournal) -> None:
    """Fill a journal with something for every page."""
    now = datetime.now(UTC)
    error = {"type": "ValueError", "message": "bad", "place": "shop.py:7 pay"}
    events = [
        *life("done", "completed", now - timedelta(minutes=9)),
        *life("broken", "failed", now - timedelta(minutes=8), error=error),
        *life("root", "completed", now - timedelta(minutes=7), name="office.split", root_id="root", ran=30),
        *life("part", None, now - timedelta(minutes=7), parent_id="root", root_id="root", name="office.part"),
        *life("late", None, now - timedelta(minutes=6), ran=None, queue="mail"),
        Event(event_type="queue.paused", user_id="1", data={"queue": "mail", "reason": "the post is closed"}),
        Event(event_type="task.cancel_requested", task_id="done", user_id="1", data={"attempt": 1, "reason": "late"}),
        Event(
            event_type="worker.online",
            data={"worker": "w@test", "kind": "celery", "pool": "prefork", "concurrency": 2, "queues": ["celery"]},
        ),
    ]
    journal.append(events)
