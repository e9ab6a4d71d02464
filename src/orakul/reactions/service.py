"""Reactions at work: the reader and the sender, each in a thread."""

import threading
from collections.abc import Callable, Sequence

from orakul.events import Event
from orakul.reactions.engine import Engine
from orakul.reactions.making import Notifiers
from orakul.reactions.rule import StoredRule
from orakul.reactions.sending import Sender
from orakul.reactions.store import ReactionStore
from orakul.reactions.writing import Language
from orakul.tasks.feed import Feed

__all__ = ["Reactions"]


class Reactions:
    """Begins with `start`, ends with `stop`. Any number of processes may run it: one reads, all of them send."""

    def __init__(
        self,
        store: ReactionStore,
        open_feed: Callable[[], Feed],
        notifiers: Notifiers,
        rules: Sequence[StoredRule],
        record: Callable[[Sequence[Event]], object],
        *,
        public_url: str | None = None,
        language: Language = "en",
    ) -> None:
        self.notifiers = notifiers
        self.sender = Sender(store, notifiers, record)
        self.engine = Engine(
            store,
            open_feed,
            notifiers,
            rules,
            public_url=public_url,
            language=language,
            wake=self.sender.wake,
            tell=self.sender.tell,
        )
        self._threads = [
            threading.Thread(target=self.engine.run, name="orakul reactions", daemon=True),
            threading.Thread(target=self.sender.run, name="orakul deliveries", daemon=True),
        ]

    @property
    def begun(self) -> bool:
        """Whether `start` was called."""
        return self._threads[0].ident is not None

    def is_alive(self) -> bool:
        """Say whether it is at work."""
        return any(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End, in order: nothing new, then what is being sent."""
        self.engine.stop()
        self._threads[0].join(timeout)
        self.sender.stop(timeout)
        self._threads[1].join(timeout)
        self.notifiers.close()
