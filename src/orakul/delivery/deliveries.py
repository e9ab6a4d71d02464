"""Deliveries as tasks: each event to each consumer is one task of kind `delivery` in the control room.

What ends within a tenth of a second is recorded once, at its end, beginning and end together; what takes longer, or
waits longer, shows before. `record` is the Recorder's: a line in the spool, microseconds, never waiting for a database.
"""

import hashlib
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import msgspec

from orakul.delivery.broker import Received
from orakul.delivery.consumers import Consumer
from orakul.delivery.message import ATTEMPTS_BEFORE
from orakul.events import Event, utc_now
from orakul.events.trace import current_trace
from orakul.events.work import Work, look_for_work
from orakul.instruments import counter, histogram, span

__all__ = ["KIND", "Deliveries", "Job", "Records", "current_job", "task_id_of"]

KIND = "delivery"
SOURCE = "consumer"
_TOOK = histogram(
    "orakul_consumer_handling_seconds", "Time from the start of a handler to its success.", labels=("consumer",)
)
_SHOWN_BYTES = 64 * 1024
_TRACEBACK_CHARS = 20_000
_OURS = str(Path(__file__).parent)


class Records(Protocol):
    """What events are given to: the Recorder."""

    def record(self, event: Event) -> None:
        """Write an event down."""
        ...

    def record_together(self, *events: Event) -> None:
        """Write several down, for the price of little more than one."""
        ...


def task_id_of(consumer: str, message_id: str) -> str:
    """Return the id of the task that one event's delivery to one consumer is: the same whenever it comes."""
    return f"{consumer}:{message_id}"


class Job:
    """One received message on its way through the consumer."""

    __slots__ = (
        "arrived",
        "attempt",
        "doomed",
        "event",
        "held",
        "key",
        "message_id",
        "received",
        "run",
        "shown",
        "started",
        "task_id",
        "trace",
        "worker",
    )

    def __init__(self, consumer: Consumer, received: Received) -> None:
        message = received.message
        self.received = received
        self.message_id = message.message_id or hashlib.sha256(message.body).hexdigest()[:32]
        self.task_id = f"{consumer.name}:{self.message_id}"
        before = message.headers.get(ATTEMPTS_BEFORE, "0")
        self.attempt = received.attempt + (int(before) if before.isdecimal() else 0)
        self.key = (self.message_id, self.attempt)
        """What tells this message from all others of its consumer; a replay, or one put off, is another."""
        self.arrived = time.time()
        self.run = int(self.arrived * 1000) if received.redelivered else 0
        self.started: float | None = None
        self.shown = 0  # 1: recorded as waiting, 2: as in progress
        self.event: Event | None = None
        self.held = 0  # attempts made here since it was received
        self.worker: Any = None  # the asyncio task that runs it
        self.doomed = False  # cancelled while it ran
        self.trace: str | None = None  # that its handler ran in

    def next_here(self) -> None:
        """Begin the next attempt without the broker's help."""
        self.held += 1
        self.attempt += 1
        self.run, self.shown, self.started = 0, 2, None
        self.arrived = time.time()


current_job: ContextVar[Job | None] = ContextVar("orakul_delivery", default=None)
"""The delivery whose handler runs in this context."""


