"""The relays of the settings: one for each outbox, all in one event loop, in a thread of their own."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from orakul import extensions
from orakul.delivery.broker import Broker, open_broker
from orakul.delivery.relay import Relay, RelayCounts
from orakul.errors import SettingsError
from orakul.events import Event
from orakul.settings import Settings

__all__ = ["Relays"]

_log = logging.getLogger("orakul.relay")


class Relays(threading.Thread):
    """Relays the outboxes to the broker of the settings until stopped.

    `record` gets the relayed events for the journal; None where they are not to be there.
    """

    def __init__(
        self, settings: Settings, database_url: str, record: Callable[[Sequence[Event]], None] | None = None
    ) -> None:
        super().__init__(name="orakul relay", daemon=True)
        if settings.events.broker is None:
            raise SettingsError("which broker? Set ORAKUL_EVENTS_BROKER to amqp://host/ (or redis://…, kafka://…)")
        self._settings = settings
        self._urls = settings.events.outboxes or (settings.feed_url or database_url,)
        self._record = record if settings.events.journal else None
        self._broker_url = settings.events.broker
        self._open_store = extensions.load("orakul.outbox_stores", "postgres")
        open_broker(self._broker_url)  # an address that nothing is known for is said now
        self._loop: asyncio.AbstractEventLoop | None = None
        self._relays: list[Relay] = []
        self._begun = threading.Event()

    def run(self) -> None:
        """Relay until stopped."""
        try:
            asyncio.run(self._run())
        except Exception:
            _log.exception("The relay has ended by an error of its own")
            raise
        finally:
            self._begun.set()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        brokers = [open_broker(self._broker_url) for _ in self._urls]
        self._relays = [self._relay(url, broker) for url, broker in zip(self._urls, brokers, strict=True)]
        self._begun.set()
        try:
            await asyncio.gather(*(relay.run() for relay in self._relays))
        finally:
            for broker in brokers:
                await broker.close()

    def _relay(self, url: str, broker: Broker) -> Relay:
        events = self._settings.events
        return Relay(
            self._open_store(url),
            broker,
            self._record,
            name=urlsplit(self._broker_url).scheme,
            attempts=events.relay_attempts,
            message_bytes=events.message_bytes,
        )

    @property
    def counts(self) -> list[RelayCounts]:
        """What each relay has done, in the order of the outboxes."""
        return [relay.counts for relay in self._relays]

    @property
    def trouble(self) -> str | None:
        """Why one of them stands still; None where none does."""
        return next((counts.trouble for counts in self.counts if counts.trouble is not None), None)

    def stop(self, timeout: float = 10.0) -> None:
        """End after what is under way."""
        self._begun.wait(timeout)
        if self._loop is not None and not self._loop.is_closed():
            for relay in self._relays:
                self._loop.call_soon_threadsafe(relay.stop)
        self.join(timeout)
