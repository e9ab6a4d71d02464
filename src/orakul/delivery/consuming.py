"""A process that runs consumers: all of them on one broker, until it is told to end.

It says to the control room that it lives (a worker of kind `delivery`), shows what waits and runs, and obeys standing
orders: a waiting delivery that somebody has cancelled is not handled, a running one is stopped where it is a coroutine.
"""

import asyncio
import contextlib
import logging
import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from orakul.delivery.broker import Broker
from orakul.delivery.consumers import Consumer
from orakul.delivery.consumption import Consumption
from orakul.delivery.deliveries import Deliveries, Job, Records, heartbeat
from orakul.delivery.inbox import Inbox
from orakul.errors import BrokerUnavailableError, UnavailableError
from orakul.events import Event

__all__ = ["Orders", "Process"]

log = logging.getLogger("orakul.consumer")

Orders = Callable[[Sequence[str] | None], Iterable[tuple[str, int]]]
"""Reads the standing cancellations, `(task_id, attempt)`: of the tasks named, or all. Called in a thread."""

_SHOW_EVERY = 0.1
_BEAT_EVERY = 5.0
_ORDERS_EVERY = 1.0
_INBOX_EVERY = 3600.0


class Process:
    """Runs consumers. `records` is the Recorder, `inboxes` the inbox of those that have one, by name."""

    def __init__(
        self,
        consumers: Iterable[Consumer],
        broker: Broker,
        records: Records,
        *,
        inboxes: dict[str, Inbox] | None = None,
        orders: Orders | None = None,
        shown: Callable[[Event], Any] | None = None,
        grace: float = 20.0,
        name: str | None = None,
    ) -> None:
        self._broker = broker
        self._records = records
        self._orders = orders
        self._grace = grace
        self._inboxes = inboxes or {}
        self._cancelled: set[tuple[str, int]] = set()
        self._end: asyncio.Event | None = None
        self._executors: list[ThreadPoolExecutor] = []
        self.name = name or f"consumers@{platform.node()}:{os.getpid()}"
        self.consumptions = [self._consumption(each, shown) for each in consumers]

    def _consumption(self, consumer: Consumer, shown: Callable[[Event], Any] | None) -> Consumption:
        executor = None
        if not consumer.handler.is_async:
            executor = ThreadPoolExecutor(consumer.concurrency, thread_name_prefix=consumer.name)
            self._executors.append(executor)
        return Consumption(
            consumer,
            self._broker,
            Deliveries(consumer, self._records, worker=self.name, shown=shown),
            inbox=self._inboxes.get(consumer.name),
            executor=executor,
            is_cancelled=self._is_cancelled if self._orders is not None else None,
        )

    def end(self) -> None:
        """Ask it to end; may be called from a handler of a signal in the loop."""
        if self._end is not None:
            self._end.set()

    async def run(self) -> None:
        """Run until `end`."""
        self._end = asyncio.Event()
        self._say("worker.online")
        chores = [asyncio.create_task(self._chore(*each)) for each in self._chores()]
        work = [asyncio.create_task(each.run()) for each in self.consumptions]
        ended = asyncio.create_task(self._end.wait())
        try:
            await asyncio.wait([ended, *work], return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                if task.done() and not ended.done():
                    task.result()  # a mistake in the loop of a consumer ends the process, loudly
        finally:
            await self._stop(work, [*chores, ended])
            self._say("worker.offline")

    async def _stop(self, work: "list[asyncio.Task[None]]", others: "list[asyncio.Task[Any]]") -> None:
        busy = sum(len(each.in_hand) for each in self.consumptions)
        if busy:
            log.info("ending; %d messages in hand, up to %g s for those under way", busy, self._grace)
        await asyncio.gather(*(each.stop(self._grace) for each in self.consumptions), return_exceptions=True)
        for task in [*work, *others]:
            task.cancel()
        await asyncio.gather(*work, *others, return_exceptions=True)
        with contextlib.suppress(BrokerUnavailableError):
            await self._broker.close()  # gives back what is not settled
        for executor in self._executors:
            executor.shutdown(wait=False, cancel_futures=True)
        for inbox in self._inboxes.values():
            inbox.close()

    @property
    def stuck(self) -> bool:
        """Whether a thread still runs a handler past the deadline."""
        return any(thread.is_alive() for each in self._executors for thread in each._threads)  # noqa: SLF001 (no other way)

    # -- chores

    def _chores(self) -> "list[tuple[Callable[[], Any], float]]":
        chores: list[tuple[Callable[[], Any], float]] = [(self._show, _SHOW_EVERY), (self._beat, _BEAT_EVERY)]
        if self._orders is not None:
            chores.append((self._read_orders, _ORDERS_EVERY))
        if self._inboxes:
            chores.append((self._prepare_inboxes, _INBOX_EVERY))
        return chores

    async def _chore(self, do: Callable[[], Any], every: float) -> None:
        while True:
            try:
                answer = do()
                if asyncio.iscoroutine(answer):
                    await answer
            except UnavailableError as error:
                log.debug("%s", error)
            except Exception:
                log.exception("a chore of the consumers failed")
            await asyncio.sleep(every)

    def _show(self) -> None:
        before = time.time() - _SHOW_EVERY
        for each in self.consumptions:
            late = [job for job in each.in_hand.values() if job.shown < 2 and job.arrived < before]  # noqa: PLR2004 (see Job)
            if late:
                each.deliveries.show(late)

    def _beat(self) -> None:
        self._say("worker.heartbeat")

    def _say(self, event_type: str) -> None:
        facts = {
            "pid": os.getpid(),
            "pool": "asyncio",
            "queues": [each.consumer.name for each in self.consumptions],
            "concurrency": sum(each.consumer.concurrency for each in self.consumptions),
            "active": sum(1 for each in self.consumptions for job in each.in_hand.values() if job.worker is not None),
            "software": "orakul",
            "interval": _BEAT_EVERY,
        }
        self._records.record(heartbeat(event_type, self.name, facts))

    async def _prepare_inboxes(self) -> None:
        for inbox in set(self._inboxes.values()):
            await asyncio.to_thread(inbox.prepare)

    # -- standing orders

    async def _read_orders(self) -> None:
        assert self._orders is not None  # noqa: S101 (a chore only where there are orders)
        names = tuple(f"{each.consumer.name}:" for each in self.consumptions)
        found = await asyncio.to_thread(self._orders, None)
        self._cancelled = {(task_id, attempt) for task_id, attempt in found if task_id.startswith(names)}
        for task_id, attempt in self._cancelled:
            for each in self.consumptions:
                each.cancel(task_id, attempt)

    async def _is_cancelled(self, job: Job) -> bool:
        """Return whether somebody has cancelled this delivery while it waited."""
        if (job.task_id, job.attempt) in self._cancelled:
            return True
        if job.attempt == 1 or self._orders is None:
            return False  # what was cancelled in the last second and begins now is as one that had begun
        try:
            return (job.task_id, job.attempt) in set(await asyncio.to_thread(self._orders, [job.task_id]))
        except UnavailableError:
            return False
