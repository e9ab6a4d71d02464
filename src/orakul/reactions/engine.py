"""Reads the feed and lets the rules judge: at least once, going on after a crash where it was.

One process reads at a time. The cursor, what is known of the rules and the deliveries that they want are stored in one
transaction a batch, so a crash in between repeats the batch as if nothing had been.
"""

import asyncio
import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from orakul import extensions
from orakul.errors import OrakulError, UnavailableError
from orakul.instruments import counter, gauge, span
from orakul.reactions.judging import Draft, GroupState, Judge, RuleState
from orakul.reactions.making import GROUP, Notifiers
from orakul.reactions.occurrence import occurrence_of
from orakul.reactions.rule import StoredRule
from orakul.reactions.store import Delivery, LostTurnError, ReactionStore, Turn
from orakul.reactions.writing import Language, write
from orakul.tasks.feed import Entry, Feed

__all__ = ["Engine"]

log = logging.getLogger("orakul.reactions")

_JUDGED = counter("orakul_reactions_judged_total", "Entries of the journal that the rules have looked at.")
_MADE = counter("orakul_reactions_messages_total", "Messages that rules wanted sent, by what they say.", ("kind",))
_LIMITED = counter("orakul_reactions_limited_total", "Events that a rule's limit left out of its messages.")
_TICK = 1.0
_LOOK_AT_RULES = 2.0
_AGAIN = 2.0
_SAVE_CURSOR_EVERY = 1.0
_COMMANDS = frozenset({"task.retry_requested", "task.cancelled"})


class _NothingToDoError(Exception):
    """There is no rule any more."""


