"""The rule that makes a task from its events, in plain Python.

The journal carries the same rule out in SQL, one statement a batch; the tests hold the two together. Every
part of the rule is a maximum or a minimum, so neither order nor repetition of events can change the outcome:

- the *state* is the event with the greatest `(era, rank, timestamp, event_id)`; status, outcome, error, result,
  `updated_at` and, where the status is final, `finished_at` are that event's;
- `started_at` is the earliest `task.in_progress` of the state's era, or the earlier `started_at` that a report of its
  end says (so that one event may tell of a whole run); an era is `(attempt, run)`;
- name, queue and worker are those of the greatest era that says them (within an era the greatest text);
- `progress` is that of the greatest `(era, timestamp, event_id)` that says it;
- what never changes (kind, user, parent, root, group, priority, eta, arguments, trace) is the greatest value said:
  its sources agree;
- `created_at` is the earliest timestamp of all, of such a `started_at` too.

Events that report no status (`task.log`, commands) do not touch the row, except `task.progress`.

A task of which only progress was heard is in progress, below any report of a status. A text that says nothing (empty)
is not said. Texts and JSON are compared as they are stored (see `storable`), by code point.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from orakul.events import Event
from orakul.tasks.status import FINAL, Rank, Status, era, rank_of
from orakul.tasks.storable import json_text, key_text, long_text, short_text
from orakul.tasks.task import Task, TaskError

__all__ = ["PROGRESS", "Draft", "State", "attempt_and_run", "in_utc", "project", "start_told", "touches"]

PROGRESS = "task.progress"
_ENDS = frozenset(("task.completed", "task.failed", "task.cancelled"))
_MOST_ATTEMPTS = (1 << 18) - 1
_RUN_BITS = 44
_PRIORITIES = 1 << 31
_SILENT_ERA = -1
"""The era of a task of which only progress was heard: any report of a status outranks it."""

ARGUMENTS_BYTES = 65_536
RESULT_BYTES = 262_144
PROGRESS_BYTES = 16_384


class State(NamedTuple):
    """What a status event says, led by the key that decides which event speaks for the task."""

    era: int
    rank: int
    timestamp: datetime
    event_id: str
    status: str
    outcome: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    error_place: str | None = None
    error_traceback: str | None = None
    result: str | None = None

    @property
    def key(self) -> tuple[int, int, datetime, str]:
        """What decides between two states."""
        return self[:4]


def attempt_and_run(data: dict[str, Any]) -> tuple[int, int]:
    """Read `attempt` (1 where it is not said) and `run` (0) from an event's data, within what an era can hold."""
    attempt, run = data.get("attempt", 1), data.get("run", 0)
    return (
        max(1, min(attempt, _MOST_ATTEMPTS)) if type(attempt) is int else 1,
        max(0, min(run, (1 << _RUN_BITS) - 1)) if type(run) is int else 0,
    )


def touches(event: Event) -> bool:
    """Say whether the event touches the row of a task."""
    return event.task_id is not None and (event.event_type == PROGRESS or rank_of(event.event_type) is not None)


