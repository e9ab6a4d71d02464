"""The runner of kind `delivery`: speaks to the broker of domain events, from whatever thread a command comes in."""

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from orakul.delivery.broker import Broker, Depth, open_broker
from orakul.errors import BrokerUnavailableError, NotPossibleError
from orakul.tasks.orders import Cancellation
from orakul.tasks.reader import PausedQueue
from orakul.tasks.task import Task

__all__ = ["DeliveryRunner"]

T = TypeVar("T")

_ANSWER_SECONDS = 30.0
_DEPTH_SECONDS = 1.8


class DeliveryRunner:
    """Fulfils `tasks.Runner`. Its broker lives in the loop of a thread of its own, connected when first asked."""

    kind = "delivery"
    keeps_messages = True  # the broker has the original, among the consumer's dead letters

    def __init__(self, broker: str | Callable[[], Broker]) -> None:
        self._address = broker
        self._broker: Broker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = threading.Lock()

    def retry(self, task: Task, sealed: bytes) -> None:  # noqa: ARG002 (the broker has the message)
        """Put the delivery's dead letter back into its consumer's queue."""
        consumer, _, message_id = task.task_id.partition(":")
        if not self.replay(consumer, [message_id]):
            raise NotPossibleError(
                f"its message is no longer among the dead letters of {consumer}: it was replayed or discarded already"
            )

    def replay(self, consumer: str, message_ids: Collection[str]) -> list[str]:
        """Put dead letters back into their queue; return the ids of those that were there."""
        return self._ask(lambda broker: broker.replay(consumer, set(message_ids)), _ANSWER_SECONDS)

    def discard(self, consumer: str, message_ids: Collection[str]) -> list[str]:
        """Throw dead letters away; return the ids of those that were there."""
        return self._ask(lambda broker: broker.discard(consumer, set(message_ids)), _ANSWER_SECONDS)

    def depth(self, consumer: str) -> Depth:
        """Return how much a consumer's queue holds."""
        return self._ask(lambda broker: broker.depth(consumer), _ANSWER_SECONDS)

    def depths(self, queues: Sequence[str]) -> Mapping[str, int | None]:
        """Return how many messages wait in each queue of a consumer."""

        async def every(broker: Broker) -> dict[str, int | None]:
            found = {queue: await broker.depth(queue) for queue in queues}
            return {queue: depth.waiting or None for queue, depth in found.items()}

        return self._ask(every, _DEPTH_SECONDS)

    def cancel(self, task: Task, order: Cancellation) -> None:
        """Do nothing: consumers read the standing orders each second, and before each attempt but the first."""

    def pause(self, queue: str) -> None:
        """Do nothing, for the same reason."""

    def resume(self, queue: str) -> None:
        """Do nothing, for the same reason."""

    def repeat(self, pauses: Sequence[PausedQueue], cancellations: Sequence[Cancellation]) -> None:
        """Do nothing, for the same reason."""

    def _ask(self, what: Callable[[Broker], Coroutine[Any, Any, T]], seconds: float) -> T:
        loop = self._running_loop()

        async def ask() -> T:
            if self._broker is None:
                self._broker = open_broker(self._address) if isinstance(self._address, str) else self._address()
            async with asyncio.timeout(seconds):
                await self._broker.connect()
                return await what(self._broker)

        asked = asyncio.run_coroutine_threadsafe(ask(), loop)
        try:
            return asked.result(seconds + 1)
        except TimeoutError as error:
            asked.cancel()
            raise BrokerUnavailableError(f"the broker of events did not answer within {seconds:g} s") from error

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="orakul-deliveries", daemon=True).start()
            return self._loop
