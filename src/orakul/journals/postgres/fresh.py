"""The short way into the journal: a batch whose tasks are all new is copied straight into the tables.

A storm is mostly that: thousands of tasks of which nothing is known yet. With nothing to merge, what the projection's
rule makes of the batch (see `batch`) is the tasks' rows, and COPY writes rows for half of what the general statement
takes. Lock, order of `seq`, counts and notifications are the same. Whether all are new is decided under the lock, and
the tables' keys keep their word: where anything is known, nothing was stored, and the general way is taken.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from hashlib import md5
from itertools import repeat
from struct import Struct
from typing import Any

import psycopg

from orakul.journals.postgres.arrays import (
    BigintArray,
    BooleanArray,
    Column,
    IntegerArray,
    JsonArray,
    SmallintArray,
    TextArray,
    TimeArray,
    fields,
    rows,
)
from orakul.journals.postgres.connection import SCHEMA
from orakul.tasks.projection import Draft

__all__ = ["Fresh", "store"]

_SEQ = Struct(">iq").pack
_FIRST_ERA = 1 << 44
_RUN = _FIRST_ERA - 1
_DIGITS = re.compile("[0-9]+")
_MICROSECONDS = 1_000_000

_EVENTS: dict[str, Column] = {
    "event_id": TextArray,
    "timestamp": TimeArray,
    "event_type": TextArray,
    "task_id": TextArray,
    "user_id": TextArray,
    "user_is_number": BooleanArray,
    "trace_id": TextArray,
    "source": TextArray,
    "data": JsonArray,
    "extra": JsonArray,
}
_LOGS: dict[str, Column] = {
    "event_id": TextArray,
    "timestamp": TimeArray,
    "task_id": TextArray,
    "attempt": IntegerArray,
    "level": TextArray,
    "logger": TextArray,
    "message": TextArray,
}
_TASKS: dict[str, Column] = {
    "task_id": TextArray,
    "created_at": TimeArray,
    "started_at": TimeArray,
    "finished_at": TimeArray,
    "updated_at": TimeArray,
    "eta": TimeArray,
    "era": BigintArray,
    "name_era": BigintArray,
    "queue_era": BigintArray,
    "worker_era": BigintArray,
    "progress_era": BigintArray,
    "progress_at": TimeArray,
    "priority": IntegerArray,
    "rank": SmallintArray,
    "event_id": TextArray,
    "status": TextArray,
    "kind": TextArray,
    "name": TextArray,
    "user_id": TextArray,
    "queue": TextArray,
    "worker": TextArray,
    "parent_id": TextArray,
    "root_id": TextArray,
    "group_id": TextArray,
    "trace_id": TextArray,
    "outcome": TextArray,
    "error_type": TextArray,
    "error_message": TextArray,
    "error_place": TextArray,
    "error_traceback": TextArray,
    "progress_event": TextArray,
    "progress": JsonArray,
    "arguments": JsonArray,
    "result": JsonArray,
    "run": BigintArray,
    "attempt": IntegerArray,
    "error_key": BigintArray,
}
_COUNTED = ("created_at", "started_at", "finished_at", "eta", "task_id", "kind", "name", "queue", "status")

_BEGIN = f"SELECT {SCHEMA}.begin_fresh(%b, %s)"
_END = f"SELECT {SCHEMA}.end_fresh(%s, %s, %s, %s, {', '.join(['%b'] * 8)}, %s::jsonb)"


class _Copy:
    """Rows ready to be copied into a table, of the columns that say anything."""

    def __init__(self, table: str, columns: dict[str, list[Any]], kinds: dict[str, Column]) -> None:
        said = {name: values for name, values in columns.items() if values.count(None) < len(values)}
        self.count = len(next(iter(columns.values())))
        self.columns = [fields(kinds[name], values) for name, values in said.items()]
        self.statement = f"COPY {SCHEMA}.{table} ({{}}{', '.join(said)}) FROM STDIN (FORMAT binary)"

    def write(self, cursor: psycopg.Cursor, first: int | None = None) -> None:
        """Copy them; where `first` is given, each with the next number from it on as its `seq`."""
        columns, names = self.columns, ""
        if first is not None:
            columns, names = [[_SEQ(8, seq) for seq in range(first, first + self.count)], *columns], "seq, "
        with cursor.copy(self.statement.format(names)) as copy:
            copy.write(rows(columns))


class Fresh:
    """A batch made ready for the short way; the arguments are the parts of a `Batch`."""

    def __init__(
        self,
        events: Sequence[tuple[Any, ...]],
        logs: Sequence[tuple[Any, ...]],
        drafts: Sequence[Draft],
        rows_of_drafts: Sequence[tuple[Any, ...]],
        others: str | None,
    ) -> None:
        self.task_ids = TextArray(draft.task_id for draft in drafts)
        self.numbers = len(events) + len(logs)
        moments = [row[1] for row in (*events, *logs)]
        self.ends = (min(moments), max(moments))
        self.others = others
        self.notices = _notices(events)
        self.events = _Copy("events", _columns(_EVENTS, events), _EVENTS) if events else None
        self.logs = _Copy("logs", _columns(_LOGS, logs), _LOGS) if logs else None
        self.tasks: list[_Copy] = []
        self.minutes = _minutes(())
        if drafts:
            self._take_tasks(drafts, rows_of_drafts)

    def _take_tasks(self, drafts: Sequence[Draft], given: Sequence[tuple[Any, ...]]) -> None:
        columns = _columns(_TASKS, given)
        count = len(drafts)
        shown = [_shown_era(era, told) for era, told in zip(columns["era"], columns["progress_era"], strict=True)]
        columns["run"] = [era & _RUN for era in shown]
        columns["attempt"] = [era >> 44 for era in shown]
        columns["error_key"] = [_error_key(draft) for draft in drafts]
        columns["kind"] = [kind or "task" for kind in columns["kind"]]
        columns["name"] = [name or "" for name in columns["name"]]
        self.tasks.append(_Copy("tasks", columns, _TASKS))
        counted = {name: columns[name] for name in _COUNTED}
        counted["first"] = [era == _FIRST_ERA for era in columns["era"]]
        said = zip(columns["arguments"], columns["error_message"], strict=True)
        counted["says_more"] = [arguments is not None or error is not None for arguments, error in said]
        flags: dict[str, Column] = {"first": BooleanArray, "says_more": BooleanArray}
        self.tasks.append(_Copy("rollup_changes", counted, _TASKS | flags))
        ended = zip(*(columns[name] for name in ("status", "started_at", "finished_at", "user_id")), strict=True)
        self.minutes = _minutes(tuple(ended))
        assert count == self.tasks[0].count  # noqa: S101 (one row a draft)


def store(connection: psycopg.Connection, fresh: Fresh) -> int | None:
    """Store the batch in one transaction; return the last `seq`, or None, with nothing stored, where not all is new."""
    with connection.transaction(), connection.cursor() as cursor:
        found = cursor.execute(_BEGIN, (fresh.task_ids, fresh.numbers), binary=True).fetchone()
        base = found[0] if found else None
        if base is None:
            return None
        first = base + 1
        if fresh.events is not None:
            fresh.events.write(cursor, first)
            first += fresh.events.count
        if fresh.logs is not None:
            fresh.logs.write(cursor, first)
        for copy in fresh.tasks:
            copy.write(cursor)
        values = (base, fresh.numbers, *fresh.ends, *fresh.notices, *fresh.minutes, fresh.others)
        ended = cursor.execute(_END, values, binary=True).fetchone()
        return int(ended[0]) if ended else None


def _columns(kinds: dict[str, Column], given: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    return dict(zip(kinds, map(list, zip(*given, strict=True)), strict=False))


def _shown_era(era: int, progress_era: int | None) -> int:
    """Return the era that attempt and run are shown of, as the general statement does."""
    if era >= 0:
        return era
    return _FIRST_ERA if progress_era is None else progress_era


def _error_key(draft: Draft) -> int | None:
    """Return the group of a failure, as `orakul.error_key` does."""
    state = draft.state
    if state is None or state.status != "failed":
        return None
    if state.error_type is None and state.error_place is None:
        said = _DIGITS.sub("#", (state.error_message or "")[:200])
    else:
        said = f"{state.error_type or ''}\n{state.error_place or ''}"
    return int.from_bytes(md5(said.encode(), usedforsecurity=False).digest()[:8], "big", signed=True)


def _notices(events: Sequence[tuple[Any, ...]]) -> tuple[BigintArray, TextArray]:
    """Return what is notified, of the events that took a task from one status to another, with their places."""
    places, texts = [], []
    prior: dict[str, str] = {}
    for place, event in enumerate(events, 1):
        notice = event[13]
        if notice is not None and prior.get(event[3]) != event[12]:
            prior[event[3]] = event[12]
            places.append(place)
            texts.append(notice)
    return BigintArray(places), TextArray(texts)


def _minutes(ended: Sequence[tuple[str, datetime | None, datetime | None, str | None]]) -> tuple[Any, ...]:
    """Return the columns of `ended_by_minute` for these ends (status, start, end, owner)."""
    sums: defaultdict[tuple[str, datetime], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for status, started, finished, owner in ended:
        if finished is None or status not in ("completed", "failed"):
            continue
        minute = finished.replace(second=0, microsecond=0)
        took = 0 if started is None else max(0, round((finished - started).total_seconds() * _MICROSECONDS))
        for whose in ("",) if owner is None else ("", owner):
            counts = sums[whose, minute]
            counts[0] += status == "completed"
            counts[1] += status == "failed"
            counts[2] += started is not None
            counts[3] += took
    owners, minutes = zip(*sums, strict=True) if sums else ((), ())
    counted = list(zip(*sums.values(), strict=True)) if sums else list(repeat((), 4))
    return (TextArray(owners), TimeArray(minutes), *(BigintArray(column) for column in counted))
