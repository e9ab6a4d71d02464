"""One consumer at work: takes messages from its queue, calls the handler, settles them.

What holds, whatever happens:

- a message is acknowledged after its handler has returned (with an inbox: after the commit), never before;
- a message that comes again while its handler still runs, as after a broken connection, is not handled twice at
  once: the new copy takes the place of the old one and is settled when the handler ends;
- one that was handled here, and whose acknowledgement was lost, is acknowledged when it comes again;
- a failure puts the message off, or lays it into the dead letters, and the next message is handled;
- with `ordered`, a subject's messages wait for the one before, also while that one waits for its next attempt.
"""

import asyncio
import contextvars
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from orakul.delivery.broker import Broker, Received, Stream, Subscription
from orakul.delivery.consumers import Consumer
from orakul.delivery.deliveries import Deliveries, Job, current_job
from orakul.delivery.handler import Delivery
from orakul.delivery.inbox import Inbox, InboxUnavailableError
from orakul.delivery.message import event_of
from orakul.delivery.retries import RetryLaterError
from orakul.errors import BrokerUnavailableError, InvalidEventError
from orakul.events.context import enter_user, leave_user
from orakul.instruments import gauge

__all__ = ["Consumption"]

log = logging.getLogger("orakul.consumer")

_REMEMBERED = 10_000
_SHARE = 32  # jobs that one worker handles in a row before it lets the loop breathe
_SHORTEST_WAIT, _LONGEST_WAIT = 0.5, 15.0
_LONGEST_DATABASE_WAIT, _SAY_AGAIN = 5.0, 10.0
_HELD_BACK = 60.0  # the longest that an ordered consumer waits in between: its messages stay in hand meanwhile


def _ack(received: Received) -> Awaitable[None]:
    return received.ack()


