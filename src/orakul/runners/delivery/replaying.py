"""Replaying dead letters, many at once: one visit to each consumer's dead letters, one entry in the journal."""

from collections import defaultdict
from collections.abc import Sequence

from orakul.delivery.room import DeadTask
from orakul.events import Event
from orakul.runners.delivery.control import DeliveryRunner
from orakul.tasks.journal import Journal

__all__ = ["BulkReplay"]

SOURCE = "control"


class BulkReplay:
    """Fulfils `delivery.room.Replayer`."""

    runs_on = DeliveryRunner

    def __init__(self, runner: DeliveryRunner, journal: Journal) -> None:
        self._runner = runner
        self._journal = journal

    def replay(self, letters: Sequence[DeadTask], author: str, reason: str | None = None) -> list[str]:
        """Replay them; return the task ids of those that were there. Each is a command of its author in the journal."""
        by_consumer: dict[str, list[DeadTask]] = defaultdict(list)
        for letter in letters:
            by_consumer[letter.consumer].append(letter)
        done: list[str] = []
        for consumer, theirs in sorted(by_consumer.items()):
            # As `Control.retry` has it: the wish first, so that it is known whatever becomes of it.
            self._journal.append([self._event(each, "task.retry_requested", author, reason) for each in theirs])
            ids = {each.task_id.partition(":")[2]: each for each in theirs}
            replayed = [ids[found] for found in self._runner.replay(consumer, list(ids)) if found in ids]
            told = [
                self._event(each, event_type, author, reason)
                for each in replayed
                for event_type in ("task.pending", "task.retry_sent")
            ]
            told += [self._gone(each, author) for each in theirs if each not in replayed]
            self._journal.append(told)
            done += [each.task_id for each in replayed]
        return done

    @staticmethod
    def _event(letter: DeadTask, event_type: str, author: str, reason: str | None) -> Event:
        data = {"attempt": letter.attempt + 1, "author": author} | ({"reason": reason} if reason else {})
        if event_type == "task.pending":
            data |= {"kind": "delivery", "run": 0}
        owner = letter.user_id if event_type == "task.pending" else author
        return Event(event_type=event_type, task_id=letter.task_id, user_id=owner, data=data, source=SOURCE)

    @staticmethod
    def _gone(letter: DeadTask, author: str) -> Event:
        """Say that the message is not among the dead letters any more; the task stays failed, and is not listed."""
        error = {"type": "Gone", "message": "the message is no longer among the dead letters of its consumer"}
        data = {"attempt": letter.attempt + 1, "run": 0, "stage": "before_start", "author": author, "error": error}
        return Event(event_type="task.failed", task_id=letter.task_id, user_id=letter.user_id, data=data, source=SOURCE)