class Deliveries:
    """Records what becomes of the jobs of one consumer, and counts it."""

    def __init__(
        self,
        consumer: Consumer,
        records: Records,
        *,
        worker: str,
        shown: Callable[[Event], Any] | None = None,
    ) -> None:
        self._consumer = consumer.name
        self._records = records
        self._shown = shown
        self._base = {"kind": KIND, "name": consumer.name, "queue": consumer.name, "worker": worker}
        said = "What became of messages, by consumer: completed, duplicates, retried, dead, returned, cancelled."
        counter("orakul_consumer_deliveries_total", said, ("consumer", "outcome"), read=self._outcomes)
        self.counts = {"completed": 0, "duplicates": 0, "retried": 0, "dead": 0, "returned": 0, "cancelled": 0}
        look_for_work(self.here)

    def here(self) -> Work | None:
        """Return the delivery whose handler the caller is part of, if it is one of this consumer's."""
        job = current_job.get()
        if job is None or job.task_id != task_id_of(self._consumer, job.message_id):
            return None
        event = job.event
        return Work(
            task_id=job.task_id,
            kind=KIND,
            name=self._consumer,
            attempt=job.attempt,
            run=job.run,
            queue=self._consumer,
            worker=self._base["worker"],
            user_id=None if event is None or event.user_id is None else str(event.user_id),
            trace_id=None if event is None else event.trace_id,
        )

    def _outcomes(self) -> Mapping[tuple[str, ...], float]:
        return {(self._consumer, outcome): count for outcome, count in self.counts.items()}

    @contextmanager
    def span(self, job: Job) -> Iterator[None]:
        """Handle the job inside: in a span below the one that its message was published in, where there are traces."""
        headers = job.received.message.headers
        with span("process " + self._consumer, carrier=headers, span_kind="consumer", task_id=job.task_id):
            job.trace = current_trace()
            yield

    # -- what becomes of a job

    def show(self, jobs: Iterable[Job]) -> None:
        """Record those that wait or run and are not recorded so yet; called about ten times a second."""
        for job in jobs:
            if job.started is not None and job.shown < 2:  # noqa: PLR2004 (see Job)
                self._records.record(self._begun(job))
                job.shown = 2
            elif job.started is None and not job.shown:
                self._records.record(self._event(job, "task.pending", job.arrived, self._facts(job)))
                job.shown = 1

    def completed(self, jobs: Iterable[tuple[Job, str | None]]) -> None:
        """Record that handlers have returned; an outcome where one was not called at all."""
        now = _when(time.time())
        events = []
        for job, outcome in jobs:
            self.counts["duplicates" if outcome else "completed"] += 1
            if job.shown < 2:  # noqa: PLR2004 (see Job)
                events.append(self._begun(job))
            _TOOK.observe(time.time() - (job.started or job.arrived), self._consumer)
            events.append(self._event_at(job, "task.completed", now, {"outcome": outcome} if outcome else {}))
            job.shown = 2
        self._records.record_together(*events)

    def retrying(self, job: Job, error: BaseException, delay: float) -> None:
        """Record a failure after which it will be tried again."""
        self.counts["retried"] += 1
        now = time.time()
        failed = self._event(job, "task.failed", now, {"error": _error(error), "retrying": True})
        again = self._event(
            job, "task.pending", now, {"attempt": job.attempt + 1, "run": 0, "eta": _moment(now + delay)}
        )
        self._end(job, failed, again)

    def dead(self, job: Job, error: BaseException) -> None:
        """Record a failure that is for good: the message is with the dead letters."""
        self.counts["dead"] += 1
        self._end(job, self._event(job, "task.failed", time.time(), {"error": _error(error), "outcome": "Dead"}))

    def cancelled(self, job: Job) -> None:
        """Record that it was stopped because somebody has asked for it."""
        self.counts["cancelled"] += 1
        self._end(job, self._event(job, "task.cancelled", time.time(), {}))

    def returned(self, job: Job) -> None:
        """Record that it goes back to the broker, not done, because this process ends."""
        self.counts["returned"] += 1
        if job.shown:
            now = time.time()
            self._records.record(self._event(job, "task.pending", now, {"run": int(now * 1000)}))

    # -- inner

    def _end(self, job: Job, *ends: Event) -> None:
        if job.shown < 2 and job.started is not None:  # noqa: PLR2004 (see Job)
            self._records.record_together(self._begun(job), *ends)
        else:
            self._records.record_together(*ends)
        job.shown = 2

    def _begun(self, job: Job) -> Event:
        return self._event(job, "task.in_progress", job.started or job.arrived, self._facts(job))

    def _facts(self, job: Job) -> dict[str, Any]:
        """Return what is recorded of a task once."""
        event = job.event
        if event is None:
            body = job.received.message.body
            return {"arguments": {"body": body[:2000].decode("utf-8", "replace"), "bytes": len(body)}}
        facts: dict[str, Any] = {"group_id": event.event_id, "arguments": self._arguments(job, event)}
        if event.task_id is not None:
            facts["parent_id"] = event.task_id
        return facts

    def _arguments(self, job: Job, event: Event) -> Any:
        body = job.received.message.body
        if len(body) > _SHOWN_BYTES:
            return {"event_id": event.event_id, "event_type": event.event_type, "left_out": f"{len(body):,} bytes"}
        return self._shown(event) if self._shown is not None else msgspec.Raw(body)

    def _event(self, job: Job, event_type: str, moment: float, more: dict[str, Any]) -> Event:
        return self._event_at(job, event_type, _when(moment), more)

    def _event_at(self, job: Job, event_type: str, moment: datetime, more: dict[str, Any]) -> Event:
        event = job.event
        return Event(
            event_type=event_type,
            data={
                **self._base,
                "attempt": job.attempt,
                "run": job.run,
                "type": job.received.message.type,
                **more,
            },
            user_id=event.user_id if event is not None else None,
            timestamp=moment,
            task_id=job.task_id,
            trace_id=(event.trace_id if event is not None else None) or job.trace,
            source=SOURCE,
        )


def _when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _moment(seconds: float) -> str:
    return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)).isoformat()


def _error(error: BaseException) -> dict[str, Any]:
    """Return the error as tasks have it, its traceback beginning where the handler does."""
    frames = traceback.extract_tb(error.__traceback__)
    first = next((at for at, frame in enumerate(frames) if not frame.filename.startswith(_OURS)), 0)
    shown = "".join(
        [
            "Traceback (most recent call last):\n",
            *traceback.format_list(frames[first:]),
            *traceback.format_exception_only(error),
        ]
    )
    if error.__cause__ is not None:
        cause = "".join(traceback.format_exception(error.__cause__))
        shown = f"{cause}\nThe above exception was the direct cause of the following exception:\n\n{shown}"
    if len(shown) > _TRACEBACK_CHARS:
        half = _TRACEBACK_CHARS // 2
        shown = f"{shown[:half]}\n… {len(shown) - 2 * half:,} characters left out …\n{shown[-half:]}"
    place = frames[-1] if frames else None
    return {
        "type": type(error).__name__,
        "message": str(error),
        "traceback": shown,
        "place": f"{place.filename}:{place.lineno} {place.name}" if place else None,
    }


def heartbeat(event_type: str, worker: str, facts: dict[str, Any]) -> Event:
    """Return a sign of life of a process that runs consumers."""
    return Event(
        event_type=event_type, data={"worker": worker, "kind": KIND, **facts}, timestamp=utc_now(), source=SOURCE
    )
