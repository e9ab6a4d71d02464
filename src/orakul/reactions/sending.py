"""Delivers: each notifier in a thread of its own, so that one that hangs or fails keeps nobody waiting but itself.

A delivery is claimed for a while, tried, and settled; one whose process dies is due again when the while is over. A try
that does not come back in time counts as a passing failure, and its thread is left behind; where several hang, the
notifier is not called until one of them has come back.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from orakul.errors import JournalUnavailableError, OrakulError, SettingsError
from orakul.events import Event, utc_now
from orakul.events.trace import current_trace
from orakul.instruments import counter, gauge, histogram, span
from orakul.reactions.making import Notifiers
from orakul.reactions.notifier import Message, Notifier, NotifierError, PassingError, PermanentError, Receipt
from orakul.reactions.store import Delivery, ReactionStore
from orakul.reactions.telling import ended, made, started

__all__ = ["Sender", "attempt"]

log = logging.getLogger("orakul.reactions")

_TRIED = counter(
    "orakul_reactions_deliveries_total", "Tries to tell somebody: delivered, to be tried again, failed for good.",
    ("notifier", "outcome"),
)  # fmt: skip
_TOOK = histogram("orakul_reactions_send_seconds", "Time that a notifier took for a try.", labels=("notifier",))
MOST_TRIES = 8
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 900.0
_PATIENCE = 6.0
"""How many of its own time-outs a notifier may take for a try."""

_HANGING = 3
_LOOK = 1.0


class Sender:
    """Delivers what is due. `wake` lets it look at once."""

    def __init__(
        self,
        store: ReactionStore,
        notifiers: Notifiers,
        record: Callable[[Sequence[Event]], object],
        *,
        first_pause: float = _FIRST_PAUSE,
        patience: float = _PATIENCE,
    ) -> None:
        self._store = store
        self._notifiers = notifiers
        self._record = record
        self._first_pause = first_pause
        self._patience = patience
        self._desks: dict[str, _Desk] = {}
        self._end = threading.Event()
        self._woken = threading.Event()
        for name in notifiers.names():
            for outcome in ("delivered", "again", "failed"):  # from zero on: the first one is seen to be one more
                _TRIED.add(0, name, outcome)
        said = "Calls of notifiers that hang past their time-out."
        gauge("orakul_reactions_hanging", said, self._count_hanging, ("notifier",))

    def _count_hanging(self) -> Mapping[str, float]:
        return {name: desk.count_hanging() for name, desk in list(self._desks.items())}

    def run(self) -> None:
        """Look after the notifiers that deliveries wait for, until `stop`."""
        said = ""
        while not self._end.is_set():
            try:
                for name, due in self._store.waiting().items():
                    desk = self._desks.get(name)
                    if desk is None:
                        desk = self._desks[name] = _Desk(self, name)
                        desk.start()
                    if due <= utc_now():
                        desk.woken.set()
                said = ""
            except Exception as error:  # noqa: BLE001 (it is tried again)
                if str(error) != said:
                    log.warning("deliveries wait: %s", error)
                said = str(error)
            self._woken.wait(_LOOK)
            self._woken.clear()

    def wake(self) -> None:
        """Let it look at once."""
        self._woken.set()

    def stop(self, timeout: float = 5.0) -> None:
        """Let what is being sent be sent, for a while."""
        self._end.set()
        self._woken.set()
        until = time.monotonic() + timeout
        for desk in self._desks.values():
            desk.woken.set()
        for desk in self._desks.values():
            desk.join(max(0.0, until - time.monotonic()))

    def tell(self, deliveries: Sequence[Delivery]) -> None:
        """Record that deliveries were made."""
        self.record([event for delivery in deliveries for event in made(delivery)])

    def record(self, events: Sequence[Event]) -> None:
        """Record what becomes of deliveries; where that cannot be done now, the delivery goes on all the same."""
        try:
            self._record(events)
        except OrakulError as error:
            log.warning("what became of deliveries could not be recorded: %s", error)

    def ending(self) -> bool:
        """Say whether it is to end."""
        return self._end.is_set()

    # -- one try

    def deliver(self, name: str, hanging: list[threading.Thread]) -> bool:
        """Try what is due at one notifier; say whether there was anything."""
        try:
            notifier: Notifier | None = self._notifiers.get(name)
            trouble = None
        except OrakulError as error:
            notifier, trouble = None, PermanentError(str(error))
        batch = notifier.batch if notifier is not None else 1
        longest = self._patience * notifier.options.timeout_seconds if notifier is not None else 10.0
        found = self._store.claim(name, batch, longest + 30.0)
        if not found:
            return False
        # Also that it was made: who made it may have died before it could say so. What is told twice counts once.
        news = [each for delivery in found if delivery.tries == 1 and delivery.attempt == 1 for each in made(delivery)]
        self.record([*news, *(started(delivery) for delivery in found)])
        messages = [delivery.message for delivery in found]
        outcome: Receipt | NotifierError
        trace = None
        if notifier is None:
            outcome = trouble or PermanentError("it cannot be used")
        else:
            with span("orakul.reactions.send", notifier=name, messages=len(messages)), _TOOK.time(name):
                trace = current_trace()
                outcome = attempt(notifier, messages, longest, hanging)
        self._settle(found, outcome, trace)
        return True

    def _settle(self, found: Sequence[Delivery], outcome: Receipt | NotifierError, trace: str | None) -> None:
        if isinstance(outcome, Receipt):
            self._store.settle([each.delivery_id for each in found], "done", outcome.said)
            _TRIED.add(len(found), found[0].notifier, "delivered")
            self.record([ended(each, outcome, trace=trace) for each in found])
            return
        for each in found:
            again = isinstance(outcome, PassingError) and each.tries < MOST_TRIES
            _TRIED.add(1, each.notifier, "again" if again else "failed")
            if again:
                due = utc_now() + timedelta(seconds=self._pause(each.tries, outcome))
                self._store.settle([each.delivery_id], "pending", str(outcome), due_at=due)
                self.record([ended(each, outcome, again=True, trace=trace), *_again(each, due)])
            else:
                log.warning("%r could not be told by %s: %s", each.rule, each.notifier, outcome)
                self._store.settle([each.delivery_id], "failed", str(outcome))
                self.record([ended(each, outcome, trace=trace)])

    def _pause(self, tries: int, outcome: NotifierError) -> float:
        asked = outcome.retry_after if isinstance(outcome, PassingError) else None
        pause = min(self._first_pause * 2.0 ** max(0, tries - 1), _LONGEST_PAUSE)
        return max(asked or 0.0, pause * random.uniform(0.8, 1.2))  # noqa: S311 (not for secrets)


def _again(delivery: Delivery, due: datetime) -> list[Event]:
    return made(delivery, attempt=delivery.attempt + 1, eta=due)


class _Desk(threading.Thread):
    """One notifier's thread."""

    def __init__(self, sender: Sender, name: str) -> None:
        super().__init__(name=f"orakul tells {name}", daemon=True)
        self.woken = threading.Event()
        self._sender = sender
        self._notifier = name
        self._hanging: list[threading.Thread] = []

    def count_hanging(self) -> int:
        """Return how many calls hang."""
        return sum(thread.is_alive() for thread in self._hanging)

    def run(self) -> None:
        """Deliver, whenever there may be something."""
        while not self._sender.ending():
            try:
                while self._sender.deliver(self._notifier, self._hanging) and not self._sender.ending():
                    pass
            except JournalUnavailableError:
                pass  # told by who looks after us; what was claimed is due again
            except Exception:
                log.exception("telling by %s failed; it goes on", self._notifier)
            self.woken.wait(5.0)
            self.woken.clear()


def attempt(
    notifier: Notifier, messages: Sequence[Message], seconds: float, hanging: list[threading.Thread]
) -> Receipt | NotifierError:
    """Send in a thread of its own, and wait for so long; return the receipt, or what went wrong."""
    hanging[:] = [thread for thread in hanging if thread.is_alive()]
    if len(hanging) >= _HANGING:
        return PassingError(f"{len(hanging)} calls of this notifier hang; it is called again when one has come back")
    outcomes: list[Receipt | NotifierError] = []

    def work() -> None:
        try:
            outcomes.append(notifier.send(messages))
        except NotifierError as error:
            outcomes.append(error)
        except SettingsError as error:
            outcomes.append(PermanentError(str(error)))
        except BaseException as error:  # noqa: BLE001 (a notifier of somebody's may raise anything)
            said = notifier.hide(f"{type(error).__name__}: {error}")
            outcomes.append(PassingError(f"the notifier itself failed: {said}"))

    thread = threading.Thread(target=work, name=f"orakul {notifier.kind}", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcomes:
        hanging.append(thread)
        return PassingError(f"it hangs: no answer within {seconds:g} s, though its time-out is shorter")
    return outcomes[0]