class Consumption:
    """Runs one consumer on one broker, in the running event loop."""

    def __init__(
        self,
        consumer: Consumer,
        broker: Broker,
        deliveries: Deliveries,
        *,
        inbox: Inbox | None = None,
        executor: Executor | None = None,
        is_cancelled: Callable[[Job], Awaitable[bool]] | None = None,
    ) -> None:
        self.consumer = consumer
        self.deliveries = deliveries
        self.in_hand: dict[tuple[str, int], Job] = {}
        self._broker = broker
        self._inbox = inbox
        self._executor = executor
        self._is_cancelled = is_cancelled
        self._stream: Stream | None = None
        self._ready: asyncio.Queue[Job | None] = asyncio.Queue()
        self._lanes: dict[str, deque[Job]] = {}
        self._done: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._running: set[asyncio.Task[None]] = set()
        self._finished: list[tuple[Job, str | None]] = []
        self._finishing: asyncio.Task[None] | None = None
        self._plain = consumer.handler.is_async and inbox is None and consumer.timeout is None
        self._busy = 0
        self._closing = False
        self._said = -_SAY_AGAIN
        said = "Messages that a consumer has taken from the broker: handled now, or waiting here."
        gauge("orakul_consumer_messages", said, self._taken, ("consumer", "state"))

    def _taken(self) -> Mapping[tuple[str, ...], float]:
        name = self.consumer.name
        return {(name, "running"): self._busy, (name, "waiting"): max(0, len(self.in_hand) - self._busy)}

    # -- life

    async def run(self) -> None:
        """Take and handle messages until `stop`."""
        stream = await self._subscribe()
        if stream is None:
            return
        for _ in range(self.consumer.concurrency):
            worker = asyncio.create_task(self._work())
            self._running.add(worker)
            worker.add_done_callback(self._worker_ended)
        while not self._closing:
            batch = await stream.take(self.consumer.prefetch)
            if not batch:
                break
            for received in batch:
                self._enter(received)

    async def _subscribe(self) -> Stream | None:
        subscription = Subscription(
            queue=self.consumer.name,
            patterns=self.consumer.patterns,
            prefetch=self.consumer.prefetch,
            ordered=self.consumer.ordered,
        )
        wait, said = _SHORTEST_WAIT, ""
        while not self._closing:
            try:
                self._stream = await self._broker.subscribe(subscription)
            except BrokerUnavailableError as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("%s: %s; trying again", self.consumer.name, said)
                await asyncio.sleep(wait)
                wait = min(wait * 1.5, _LONGEST_WAIT)
                continue
            log.info("%s listens to %s", self.consumer.name, ", ".join(self.consumer.patterns))
            return self._stream
        return None

    async def stop(self, deadline: float) -> None:
        """Take no more, let what runs end within `deadline` seconds, and give the rest back."""
        self._closing = True
        if self._stream is not None:
            await self._stream.close()
        end = time.monotonic() + deadline
        while self._busy and time.monotonic() < end:  # noqa: ASYNC110 (once, at the end)
            await asyncio.sleep(0.02)
        for worker in list(self._running):
            worker.cancel()
        if self._finishing is not None:
            await asyncio.wait([self._finishing], timeout=5.0)
        if self._running:
            await asyncio.wait(self._running, timeout=1.0)
        for job in self.in_hand.values():
            self.deliveries.returned(job)

    def _worker_ended(self, worker: "asyncio.Task[None]") -> None:
        self._running.discard(worker)
        if worker.cancelled() or self._closing:
            return
        log.error("%s: a worker ended unexpectedly; another takes its place", self.consumer.name,
                  exc_info=worker.exception())  # fmt: skip
        again = asyncio.create_task(self._work())
        self._running.add(again)
        again.add_done_callback(self._worker_ended)

    def cancel(self, task_id: str, attempt: int) -> bool:
        """Stop the handler of a running delivery, where it is a coroutine; say whether it can be."""
        for job in self.in_hand.values():
            if job.task_id == task_id and job.attempt == attempt and job.worker is not None:
                if not self.consumer.handler.is_async:
                    return False
                if not job.doomed:
                    job.doomed = True
                    job.worker.cancel()
                return True
        return False

    # -- what comes in

    def _enter(self, received: Received) -> None:
        job = Job(self.consumer, received)
        known = self.in_hand.get(job.key)
        if known is not None:  # the broker took it back, and has sent it again
            known.received = received
            return
        if job.key in self._done:
            asyncio.ensure_future(self._acknowledge(job))  # noqa: RUF006 (it ends by itself)
            return
        self.in_hand[job.key] = job
        if not self.consumer.ordered:
            self._ready.put_nowait(job)
            return
        lane = self._lanes.get(received.message.subject)
        if lane is None:
            self._lanes[received.message.subject] = deque()
            self._ready.put_nowait(job)
        else:
            lane.append(job)

    async def _acknowledge(self, job: Job) -> None:
        await self._settle(job, _ack)

    def _leave(self, job: Job) -> None:
        self.in_hand.pop(job.key, None)
        if self.consumer.ordered:
            subject = job.received.message.subject
            lane = self._lanes.get(subject)
            if lane:
                self._ready.put_nowait(lane.popleft())
            else:
                self._lanes.pop(subject, None)

    # -- work

    async def _work(self) -> None:
        handled, worker = 0, asyncio.current_task()
        while not self._closing:
            job = self._ready.get_nowait() if self._ready.qsize() else await self._ready.get()
            if job is None or self._closing:
                return
            self._busy += 1
            job.worker = worker
            try:
                await self._handle(job)
            finally:
                job.worker = None
                self._busy -= 1
            handled += 1
            if handled % _SHARE == 0:
                await asyncio.sleep(0)

    async def _handle(self, job: Job) -> None:
        try:
            job.event = event_of(job.received.message)
            argument = self.consumer.handler.argument(job.event)
        except InvalidEventError as error:
            job.started = time.time()
            await self._failed(job, error)
            return
        if self._is_cancelled is not None and await self._is_cancelled(job):
            self._remember(job)
            await self._acknowledge(job)
            self._leave(job)
            return
        job.started = time.time()
        try:
            with self.deliveries.span(job):
                seen = await (self._call_plainly if self._plain else self._call_when_possible)(job, argument)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not job.doomed or task is None:
                raise
            task.uncancel()
            self.deliveries.cancelled(job)
        except Exception as error:  # noqa: BLE001 (whatever a handler raises is this delivery's failure)
            await self._failed(job, error)
            return
        else:
            self._finish(job, "Duplicate" if seen else None)
            return
        self._remember(job)
        await self._acknowledge(job)
        self._leave(job)

    def _finish(self, job: Job, outcome: str | None) -> None:
        """Record and acknowledge a handled message, together with others that end in the same round of the loop."""
        self._finished.append((job, outcome))
        if self._finishing is None:
            self._finishing = asyncio.create_task(self._finish_all())

    async def _finish_all(self) -> None:
        try:
            await asyncio.sleep(0)
            while self._finished:
                batch, self._finished = self._finished, []
                self.deliveries.completed(batch)
                for job, _ in batch:
                    self._remember(job)
                    await self._acknowledge(job)
                    self._leave(job)
        finally:
            self._finishing = None

    async def _call_plainly(self, job: Job, argument: Any) -> bool:
        """Call a coroutine that has neither inbox nor deadline, in its worker's own context."""
        handler, event = self.consumer.handler, job.event
        assert event is not None  # noqa: S101 (read before)
        token = current_job.set(job)
        owner = enter_user(None if event.user_id is None else str(event.user_id))
        try:
            await handler.function(*handler.arguments(argument, lambda: self._delivery(job), None))
        finally:
            leave_user(owner)
            current_job.reset(token)
        return False

    async def _call_when_possible(self, job: Job, argument: Any) -> bool:
        """Call the handler, waiting for a database of the inbox that is away as long as it takes."""
        wait = _SHORTEST_WAIT
        while True:
            try:
                return await self._call(job, argument)
            except InboxUnavailableError as error:
                if self._closing:
                    raise asyncio.CancelledError from error
                self._say(f"{error}; waiting for it")
                await asyncio.sleep(wait)
                wait = min(wait * 1.5, _LONGEST_DATABASE_WAIT)

    def _say(self, text: str) -> None:
        """Log what concerns every message alike, at most every few seconds."""
        now = time.monotonic()
        if now - self._said > _SAY_AGAIN:
            self._said = now
            log.warning("%s: %s", self.consumer.name, text)

    async def _call(self, job: Job, argument: Any) -> bool:
        """Call the handler; return whether the inbox has seen the event before, so that it was not called."""
        handler, event = self.consumer.handler, job.event
        assert event is not None  # noqa: S101 (read before)
        token = current_job.set(job)
        owner = enter_user(None if event.user_id is None else str(event.user_id))
        try:
            if not handler.is_async:
                context = contextvars.copy_context()
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._executor, context.run, self._call_sync, job, argument)
            if self.consumer.timeout is None:
                return await self._call_async(job, argument)
            async with asyncio.timeout(self.consumer.timeout):
                return await self._call_async(job, argument)
        finally:
            leave_user(owner)
            current_job.reset(token)

    async def _call_async(self, job: Job, argument: Any) -> bool:
        handler = self.consumer.handler
        if self._inbox is None:
            await handler.function(*handler.arguments(argument, lambda: self._delivery(job), None))
            return False
        async with self._inbox.enter_async(self.consumer.name, job.message_id) as connection:
            if connection is None:
                return True
            await handler.function(*handler.arguments(argument, lambda: self._delivery(job), connection))
        return False

    def _call_sync(self, job: Job, argument: Any) -> bool:
        handler = self.consumer.handler
        if self._inbox is None:
            handler.function(*handler.arguments(argument, lambda: self._delivery(job), None))
            return False
        with self._inbox.enter(self.consumer.name, job.message_id) as connection:
            if connection is None:
                return True
            handler.function(*handler.arguments(argument, lambda: self._delivery(job), connection))
        return False

    def _delivery(self, job: Job) -> Delivery:
        assert job.event is not None  # noqa: S101 (read before)
        return Delivery(
            consumer=self.consumer.name,
            event=job.event,
            attempt=job.attempt,
            task_id=job.task_id,
            redelivered=job.received.redelivered,
        )

    # -- failures

    async def _failed(self, job: Job, error: Exception) -> None:
        permanent = self._permanent(error)
        attempts = job.received.attempt + job.held
        if permanent or attempts >= self.consumer.retries.attempts:
            await self._bury(job, error, "permanent" if permanent else f"after {attempts} attempts")
            return
        delay = error.delay if isinstance(error, RetryLaterError) else self.consumer.retries.delay(attempts)
        log.warning("%s: %s failed (%s: %s); again in %.1f s", self.consumer.name, job.message_id,
                    type(error).__name__, error, delay)  # fmt: skip
        if self.consumer.ordered:
            self._hold(job, error, min(delay, _HELD_BACK))
            return
        if await self._settle(job, lambda received: received.retry(delay, f"{type(error).__name__}: {error}"[:500])):
            self.deliveries.retrying(job, error, delay)
        self._leave(job)

    def _permanent(self, error: Exception) -> bool:
        try:
            return self.consumer.permanent(error)
        except Exception:
            log.exception("%s: its rule for permanent errors fails; taken for passing", self.consumer.name)
            return False

    async def _bury(self, job: Job, error: Exception, why: str) -> None:
        log.error("%s: %s is dead (%s): %s: %s", self.consumer.name, job.message_id, why, type(error).__name__, error)
        if await self._settle(job, lambda received: received.dead(f"{type(error).__name__}: {error}"[:500])):
            self.deliveries.dead(job, error)
        self._leave(job)

    def _hold(self, job: Job, error: Exception, delay: float) -> None:
        """Try again here, later, with the subject's other messages waiting behind."""
        self.deliveries.retrying(job, error, delay)
        job.next_here()
        asyncio.get_running_loop().call_later(delay, self._ready.put_nowait, job)

    # -- settling

    def _remember(self, job: Job) -> None:
        self._done[job.key] = None
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)

    async def _settle(self, job: Job, how: Callable[[Received], Awaitable[None]]) -> bool:
        """Tell the broker; where it took the message back and sent it again meanwhile, for the new copy.

        Return False where the broker is away: then the message comes again.
        """
        while True:
            received = job.received
            try:
                await how(received)
            except BrokerUnavailableError as error:
                if job.received is received:
                    log.info("%s: %s will come again: %s", self.consumer.name, job.message_id, error)
                    return False
            else:
                return True
