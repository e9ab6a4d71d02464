"""A task's history from its events: the changes of status that count, what each status lasted, and the commands."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from orakul.tasks.journal import StoredEvent
from orakul.tasks.projection import attempt_and_run, in_utc, start_told
from orakul.tasks.reader import Change
from orakul.tasks.status import EVENT_RANKS, FINAL, Rank, Status, era, rank_of
from orakul.tasks.storable import key_text, long_text, short_text
from orakul.tasks.task import TaskError

__all__ = ["HISTORY_TYPES", "changes"]

_COMMANDS = ("task.retry_requested", "task.cancel_requested", "task.run_requested")
HISTORY_TYPES = (*EVENT_RANKS, *_COMMANDS)
_CONCLUDED = (Rank.ENDED_BEFORE_START, Rank.LOST)


class _Report(NamedTuple):
    era: int
    rank: int
    timestamp: datetime
    event_id: str
    status: Status
    stored: StoredEvent


def changes(events: Sequence[StoredEvent]) -> list[Change]:
    """Return the history that these events tell, oldest first.

    Reports are put in the order of the projection's rule, not of their arrival or clocks; of several reports of one
    status in one run, and of several ends of one run, one is left.
    """
    found: list[Change] = []
    previous: _Report | None = None
    for report in _effective(sorted(_reports(events), key=lambda report: report[:4])):
        found.append(_change(report, previous))
        previous = report
    commands = [_command(stored) for stored in events if stored.event.event_type in _COMMANDS]
    for command in sorted(commands, key=lambda command: (command.timestamp, command.seq)):
        found.insert(_place(found, command), command)
    return found


def _reports(events: Sequence[StoredEvent]) -> list[_Report]:
    reports = []
    for stored in events:
        event = stored.event
        stage = event.data.get("stage")
        reported = rank_of(event.event_type, stage if isinstance(stage, str) else None)
        if reported is not None:
            status, rank = reported
            moment = era(*attempt_and_run(event.data))
            reports.append(_Report(moment, rank, event.timestamp, event.event_id, status, stored))
            started = start_told(in_utc(event)) if status in FINAL else None
            if started is not None:  # an end that tells of its run's start as well
                begun = Status.IN_PROGRESS
                reports.append(_Report(moment, Rank.IN_PROGRESS, started, event.event_id, begun, stored))
    return reports


def _effective(reports: Sequence[_Report]) -> list[_Report]:
    kept: list[_Report] = []
    for report in reports:
        last = kept[-1] if kept else None
        if last is None or last.era != report.era:
            kept.append(report)
        elif last.status in FINAL and report.status in FINAL and last.rank not in _CONCLUDED:
            kept[-1] = report  # two ends of one run: the one that the task's row shows
        elif last.rank == report.rank:
            if report.status in FINAL:
                kept[-1] = report
        else:
            kept.append(report)
    return kept


def _change(report: _Report, previous: _Report | None) -> Change:
    event, data = report.stored.event, report.stored.event.data
    attempt, run = attempt_and_run(data)
    lasted = None if previous is None else (report.timestamp - previous.timestamp).total_seconds() * 1000
    return Change(
        seq=report.stored.seq,
        event_type=f"task.{report.status}",
        status=report.status,
        previous=None if previous is None else previous.status,
        attempt=attempt,
        run=run,
        timestamp=report.timestamp,
        duration_ms=None if lasted is None else round(max(lasted, 0.0), 3),  # clocks of two machines may disagree
        worker=short_text(data.get("worker")),
        author=short_text(data.get("author")),
        reason=long_text(data.get("reason"), 1_000),
        origin=key_text(data.get("origin")),
        error=_error(data.get("error")) if event.event_type == f"task.{report.status}" else None,
    )


def _command(stored: StoredEvent) -> Change:
    event = stored.event
    attempt, run = attempt_and_run(event.data)
    return Change(
        seq=stored.seq,
        event_type=event.event_type,
        status=None,
        previous=None,
        attempt=attempt,
        run=run,
        timestamp=event.timestamp,
        duration_ms=None,
        author=key_text(event.user_id),
        reason=long_text(event.data.get("reason"), 1_000),
        made=key_text(event.data.get("task")),
    )


def _place(found: Sequence[Change], command: Change) -> int:
    """Return where the command belongs: before the first change of its attempt or later that came after it."""
    for place, change in enumerate(found):
        if change.status is not None and change.attempt >= command.attempt and change.timestamp >= command.timestamp:
            return place
    return len(found)


def _error(said: Any) -> TaskError | None:
    if said is None or said == {}:
        return None
    if not isinstance(said, dict):
        return TaskError(message=long_text(said, 10_000) or "")
    return TaskError(
        type=short_text(said.get("type")) or "",
        message=long_text(said.get("message"), 10_000) or "",
        place=short_text(said.get("place")),
    )
