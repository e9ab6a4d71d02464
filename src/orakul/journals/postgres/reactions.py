"""What reactions keep, in PostgreSQL."""

# ruff: noqa: S608 (statements are put together from constants, here; what is asked for travels as parameters)

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import psycopg

from orakul.errors import InvalidQueryError
from orakul.events import Event
from orakul.journals.postgres.connection import SCHEMA, Connections
from orakul.reactions.judging import GroupState, RuleState
from orakul.reactions.notifier import Message
from orakul.reactions.occurrence import KIND, Occurrence, occurrence_of
from orakul.reactions.rule import Rule, StoredRule
from orakul.reactions.store import Delivery, LostTurnError, Turn

__all__ = ["PostgresReactions"]

_TURN = 6120374493115208817
_MOST_RULES = 500
_MOST_COUNTED = 20_000
_INSERT = f"""
INSERT INTO {SCHEMA}.reaction_deliveries (delivery_id, rule_id, rule, notifier, message, parent)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::json[], %s::text[])
"""
_CLAIM = f"""
UPDATE {SCHEMA}.reaction_deliveries d SET tries = tries + 1, due_at = now() + make_interval(secs => %s)
FROM (
    SELECT delivery_id FROM {SCHEMA}.reaction_deliveries WHERE notifier = %s AND status = 'pending' AND due_at <= now()
    ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
) due WHERE d.delivery_id = due.delivery_id
RETURNING d.delivery_id, d.rule_id, d.rule, d.notifier, d.message, d.parent, d.attempt, d.tries
"""
_FIGURES = f"""
SELECT rule_id, status, count(*) FROM (
    SELECT rule_id, status FROM {SCHEMA}.reaction_deliveries WHERE created_at > now() - interval '1 day'
    ORDER BY created_at DESC LIMIT {_MOST_COUNTED}
) AS latest GROUP BY 1, 2
"""
_PAST = f"""
SELECT e.seq, e.event_type, e.timestamp, e.task_id, e.user_id, e.data, t.kind, t.name, t.queue, t.worker
FROM {SCHEMA}.events e LEFT JOIN {SCHEMA}.tasks t ON t.task_id = e.task_id
WHERE e.timestamp >= %s AND e.event_type LIKE ANY(%s::text[]) AND t.kind IS DISTINCT FROM '{KIND}'
ORDER BY e.seq LIMIT %s
"""


class _Known(NamedTuple):
    """What is known of an event's task."""

    kind: str | None
    name: str | None
    queue: str | None
    worker: str | None