class Draft:
    """A task in the making: the events heard so far, folded by the rule. The journal merges drafts with rows."""

    __slots__ = (
        "arguments",
        "created_at",
        "eta",
        "group_id",
        "kind",
        "name",
        "name_era",
        "parent_id",
        "priority",
        "progress",
        "queue",
        "queue_era",
        "root_id",
        "started_at",
        "state",
        "task_id",
        "trace_id",
        "user_id",
        "worker",
        "worker_era",
    )

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        self.state: State | None = None
        self.started_at: datetime | None = None
        self.created_at: datetime | None = None
        self.progress: tuple[int, datetime, str, str] | None = None
        self.name: str | None = None
        self.queue: str | None = None
        self.worker: str | None = None
        self.name_era = self.queue_era = self.worker_era = -1
        self.kind: str | None = None
        self.user_id: str | None = None
        self.parent_id: str | None = None
        self.root_id: str | None = None
        self.group_id: str | None = None
        self.trace_id: str | None = None
        self.priority: int | None = None
        self.eta: datetime | None = None
        self.arguments: str | None = None

    def hear(self, event: Event) -> bool:
        """Fold one event in; say whether it now speaks for the task's state."""
        data = event.data
        moment = era(*attempt_and_run(data))
        event_id = key_text(event.event_id) or ""
        timestamp = event.timestamp
        started = start_told(event)
        first = timestamp if started is None else min(timestamp, started)
        if self.created_at is None or first < self.created_at:
            self.created_at = first
        self._hear_progress(data, moment, timestamp, event_id)
        self._hear_latest(data, moment)
        self._hear_constants(event)
        return self._hear_state(event, moment, event_id, started)

    def _hear_state(self, event: Event, moment: int, event_id: str, started: datetime | None) -> bool:
        stage = event.data.get("stage")
        reported = rank_of(event.event_type, stage if isinstance(stage, str) else None)
        if reported is None:
            moment, reported = _SILENT_ERA, (Status.IN_PROGRESS, Rank.PENDING)
        status, rank = reported
        timestamp = event.timestamp
        before = self.state
        if started is not None:
            first = before is None or moment > before.era
            if first or (moment == before.era and (self.started_at is None or started < self.started_at)):  # type: ignore[union-attr]  # first covers None
                self.started_at = started
        elif before is not None and moment > before.era:
            self.started_at = None
        if before is not None and (moment, rank, timestamp, event_id) <= before.key:
            return False
        self.state = _state_of(event, (moment, int(rank), timestamp, event_id), status)
        return True

    def _hear_progress(self, data: dict[str, Any], moment: int, timestamp: datetime, event_id: str) -> None:
        said = data.get("progress")
        if isinstance(said, dict) and (self.progress is None or (moment, timestamp, event_id) > self.progress[:3]):
            self.progress = (moment, timestamp, event_id, json_text(said, PROGRESS_BYTES))

    def _hear_latest(self, data: dict[str, Any], moment: int) -> None:
        said = short_text(data.get("name"))
        if said and (moment, said) > (self.name_era, self.name or ""):
            self.name_era, self.name = moment, said
        said = short_text(data.get("queue"))
        if said and (moment, said) > (self.queue_era, self.queue or ""):
            self.queue_era, self.queue = moment, said
        said = short_text(data.get("worker"))
        if said and (moment, said) > (self.worker_era, self.worker or ""):
            self.worker_era, self.worker = moment, said

    def _hear_constants(self, event: Event) -> None:
        data = event.data
        self.kind = _greater(self.kind, _kind(data))
        if event.user_id is not None:
            self.user_id = _greater(self.user_id, key_text(event.user_id))
        if event.trace_id is not None:
            self.trace_id = _greater(self.trace_id, short_text(event.trace_id))
        for field in ("parent_id", "root_id", "group_id"):
            said = data.get(field)
            if said is not None:
                setattr(self, field, _greater(getattr(self, field), key_text(said)))
        priority = data.get("priority")
        if type(priority) is int and -_PRIORITIES <= priority < _PRIORITIES:
            self.priority = priority if self.priority is None else max(self.priority, priority)
        if data.get("eta") is not None:
            self.eta = _later(self.eta, _moment(data["eta"]))
        if data.get("arguments") is not None:
            self.arguments = _greater(self.arguments, json_text(data["arguments"], ARGUMENTS_BYTES))

    def task(self) -> Task | None:
        """Return the task as the events heard so far tell it."""
        state, created = self.state, self.created_at
        if state is None or created is None:
            return None
        moment = state.era if state.era >= 0 or self.progress is None else self.progress[0]
        moment = moment if moment >= 0 else era(1, 0)
        status = Status(state.status)
        return Task(
            task_id=self.task_id,
            kind=self.kind or "task",
            name=self.name or "",
            status=status,
            outcome=state.outcome,
            user_id=self.user_id,
            parent_id=self.parent_id,
            root_id=self.root_id,
            group_id=self.group_id,
            queue=self.queue,
            worker=self.worker,
            attempt=moment >> _RUN_BITS,
            run=moment & ((1 << _RUN_BITS) - 1),
            priority=self.priority,
            eta=self.eta,
            created_at=created,
            started_at=self.started_at,
            finished_at=state.timestamp if status in FINAL else None,
            updated_at=state.timestamp,
            progress=None if self.progress is None else msgspec.json.decode(self.progress[3]),
            trace_id=self.trace_id,
            error=_error(state),
            arguments=None if self.arguments is None else msgspec.json.decode(self.arguments),
            result=None if state.result is None else msgspec.json.decode(state.result),
        )


def project(events: Iterable[Event]) -> Task | None:
    """Return the task that the events tell of (those of one task), or None where none of them touches its row."""
    draft: Draft | None = None
    for event in events:
        if event.task_id is None or not touches(event):
            continue
        if draft is None:
            draft = Draft(key_text(event.task_id) or "")
        draft.hear(in_utc(event))
    return draft.task() if draft else None


def start_told(event: Event) -> datetime | None:
    """Return when the event says that its run began: by being the start, or by what a report of the end says of it."""
    kind = event.event_type
    if kind == "task.in_progress":
        return event.timestamp
    said = event.data.get("started_at")
    return _moment(said) if said is not None and kind in _ENDS else None


def in_utc(event: Event) -> Event:
    """Return the event with its timestamp in UTC; a naive one reads as UTC."""
    timestamp = event.timestamp
    if timestamp.tzinfo is UTC:
        return event
    return msgspec.structs.replace(event, timestamp=_moment(timestamp) or timestamp.replace(tzinfo=UTC))


def _state_of(event: Event, key: tuple[int, int, datetime, str], status: Status) -> State:
    data = event.data
    said, result = data.get("error"), data.get("result")
    error: dict[str, Any] = said if isinstance(said, dict) else {} if said is None else {"message": said}
    return State(
        *key,
        status=status.value,
        outcome=short_text(data.get("outcome")),
        error_type=short_text(error.get("type")),
        error_message=long_text(error.get("message"), 10_000),
        error_place=short_text(error.get("place")),
        error_traceback=long_text(error.get("traceback"), 100_000),
        result=None if result is None else json_text(result, RESULT_BYTES),
    )


def _error(state: State) -> TaskError | None:
    if not (state.error_type or state.error_message or state.error_place or state.error_traceback):
        return None
    return TaskError(
        type=state.error_type or "",
        message=state.error_message or "",
        traceback=state.error_traceback,
        place=state.error_place,
    )


def _kind(data: dict[str, Any]) -> str | None:
    said = short_text(data.get("kind"))
    return None if said == "task" else said  # the word for a task of no special kind: as good as not said


def _greater(one: str | None, other: str | None) -> str | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other)


def _moment(said: Any) -> datetime | None:
    try:
        moment = said if isinstance(said, datetime) else datetime.fromisoformat(said)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
