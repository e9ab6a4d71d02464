"""The journal's one door in: a batch of events, one transaction, one round trip (design §6)."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import NamedTuple

import psycopg

from orakul.errors import TaskNotFoundError
from orakul.events import Event
from orakul.instruments import COUNTS, counter, histogram, span
from orakul.journals.postgres.batch import Batch
from orakul.journals.postgres.connection import SCHEMA, Connections
from orakul.journals.postgres.fresh import Fresh, store
from orakul.journals.postgres.rows import TASK_COLUMNS, task_from
from orakul.tasks.storable import json_text, key_text, short_text
from orakul.tasks.task import Task

__all__ = ["PostgresJournal"]

_log = logging.getLogger("orakul.journal")

_EVENTS = counter("orakul_journal_events_total", "Events that this process gave to the journal.")
_SIZES = histogram("orakul_journal_batch_events", "How many events were appended together.", COUNTS)
_TOOK = histogram("orakul_journal_append_seconds", "Time to append a batch, the wait for the journal's lock included.")
_WAITED = histogram("orakul_journal_lock_seconds", "Time that commands waited for the journal's lock.")
_REFUSED = counter("orakul_journal_refused_total", "Events that PostgreSQL refused; stored in a reduced form.")
_BATCH_BYTES = 64 * 1_048_576
_REJECTED_BYTES = 16 * 1_048_576
_PARAMETERS = 56
_APPEND = f"SELECT {SCHEMA}.append({', '.join(['%b'] * (_PARAMETERS - 1))}, %s::jsonb)"
_LOCK = f"SELECT pg_advisory_xact_lock({SCHEMA}.lock_key())"
_TASK = f"SELECT {TASK_COLUMNS} FROM {SCHEMA}.tasks WHERE task_id = %s"  # noqa: S608 (constants)
_KEPT_WHEN_REDUCED = ("attempt", "run", "stage", "kind", "name", "queue", "worker", "parent_id", "root_id")


class Prepared(NamedTuple):
    """A batch of which nothing is left to do but to store it."""

    events: Sequence[Event]
    batch: Batch
    fresh: Fresh | None
    large: bool


class PostgresJournal:
    """Fulfils `tasks.Journal`: stores events once each, in one order, and projects them."""

    def __init__(self, connections: Connections | str) -> None:
        self.connections = Connections(connections) if isinstance(connections, str) else connections
        self._prepared_day: date | None = None

    def append(self, events: Sequence[Event]) -> int:
        """Store the events and project them in one transaction; return the last `seq` given, 0 if none was new.

        Some sixty megabytes at a time: a larger batch is stored in parts. Where PostgreSQL refuses the batch for what
        is in it, the events that are to blame are found by halving and stored in a reduced form, the original kept in
        `rejected_events`; the others are stored as they are.
        """
        if not events:
            return 0
        return self.store(self.prepare(events))

    def prepare(self, events: Sequence[Event]) -> Prepared:
        """Do all of an append that needs no database: so that it can be done while another batch is being stored."""
        batch = Batch(events)
        large = batch.size > _BATCH_BYTES and len(events) > 1  # what PostgreSQL takes in one statement has a limit
        return Prepared(events, batch, batch.fresh() if batch.looks_fresh and not large else None, large)

    def store(self, prepared: Prepared) -> int:
        """Do the rest: as `append`."""
        events = prepared.events
        self._prepare_day()
        if prepared.large:
            half = len(events) // 2
            return max(self.append(events[:half]), self.append(events[half:]))
        try:
            with span("orakul.journal.append", events=len(events)), _TOOK.time():
                given = self._store_fresh(prepared.fresh) if prepared.fresh is not None else None
                if given is None:
                    parameters = prepared.batch.parameters()
                    given = self.connections.run("write", partial(_call, parameters=parameters))
        except psycopg.Error as error:
            _log.warning("PostgreSQL refuses a batch of %d events, storing it in parts: %s", len(events), error)
            return self._append_in_parts(events, error)
        _EVENTS.add(len(events))
        _SIZES.observe(len(events))
        return given

    def _store_fresh(self, fresh: Fresh) -> int | None:
        """Take the short way; None, with nothing stored, where it is not to be taken."""
        try:
            return self.connections.run("write", partial(store, fresh=fresh))
        except psycopg.errors.UniqueViolation:
            return None  # an event that is there already: the general way passes it over
        except psycopg.Error as error:
            _log.info("PostgreSQL refuses rows of a batch, storing it the general way: %s", error)
            return None

    def transition(self, task_id: str, decide: Callable[[Task], Sequence[Event]], *, owner: str | None = None) -> Task:
        """Let `decide` see the task as it now is, append what it returns, and return the task after that.

        The journal's lock is held meanwhile: `decide` only decides, and does nothing that takes long.
        """
        key = key_text(task_id)

        def look(connection: psycopg.Connection) -> Task:
            row = connection.execute(_TASK, (key,)).fetchone()
            task = task_from(row, whole=True) if row else None
            if task is None or (owner is not None and task.user_id != owner):
                raise TaskNotFoundError(f"there is no task {task_id}")
            return task

        def work(connection: psycopg.Connection) -> Task:
            with connection.transaction():
                with _WAITED.time():
                    connection.execute(_LOCK)
                events = decide(look(connection))
                if events:
                    _call(connection, Batch(events).parameters())
                return look(connection)

        self._prepare_day()
        return self.connections.run("write", work, again=False)

    def maintain(self) -> int:
        """Make the partitions of the coming days and clear what is out of date; return how many were made."""
        return self.connections.run("write", _maintain)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self.connections.close()

    def _prepare_day(self) -> None:
        # Once a day and process: a journal that nobody maintains still gets its partitions.
        today = datetime.now(UTC).date()
        if self._prepared_day == today:
            return
        part = f"{SCHEMA}.events_{today:%Y%m%d}"

        def prepare(connection: psycopg.Connection) -> None:
            row = connection.execute("SELECT to_regclass(%s) IS NULL", (part,)).fetchone()
            if row and row[0]:
                try:
                    _maintain(connection)
                except psycopg.Error as error:  # the default partition takes them until it succeeds
                    _log.warning("Cannot make today's partitions, will try again tomorrow: %s", error)

        self.connections.run("write", prepare)
        self._prepared_day = today

    def _append_in_parts(self, events: Sequence[Event], error: psycopg.Error) -> int:
        if len(events) == 1:
            return self._append_reduced(events[0], error)
        last = 0
        half = len(events) // 2
        for part in (events[:half], events[half:]):
            parameters = Batch(part).parameters()
            try:
                given = self.connections.run("write", partial(_call, parameters=parameters))
            except psycopg.Error as refused:
                given = self._append_in_parts(part, refused)
            last = max(last, given)
        return last

    def _append_reduced(self, event: Event, error: psycopg.Error) -> int:
        said = f"{error.sqlstate}: {error}"
        kept = {
            name: short_text(value) if isinstance(value, str) else value
            for name, value in event.data.items()
            if name in _KEPT_WHEN_REDUCED and isinstance(value, str | int)
        }
        reduced = Event(
            event_type=event.event_type,
            event_id=event.event_id,
            timestamp=event.timestamp,
            user_id=event.user_id,
            task_id=event.task_id,
            data=kept | {"left_out": f"the journal could not store the rest: {said}"},
        )
        _log.error("PostgreSQL refuses event %s (%s): %s", event.event_id, event.event_type, said)
        _REFUSED.add()
        parameters = Batch([reduced]).parameters()
        given, stored = 0, True
        try:
            given = self.connections.run("write", partial(_call, parameters=parameters))
        except psycopg.Error:
            _log.exception("PostgreSQL refuses event %s in its reduced form too", event.event_id)
            stored = False
        self._reject(event, said, stored=stored)
        return given

    def _reject(self, event: Event, said: str, *, stored: bool) -> None:
        body = json_text(event.to_dict(), _REJECTED_BYTES).encode()
        values = (key_text(event.event_id) or "", stored, short_text(said, 2_000) or "", body)
        statement = (
            f"INSERT INTO {SCHEMA}.rejected_events (event_id, stored_reduced, error, body)"  # noqa: S608 (constants)
            " VALUES (%s, %s, %s, %s)"
        )
        self.connections.run("write", lambda connection: connection.execute(statement, values))


def _call(connection: psycopg.Connection, parameters: list[object]) -> int:
    row = connection.execute(_APPEND, parameters, binary=True).fetchone()
    return int(row[0]) if row else 0


def _maintain(connection: psycopg.Connection) -> int:
    row = connection.execute(f"SELECT {SCHEMA}.maintain()").fetchone()
    return int(row[0]) if row else 0