class PostgresReactions:
    """Fulfils `reactions.store.ReactionStore`."""

    def __init__(self, connections: Connections | str) -> None:
        self.connections = Connections(connections) if isinstance(connections, str) else connections

    # -- reading

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Hold a lock of the session's, which ends with the process, however that ends."""
        connection = self.connections.open("write")
        try:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_TURN,)).fetchone()
            yield bool(row and row[0])
        finally:
            connection.close()

    def take_turn(self) -> Turn:
        """Return where to go on, under a new number."""
        statement = f"UPDATE {SCHEMA}.reaction_cursor SET epoch = epoch + 1 RETURNING epoch, seq"
        row = self.connections.run("write", lambda c: c.execute(statement.encode()).fetchone())
        return Turn(epoch=row[0], cursor=row[1]) if row else Turn(epoch=0, cursor=None)

    def rest(self) -> None:
        """Forget the cursor."""
        self._change(f"UPDATE {SCHEMA}.reaction_cursor SET seq = NULL, epoch = epoch + 1 WHERE seq IS NOT NULL", ())

    def states(self) -> tuple[Mapping[str, RuleState], Mapping[str, Mapping[str, GroupState]]]:
        """Return what is known of each rule, and of each of its groups."""
        rules: dict[str, RuleState] = {}
        groups: dict[str, dict[str, GroupState]] = {}
        for rule_id, name, state in self._rows(f'SELECT rule_id, "group", state FROM {SCHEMA}.reaction_states'):
            if name:
                groups.setdefault(rule_id, {})[name] = msgspec.convert(state, GroupState)
            else:
                rules[rule_id] = msgspec.convert(state, RuleState)
        return rules, groups

    def advance(
        self,
        turn: Turn,
        cursor: int,
        *,
        rules: Mapping[str, RuleState],
        groups: Mapping[tuple[str, str], GroupState | None],
        deliveries: Sequence[Delivery],
    ) -> None:
        """Store it all in one transaction, or nothing."""
        kept: list[tuple[str, str, str]] = [(rule_id, "", _json(state)) for rule_id, state in rules.items()]
        kept += [(*key, _json(state)) for key, state in groups.items() if state is not None]
        dropped = [key for key, state in groups.items() if state is None]

        def work(connection: psycopg.Connection) -> bool:
            with connection.transaction():
                mine = connection.execute(
                    f"UPDATE {SCHEMA}.reaction_cursor SET seq = %s, updated_at = now() WHERE epoch = %s",
                    (cursor, turn.epoch),
                ).rowcount
                if not mine:
                    return False
                if kept:
                    connection.execute(
                        f'INSERT INTO {SCHEMA}.reaction_states (rule_id, "group", state) '
                        "SELECT * FROM unnest(%s::text[], %s::text[], %s::json[]) "
                        'ON CONFLICT (rule_id, "group") DO UPDATE SET state = excluded.state',
                        [list(column) for column in zip(*kept, strict=True)],
                    )
                if dropped:
                    connection.execute(
                        f"DELETE FROM {SCHEMA}.reaction_states s USING unnest(%s::text[], %s::text[]) AS d (r, g) "
                        'WHERE s.rule_id = d.r AND s."group" = d.g',
                        [list(column) for column in zip(*dropped, strict=True)],
                    )
                if deliveries:
                    connection.execute(_INSERT, _columns(deliveries))
            return True

        if not self.connections.run("write", work):
            raise LostTurnError

    # -- deliveries

    def claim(self, notifier: str, limit: int, lease_seconds: float) -> Sequence[Delivery]:
        """Return deliveries that are due, as ours for so long; one whose process died is due again after that."""
        rows = self.connections.run(
            "write", lambda c: c.execute(_CLAIM, (lease_seconds, notifier, limit)).fetchall(), again=False
        )
        return [_delivery(row) for row in rows]

    def settle(self, delivery_ids: Sequence[str], status: str, said: str, *, due_at: datetime | None = None) -> None:
        """Store what came of a try."""
        self._change(
            f"UPDATE {SCHEMA}.reaction_deliveries SET status = %s, said = %s, due_at = coalesce(%s, due_at), "
            "attempt = attempt + CASE WHEN %s = 'pending' THEN 1 ELSE 0 END, updated_at = now() "
            "WHERE delivery_id = ANY(%s) AND status = 'pending'",
            (status, said.replace("\0", "")[:2_000], due_at, status, list(delivery_ids)),
        )

    def waiting(self) -> Mapping[str, datetime]:
        """Return the notifiers that deliveries wait for."""
        rows = self._rows(
            f"SELECT notifier, min(due_at) FROM {SCHEMA}.reaction_deliveries WHERE status = 'pending' GROUP BY 1"
        )
        return dict(rows)

    def again(self, delivery_id: str, attempt: int) -> bool:
        """Let a failed delivery be tried again."""
        return bool(
            self._change(
                f"UPDATE {SCHEMA}.reaction_deliveries SET status = 'pending', attempt = %s, tries = 0, due_at = now(), "
                "updated_at = now() WHERE delivery_id = %s AND status = 'failed' AND attempt < %s",
                (attempt, delivery_id, attempt),
            )
        )

    def cancel(self, delivery_id: str) -> bool:
        """Let a delivery that waits not be made."""
        return bool(
            self._change(
                f"UPDATE {SCHEMA}.reaction_deliveries SET status = 'cancelled', updated_at = now() "
                "WHERE delivery_id = %s AND status = 'pending'",
                (delivery_id,),
            )
        )

    def figures(self) -> Mapping[str, Mapping[str, int]]:
        """Return, by rule, how many deliveries of the last day (the latest 20,000) are in each status."""
        found: dict[str, dict[str, int]] = {}
        for rule_id, status, count in self._rows(_FIGURES):
            found.setdefault(rule_id, {})[status] = count
        return found

    def forget(self, days: int) -> int:
        """Drop deliveries that ended longer ago."""
        return self._change(
            f"DELETE FROM {SCHEMA}.reaction_deliveries WHERE status <> 'pending' "
            "AND updated_at < now() - make_interval(days => %s)",
            (days,),
        )

    def past(self, patterns: Sequence[str], since: datetime, limit: int) -> list[Occurrence]:
        """Return what happened since, of event types that fit one of the patterns, oldest first."""
        like = [
            pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%").replace("?", "_")
            for pattern in patterns
        ]
        rows = self.connections.run("read", lambda c: c.execute(_PAST, (since, like, limit)).fetchall())
        found = []
        for seq, event_type, timestamp, task_id, user_id, data, *facts in rows:
            event = Event(event_type=event_type, timestamp=timestamp, task_id=task_id, user_id=user_id, data=data)
            one = occurrence_of(seq, event, _Known(*facts))
            if one is not None:
                found.append(one)
        return found

    # -- rules

    def rules(self) -> Sequence[StoredRule]:
        """Return the rules made on the page; one of another version, that is none here, is left out."""
        rows = self._rows(
            f"SELECT rule_id, form, author, updated_at FROM {SCHEMA}.reaction_rules ORDER BY name LIMIT {_MOST_RULES}"
        )
        found = []
        for rule_id, form, author, updated_at in rows:
            try:
                rule = msgspec.convert(form, Rule).checked()
            except (msgspec.ValidationError, ValueError):
                continue
            found.append(StoredRule(rule_id=rule_id, rule=rule, author=author, updated_at=updated_at))
        return found

    def save_rule(self, rule_id: str | None, rule: Rule, author: str) -> StoredRule | None:
        """Store a rule."""
        form = _json(rule)
        if rule_id is None:
            if len(self.rules()) >= _MOST_RULES:
                raise InvalidQueryError(f"there are {_MOST_RULES} rules, which is the most; delete some")
            statement = (
                f"INSERT INTO {SCHEMA}.reaction_rules (rule_id, name, form, author) VALUES (%s, %s, %s, %s) "
                "RETURNING rule_id, updated_at"
            )
            values: tuple[Any, ...] = (str(uuid.uuid4()), rule.name, form, author)
        else:
            statement = (
                f"UPDATE {SCHEMA}.reaction_rules SET name = %s, form = %s, author = %s, updated_at = now() "
                "WHERE rule_id = %s RETURNING rule_id, updated_at"
            )
            values = (rule.name, form, author, rule_id)
        row = self.connections.run("write", lambda c: c.execute(statement.encode(), values).fetchone())
        return StoredRule(rule_id=row[0], rule=rule, author=author, updated_at=row[1]) if row else None

    def delete_rule(self, rule_id: str) -> bool:
        """Delete a rule and what is known of it; its deliveries are made all the same."""

        def work(connection: psycopg.Connection) -> int:
            with connection.transaction():
                connection.execute(f"DELETE FROM {SCHEMA}.reaction_states WHERE rule_id = %s", (rule_id,))
                return connection.execute(
                    f"DELETE FROM {SCHEMA}.reaction_rules WHERE rule_id = %s", (rule_id,)
                ).rowcount

        return bool(self.connections.run("write", work))

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self.connections.run("read", lambda c: c.execute(statement.encode()).fetchall())

    def _change(self, statement: str, values: Sequence[Any]) -> int:
        return self.connections.run("write", lambda c: c.execute(statement.encode(), values).rowcount)


def _json(value: Any) -> str:
    # PostgreSQL's texts hold no NUL.
    return msgspec.json.encode(value).decode().replace("\\u0000", "")


def _columns(deliveries: Sequence[Delivery]) -> list[list[Any]]:
    rows = [(d.delivery_id, d.rule_id, d.rule, d.notifier, _json(d.message), d.parent) for d in deliveries]
    return [list(column) for column in zip(*rows, strict=True)]


def _delivery(row: Sequence[Any]) -> Delivery:
    return Delivery(
        delivery_id=row[0],
        rule_id=row[1],
        rule=row[2],
        notifier=row[3],
        message=msgspec.convert(row[4], Message, strict=False),
        parent=row[5],
        attempt=row[6],
        tries=row[7],
    )
