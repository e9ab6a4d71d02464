"""The relay: carries the outbox to the broker, in order, at least once.

What is proved of it rests on these rules:

- one relay at a time works on a part of the subjects: it holds the lock of the part, and who loses the database loses
  the locks with it; others stand by, and take over;
- rows are read in the order of their numbers, without a cursor and without skipping those that another holds;
- they are published in waves, at most one row of a subject under way: what the broker refuses is never overtaken;
- a row is deleted when the broker has confirmed it and the journal's recorder has it: a crash before that means again.

A row that the broker refuses is tried again later, and its subject waits for it; refused too often, or impossible to
send, it is laid aside with the reason, and its subject goes on.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from orakul.delivery.broker import Broker, Outcome, Receipt
from orakul.delivery.message import Message
from orakul.errors import BrokerUnavailableError, InvalidEventError, UnavailableError
from orakul.events import Event, utc_now
from orakul.instruments import COUNTS, SECONDS, counter, gauge, histogram, span

__all__ = ["PARTS", "Fate", "OutboxStore", "Relay", "RelayCounts", "WaitingRow"]

_log = logging.getLogger("orakul.relay")

PARTS = 16
"""Into so many parts the subjects fall; each is one relay's at a time."""

_SIZES = histogram("orakul_relay_batch_events", "How many events were read from the outbox together.", COUNTS)
_TOOK = histogram("orakul_relay_publish_seconds", "Time until the broker had confirmed a batch.")
_LAG = histogram(
    "orakul_relay_lag_seconds", "From publishing in a transaction to the broker's word, the oldest of a batch.",
    (*SECONDS, 600.0, 3600.0),
)  # fmt: skip
_BATCH = 1000
_BATCH_BYTES = 32 << 20
_CAUTIOUS = 250
"""So many rows are looked at first, until they are seen to be small: to sum their sizes they have to be unpacked."""
_CHAR_BYTES = 4  # at most, in UTF-8
_BACK_OFF = (0.2, 0.5, 1.0, 2.0, 5.0)
_LONGEST_PAUSE = 60.0
_SAY_AGAIN = 60.0
_REASON_CHARS = 2000


class WaitingRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the outbox."""

    seq: int
    event_id: str
    event_type: str
    ordering_key: str
    envelope: str
    headers: dict[str, str]
    attempts: int
    created_at: datetime


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a row that was not confirmed: tried again after `pause` seconds, or laid aside where None."""

    seq: int
    reason: str
    pause: float | None = None


class OutboxStore(Protocol):
    """The outbox of one database, as the relay sees it: one session. Whatever fails raises UnavailableError."""

    async def open(self) -> None:
        """Begin a session; locks belong to it."""
        ...

    async def claim(self) -> Collection[int]:
        """Try to get the parts that nobody holds; return all that are held now."""
        ...

    async def read(self, limit: int, limit_bytes: int) -> list[WaitingRow]:
        """Return rows of the held parts in order, without those put off and what waits behind them.

        At most `limit`, and only as many as it takes for their envelopes to come to `limit_bytes`.
        """
        ...

    async def settle(self, confirmed: Collection[int], fates: Sequence[Fate]) -> None:
        """Delete what is confirmed, put off or lay aside the rest: one transaction."""
        ...

    async def wait(self, seconds: float) -> None:
        """Wait until somebody says that there is something, at most so long."""
        ...

    async def close(self) -> None:
        """End the session, and with it the locks."""
        ...


class RelayCounts(msgspec.Struct):
    """What a relay has done since it was made."""

    relayed: int = 0
    unheard: int = 0
    refused: int = 0
    laid_aside: int = 0
    waves: int = 0
    parts: int = 0
    """How many parts it holds now; 0: it stands by."""
    trouble: str | None = None
    """Why it stands still; None where it does not."""