class Engine:
    """The reader. `run` holds until `stop`; it waits for its turn where another process reads."""

    def __init__(
        self,
        store: ReactionStore,
        open_feed: Callable[[], Feed],
        notifiers: Notifiers,
        rules: Sequence[StoredRule],
        *,
        public_url: str | None = None,
        language: Language = "en",
        wake: Callable[[], None] = lambda: None,
        tell: Callable[[Sequence[Delivery]], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._open_feed = open_feed
        self._notifiers = notifiers
        self._own_rules = list(rules)
        self._public_url = public_url
        self._language: Language = language
        self._wake = wake
        self._tell = tell
        self._judges: dict[str, Judge] = {}
        self._seen: list[StoredRule] = []
        self._cursor = 0
        self._saved = 0.0
        self._looked = 0.0
        self._end = threading.Event()
        self.reading = False
        said = "1 where this process reads the journal for the rules; of several, one does."
        gauge("orakul_reactions_reading", said, self._is_reading, merge="max")

    def _is_reading(self) -> float:
        return int(self.reading)

    def stop(self) -> None:
        """Let it end."""
        self._end.set()

    def run(self) -> None:
        """Read, and take the turn again whenever it was lost."""
        said = ""
        while not self._end.is_set():
            try:
                if self._anything():
                    with self._store.turn() as mine:
                        if mine:
                            asyncio.run(self._read())
                said = ""
            except _NothingToDoError:
                pass
            except LostTurnError:
                log.info("another process reads the feed for reactions now")
            except Exception as error:
                if str(error) != said:
                    expected = isinstance(error, UnavailableError)
                    log.warning("reactions wait: %s", error, exc_info=None if expected else error)
                said = str(error)
            finally:
                self.reading = False
            self._end.wait(_AGAIN)

    def _anything(self) -> bool:
        """Say whether there is a rule, or a delivery that might be retried; else the feed is not read at all."""
        if self._own_rules or self._store.rules() or self._store.figures():
            return True
        with self._store.turn() as mine:  # not where another process, with rules of its own, reads
            if mine:
                self._store.rest()
        return False

    async def _read(self) -> None:
        turn = self._store.take_turn()
        feed = self._open_feed()
        try:
            if turn.cursor is None:
                _, newest = await feed.bounds()  # what happened before there were reactions is not reacted to
                turn = msgspec.structs.replace(turn, cursor=newest)
            self._cursor = turn.cursor or 0
            self._judges = {}
            self._look_at_rules(first=True)
            self._store.advance(turn, self._cursor, rules={}, groups={}, deliveries=[])
            self.reading = True
            await self._follow(feed, turn)
        finally:
            close = getattr(feed, "close", None)
            if close is not None:
                with contextlib.suppress(Exception):
                    await close()

    async def _follow(self, feed: Feed, turn: Turn) -> None:
        batches: asyncio.Queue[list[Entry]] = asyncio.Queue(2)

        async def fetch() -> None:
            async for batch in feed.follow(self._cursor):
                await batches.put(batch)

        fetching = asyncio.create_task(fetch())
        ticked = time.monotonic()
        try:
            while not self._end.is_set():
                batch: list[Entry] = []
                with contextlib.suppress(TimeoutError):
                    batch = await asyncio.wait_for(batches.get(), 0.25)
                if fetching.done():
                    fetching.result()
                self._look_at_rules()
                drafts = self._judge(batch) if batch else []
                if time.monotonic() - ticked >= _TICK:
                    ticked = time.monotonic()
                    drafts += self._tick()
                self._keep(turn, drafts)
        finally:
            fetching.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await fetching

    # -- judging

    def _judge(self, batch: Sequence[Entry]) -> list[tuple[Judge, Draft]]:
        now = time.time()
        drafts: list[tuple[Judge, Draft]] = []
        _JUDGED.add(len(batch))
        with span("orakul.reactions.judge", entries=len(batch)):
            for entry in batch:
                self._cursor = entry.seq
                event = entry.event
                if event is None:
                    continue
                if event.event_type in _COMMANDS and event.task_id is not None:
                    self._obey(event.event_type, event.task_id, event.data)
                one = occurrence_of(entry.seq, event, entry.task)
                if one is None:
                    continue
                for judge in self._judges.values():
                    drafts += [(judge, draft) for draft in judge.take(one, now)]
        return drafts

    def _tick(self) -> list[tuple[Judge, Draft]]:
        now = time.time()
        return [(judge, draft) for judge in self._judges.values() for draft in judge.tick(now)]

    def _obey(self, event_type: str, task_id: str, data: Mapping[str, Any]) -> None:
        """Do with a delivery what was commanded of its task on the page: the journal is where we hear of it."""
        if event_type == "task.cancelled":
            self._store.cancel(task_id)
        elif isinstance(data.get("attempt"), int) and self._store.again(task_id, data["attempt"]):
            self._wake()

    # -- keeping

    def _keep(self, turn: Turn, drafts: Sequence[tuple[Judge, Draft]]) -> None:
        for _, draft in drafts:
            _MADE.add(1, draft.kind)
            if draft.kind == "over":
                _LIMITED.add(draft.count)
        deliveries = [delivery for judge, draft in drafts for delivery in self._deliveries(judge, draft)]
        rules = {judge.stored.rule_id: judge.state for judge in self._judges.values() if judge.rule_changed}
        groups: dict[tuple[str, str], GroupState | None] = {
            (judge.stored.rule_id, name): judge.groups.get(name)
            for judge in self._judges.values()
            for name in judge.changed
        }
        late = time.monotonic() - self._saved > _SAVE_CURSOR_EVERY and self._cursor != turn.cursor
        if not (deliveries or rules or groups or late):
            return
        self._store.advance(turn, self._cursor, rules=rules, groups=groups, deliveries=deliveries)
        self._saved = time.monotonic()
        for judge in self._judges.values():
            judge.changed.clear()
            judge.rule_changed = False
        if deliveries:
            self._tell(deliveries)
            self._wake()

    def _deliveries(self, judge: Judge, draft: Draft) -> list[Delivery]:
        stored = judge.stored
        found = []
        for name in stored.rule.notify:
            # Where each group is an issue of its own, each is told that it has recovered.
            groups = draft.members if draft.members and self._apart(name) else draft.members[:1] or (None,)
            for group in groups:
                key = str(uuid.uuid4())
                message, wrong = write(
                    stored.rule,
                    stored.rule_id,
                    draft,
                    key=key,
                    public_url=self._public_url,
                    language=self._language,
                    group=group,
                )
                if wrong != judge.state.trouble:
                    judge.state.trouble, judge.rule_changed = wrong, True
                    if wrong:
                        log.warning("The rule %r: its template is wrong: %s", stored.rule.name, wrong)
                found.append(
                    Delivery(
                        delivery_id=key,
                        rule_id=stored.rule_id,
                        rule=stored.rule.name,
                        notifier=name,
                        message=message,
                        parent=draft.sample.get("task_id"),
                    )
                )
        return found

    def _apart(self, name: str) -> bool:
        kind = self._notifiers.kinds().get(name)
        try:
            return bool(kind and extensions.load(GROUP, kind).apart)
        except OrakulError:
            return False

    def _look_at_rules(self, *, first: bool = False) -> None:
        """Take in the rules as they are now; what is known of those that stay is kept."""
        if not first and time.monotonic() - self._looked < _LOOK_AT_RULES:
            return
        self._looked = time.monotonic()
        rules = [*self._own_rules, *self._store.rules()]
        if not rules and not self._store.figures():
            raise _NothingToDoError
        if rules == self._seen and not first:
            return
        self._seen = rules
        states, groups = self._store.states() if first else ({}, {})
        judges: dict[str, Judge] = {}
        for stored in rules:
            if not stored.rule.enabled:
                continue
            old = self._judges.get(stored.rule_id)
            if old is not None and old.stored == stored:
                judges[stored.rule_id] = old
            elif old is not None:
                judges[stored.rule_id] = Judge(stored, old.state, old.groups)
            else:
                state: RuleState | None = states.get(stored.rule_id)
                judges[stored.rule_id] = Judge(stored, state, dict(groups.get(stored.rule_id, {})))
        self._judges = judges