class Relay:
    """Relays one outbox to one broker until stopped."""

    def __init__(
        self,
        store: OutboxStore,
        broker: Broker,
        record: Callable[[Sequence[Event]], None] | None = None,
        *,
        name: str = "broker",
        attempts: int = 10,
        message_bytes: int = 4 << 20,
        poll_seconds: float = 1.0,
        batch: int = _BATCH,
        batch_bytes: int = _BATCH_BYTES,
    ) -> None:
        self.counts = RelayCounts()
        self._tell_figures()
        self._store = store
        self._broker = broker
        self._record = record
        self._name = name
        self._attempts = attempts
        self._message_bytes = message_bytes
        self._poll = poll_seconds
        self._batch = batch
        self._batch_bytes = batch_bytes
        self._reach = min(batch, _CAUTIOUS)
        self._stopping = asyncio.Event()
        self._said: dict[str, float] = {}

    def _tell_figures(self) -> None:
        said = "Events of the outbox, by what became of them: relayed, unheard (no queue), refused, laid aside."
        counter("orakul_relay_events_total", said, ("outcome",), read=self._outcomes)
        gauge(
            "orakul_relay_parts",
            f"Parts of the outbox, of {PARTS}, that this process relays; 0: stands by.",
            self._parts,
        )
        gauge(
            "orakul_relay_stopped", "1 where the relay stands still: the broker or the database is away.", self._stopped
        )

    def _outcomes(self) -> Mapping[str, float]:
        counts = self.counts
        return {
            "relayed": counts.relayed,
            "unheard": counts.unheard,
            "refused": counts.refused,
            "laid_aside": counts.laid_aside,
        }

    def _parts(self) -> float:
        return self.counts.parts

    def _stopped(self) -> float:
        return int(self.counts.trouble is not None)

    def stop(self) -> None:
        """Let `run` end after the batch that is under way; call it in the loop where that runs."""
        self._stopping.set()

    async def run(self) -> None:
        """Relay until stopped; what is away is waited for."""
        failures = 0
        while not self._stopping.is_set():
            before = self.counts.relayed
            try:
                await self._store.open()
                await self._serve()
            except UnavailableError as error:
                # Without its session another relay, which may reach the broker, can have the parts.
                failures = 1 if self.counts.relayed > before else failures + 1
                self._tell(error)
                self._reach = min(self._batch, _CAUTIOUS)
                pause = _BACK_OFF[min(failures, len(_BACK_OFF)) - 1] * random.uniform(0.7, 1.3)  # noqa: S311 (spread)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
            finally:
                self.counts.parts = 0
                await self._store.close()

    def _tell(self, error: UnavailableError) -> None:
        said = str(error)
        if said != self.counts.trouble:
            _log.warning("The relay stands still: %s; trying again", said)
        self.counts.trouble = said

    async def _serve(self) -> None:
        claimed = 0.0
        while not self._stopping.is_set():
            if self.counts.parts < PARTS and time.monotonic() - claimed > self._poll / 2:
                self._claimed(len(await self._store.claim()))
                claimed = time.monotonic()
            rows, more = await self._read() if self.counts.parts else ([], False)
            if rows:
                await self._carry(rows)
            if self.counts.parts and self.counts.trouble is not None:
                await self._broker.connect()
                _log.info("The relay goes on")
                self.counts.trouble = None
            if not more and not self._stopping.is_set():
                await self._idle()

    async def _read(self) -> tuple[list[WaitingRow], bool]:
        """Return the next rows, and whether there may be more: no more of them than fit, however large they are."""
        rows = await self._store.read(self._reach, self._batch_bytes)
        all_read = len(rows) == self._reach
        heavy = sum(len(row.envelope) for row in rows) * _CHAR_BYTES >= self._batch_bytes
        if heavy and not all_read:
            self._reach = min(self._batch, 2 * len(rows))
        elif all_read:
            self._reach = min(self._batch, 2 * self._reach)
        return rows, all_read or heavy

    async def _idle(self) -> None:
        """Wait for a wake-up, the next look, or the end."""
        waiting = asyncio.ensure_future(self._store.wait(self._poll))
        ending = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({waiting, ending}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                waiting.result()
        finally:
            for task in (waiting, ending):
                task.cancel()
            await asyncio.gather(waiting, ending, return_exceptions=True)

    def _claimed(self, held: int) -> None:
        if held > self.counts.parts and self.counts.trouble is None:
            _log.info("Relaying %d of %d parts of the outbox", held, PARTS)
        self.counts.parts = held

    async def _carry(self, rows: Sequence[WaitingRow]) -> None:
        """Publish the rows in waves, and settle them."""
        confirmed: dict[int, Event] = {}
        fates: list[Fate] = []
        _SIZES.observe(len(rows))
        try:
            with span("orakul.relay.publish", events=len(rows)), _TOOK.time():
                for wave in self._waves(rows, fates, confirmed):
                    await self._publish(wave, fates, confirmed)
            _LAG.observe(max(0.0, (utc_now() - min(row.created_at for row in rows)).total_seconds()))
        finally:
            # Also where the broker went away midway: what it has confirmed need not be sent again.
            if confirmed or fates:
                if self._record is not None and confirmed:
                    self._record(list(confirmed.values()))
                await self._store.settle(confirmed.keys(), fates)
                self.counts.relayed += len(confirmed)

    def _waves(
        self, rows: Iterable[WaitingRow], fates: list[Fate], confirmed: Collection[int]
    ) -> "Iterable[list[tuple[WaitingRow, Message, Event]]]":
        """Give out waves: the next row of each subject, until one of the subject was not confirmed."""
        ready: list[tuple[WaitingRow, Message, Event]] = []
        behind: dict[str, list[tuple[WaitingRow, Message, Event]]] = {}
        for row in rows:
            made = self._message(row, fates)
            if made is None:
                continue
            queue = behind.get(row.ordering_key)
            if queue is None:
                behind[row.ordering_key] = []
                ready.append(made)
            else:
                queue.append(made)
        for queue in behind.values():
            queue.reverse()
        while ready:
            yield ready
            self.counts.waves += 1
            aside = {fate.seq for fate in fates if fate.pause is None}
            following = (behind[row.ordering_key] for row, _, _ in ready if row.seq in confirmed or row.seq in aside)
            ready = [queue.pop() for queue in following if queue]

    def _message(self, row: WaitingRow, fates: list[Fate]) -> tuple[WaitingRow, Message, Event] | None:
        """Return the row as a message; lay it aside where it can be none."""
        body = row.envelope.encode()
        if len(body) > self._message_bytes:
            reason = f"it has {len(body):,} bytes, more than events.message_bytes ({self._message_bytes:,})"
            fates.append(self._aside(row, reason))
            return None
        try:
            event = Event.from_json(body)
        except InvalidEventError as error:
            fates.append(self._aside(row, str(error)))
            return None
        message = Message(
            message_id=row.event_id,
            type=row.event_type,
            subject=row.ordering_key,
            body=body,
            timestamp=event.timestamp,
            source=event.source or "orakul",
            headers=row.headers,
        )
        return row, message, event

    async def _publish(
        self, wave: Sequence[tuple[WaitingRow, Message, Event]], fates: list[Fate], confirmed: dict[int, Event]
    ) -> None:
        receipts = await self._broker.publish([message for _, message, _ in wave])
        away: str | None = None
        now = utc_now().isoformat()
        for (row, _, event), receipt in zip(wave, receipts, strict=True):
            if receipt.settled:
                confirmed[row.seq] = self._relayed(row, event, receipt, now)
            elif receipt.outcome is Outcome.UNKNOWN:
                away = receipt.reason or "it went away"
            else:
                fates.append(self._refused(row, receipt))
        if away is not None:
            raise BrokerUnavailableError(f"the broker did not answer: {away}")

    def _relayed(self, row: WaitingRow, event: Event, receipt: Receipt, now: str) -> Event:
        """Return the event as the journal gets it: with a note, in `extra`, of its way."""
        if receipt.outcome is Outcome.UNHEARD:
            self.counts.unheard += 1
            self._say(row.event_type, "Nobody listens to %s: event %s is gone", row.event_type, row.event_id)
        note = {
            "at": now,
            "broker": self._name,
            "heard": receipt.outcome is Outcome.CONFIRMED,
            "subject": row.ordering_key,
            "refused": row.attempts,
            "published_at": row.created_at.astimezone(UTC).isoformat(),
        }
        return msgspec.structs.replace(event, extra=event.extra | {"relayed": note})

    def _refused(self, row: WaitingRow, receipt: Receipt) -> Fate:
        reason = receipt.reason or receipt.outcome.value
        self.counts.refused += 1
        if receipt.outcome is Outcome.IMPOSSIBLE or row.attempts + 1 >= self._attempts:
            return self._aside(row, reason)
        pause = min(_LONGEST_PAUSE, 0.5 * 2**row.attempts) * random.uniform(0.8, 1.2)  # noqa: S311 (spread)
        self._say(f"refused {row.event_type}", "The broker refuses event %s: %s", row.event_id, reason)
        return Fate(seq=row.seq, reason=reason[:_REASON_CHARS], pause=pause)

    def _aside(self, row: WaitingRow, reason: str) -> Fate:
        self.counts.laid_aside += 1
        _log.error("Event %s (%s) is laid aside in outbox_dead: %s", row.event_id, row.event_type, reason)
        return Fate(seq=row.seq, reason=reason[:_REASON_CHARS])

    def _say(self, about: str, text: str, *values: object) -> None:
        now = time.monotonic()
        if now - self._said.get(about, -_SAY_AGAIN) >= _SAY_AGAIN:
            self._said[about] = now
            _log.warning(text, *values)
