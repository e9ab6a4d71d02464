"""A fleet that does not know Orakul, watched through its Celery events.

What Celery sends is less than what an instrumented application records: no group, no owner, no log, arguments and
results as cut texts, and nothing at all of what was sent while nobody listened. What could not be seen is said
(`watch.gap`), and what was missed is made good as far as the workers' own lists reach.

- RabbitMQ: a durable queue of its own, `orakul.watch`, without a time-out, so that nothing is lost while the watcher is
  away (it goes after a week without one). Events are acknowledged once they are in the spool. Of two, one waits.
- Redis: publish and subscribe. A thread does nothing but read, as Redis cuts off whoever reads slowly.
"""

import hashlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from celery import Celery
from celery.events.event import get_exchange
from kombu import Connection, Consumer, Queue
from kombu.utils.url import maybe_sanitize_url

from orakul.errors import BrokerUnavailableError, UnavailableError
from orakul.events import Event
from orakul.runners.celery.broker import CONNECT_SECONDS, Broker
from orakul.runners.celery.translation import SOURCE, OpenTask, Translator
from orakul.runners.celery.watch_memory import Seen, WatchMemory, running_on_watched
from orakul.tasks.masking import Masks
from orakul.tasks.task import Task

__all__ = ["Watcher", "running_on_watched", "watch"]

logger = logging.getLogger(__name__)

QUEUE = "orakul.watch"
WEEK_SECONDS = 7 * 24 * 3600.0
ENABLE_SECONDS = 10.0
ASK_SECONDS = 15.0
ANSWER_SECONDS = 2.0
PATIENCE_SECONDS = 20.0
SILENT_SECONDS = 60.0
SAVE_SECONDS = 5.0
INHERIT_SECONDS = 60.0
SHORTEST_WAIT, LONGEST_WAIT = 0.5, 30.0
_HEARTBEAT = 20


class _Records(Protocol):
    """What events are given to: the Recorder."""

    def record(self, event: Event) -> None:
        """Write an event down."""
        ...


def watch(
    broker_url: str,
    recorder: _Records,
    *,
    stop: threading.Event | None = None,
    state_folder: Path | None = None,
    mask: Iterable[str] = (),
    open_tasks: Callable[[], Iterable[Task]] | None = None,
    control_exchange: str = "celery",
) -> None:
    """Record what the fleet behind this broker does, until `stop` is set; connects again for ever.

    `state_folder` keeps how far was seen, so that the next start can say what it has missed. `open_tasks` returns those
    that the journal has in progress on watched workers (see `running_on_watched`): their ends are looked for as well.
    """
    watcher = Watcher(
        broker_url,
        recorder,
        stop=stop,
        state_folder=state_folder,
        mask=mask,
        open_tasks=open_tasks,
        control_exchange=control_exchange,
    )
    watcher.run()


class Watcher:
    """One watch over one broker."""

    def __init__(
        self,
        broker_url: str,
        recorder: _Records,
        *,
        stop: threading.Event | None = None,
        state_folder: Path | None = None,
        mask: Iterable[str] = (),
        open_tasks: Callable[[], Iterable[Task]] | None = None,
        control_exchange: str = "celery",
    ) -> None:
        self._url = broker_url
        self.shown = maybe_sanitize_url(broker_url)
        self._recorder = recorder
        self._stop = stop or threading.Event()
        self._translator = Translator(Masks(tuple(mask)))
        self._open_tasks = open_tasks
        self._lock = threading.Lock()
        self._broker = Broker(broker_url, control_exchange=control_exchange)
        self._app = Celery("orakul-watch", broker=broker_url, set_as_current=False)
        self._app.conf.control_exchange = control_exchange
        self._inbox: queue.SimpleQueue[tuple[Any, float] | None] = queue.SimpleQueue()
        self._memory = WatchMemory(state_folder, self.shown)
        self._seen_until: float | None = None
        self._connected_at: float | None = None
        self._lost = False
        self._doubted = threading.Event()
        self._wanted = threading.Event()

    def run(self) -> None:
        """Watch until asked to stop."""
        self._load()
        helpers = [threading.Thread(target=work, daemon=True) for work in (self._write_down, self._look_after)]
        for helper in helpers:
            helper.start()
        try:
            self._listen_for_ever()
        finally:
            self._stop.set()
            self._inbox.put(None)
            helpers[0].join(5.0)
            self._save()

    def _listen_for_ever(self) -> None:
        wait = SHORTEST_WAIT
        said: str | None = None
        while not self._stop.is_set():
            try:
                self._listen()
            except Exception as error:  # noqa: BLE001 (whatever it is: say it once, and connect again)
                lost, self._connected_at = self._connected_at is not None, None
                if lost:
                    wait, self._lost = SHORTEST_WAIT, True
                saying = f"{type(error).__name__}: {error}"
                if saying != said or lost:
                    logger.warning("%s does not answer (%s); trying again until it does", self.shown, saying)
                said = saying
                self._stop.wait(wait)
                wait = min(wait * 2, LONGEST_WAIT)

    # -- listening --------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        options = {"socket_keepalive": True} if self._url.startswith(("redis", "sentinel")) else {}
        with Connection(
            self._url, connect_timeout=CONNECT_SECONDS, heartbeat=_HEARTBEAT, transport_options=options
        ) as connection:
            connection.connect()
            durable = connection.transport.driver_type == "amqp"
            channel = connection.default_channel
            existed = _exists(connection) if durable else False
            source = self._queue(connection, durable=durable)
            consumer = Consumer(
                channel,
                queues=[source],
                on_message=self._receive_and_ack if durable else self._receive,
                accept=["json", "application/json"],
                no_ack=not durable,
                prefetch_count=500 if durable else None,
            )
            with consumer:
                # A broker that was away has lost what was on its way; one that was only not listened to has kept it.
                self._begin(kept=existed and not self._lost)
                self._drain(connection)

    def _queue(self, connection: Connection, *, durable: bool) -> Queue:
        exchange = get_exchange(connection)
        if not durable:
            name = f"{QUEUE}.{hashlib.sha256(str(time.time_ns()).encode()).hexdigest()[:12]}"
            return Queue(name, exchange=exchange, routing_key="#", durable=False, auto_delete=True)
        return Queue(
            QUEUE,
            exchange=exchange,
            routing_key="#",
            durable=True,
            auto_delete=False,
            expires=WEEK_SECONDS,
            queue_arguments={"x-single-active-consumer": True, "x-queue-mode": "lazy"},
        )

    def _drain(self, connection: Connection) -> None:
        checked = time.monotonic()
        while not self._stop.is_set():
            with suppress(TimeoutError):
                connection.drain_events(timeout=1.0)
            if self._doubted.is_set():
                raise ConnectionError("it takes no commands any more")
            now = time.monotonic()
            if connection.supports_heartbeats and now - checked > _HEARTBEAT / 4:
                connection.heartbeat_check()
                checked = now
            self._seen_until = time.time()

    def _receive(self, message: Any) -> None:
        self._inbox.put((message, time.time()))

    def _receive_and_ack(self, message: Any) -> None:
        # Its own thread reads fast enough here, as the broker waits; written down first, then acknowledged.
        self._take(message, time.time())
        message.ack()

    def _begin(self, *, kept: bool) -> None:
        since, now = self._seen_until, time.time()
        self._connected_at = now
        logger.info("Watching %s", self.shown)
        if since is not None and not kept and now - since > 1.0:
            begin, end = datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(now, UTC)
            data = {"from": begin.isoformat(), "to": end.isoformat(), "broker": self.shown}
            logger.warning(
                "What the fleet did between %s and %s could not be seen; asking the workers what they run now",
                f"{begin:%Y-%m-%d %H:%M:%S} UTC",
                f"{end:%H:%M:%S} UTC",
            )
            self._recorder.record(Event(event_type="watch.gap", data=data, source=SOURCE))
        self._lost = False
        self._doubted.clear()
        self._wanted.set()
        with self._lock:
            for known in self._translator.workers.values():
                known.heard_at = now

    # -- writing down -----------------------------------------------------------------------------------------------

    def _write_down(self) -> None:
        while (item := self._inbox.get()) is not None:
            self._take(*item)

    def _take(self, message: Any, received_at: float) -> None:
        try:
            body = message.payload
        except Exception as error:  # noqa: BLE001 (somebody else's message: told, and passed over)
            logger.warning("An event that cannot be read was passed over: %s", error)
            return
        with self._lock:
            for form in body if isinstance(body, list) else [body]:
                if isinstance(form, Mapping):
                    self._record(lambda form=form: self._translator.translate(form, received_at))  # type: ignore[misc]

    def _record(self, make: Callable[[], list[Event]]) -> None:
        try:
            events = make()
        except Exception:  # one strange event must not end the watch
            logger.exception("An event could not be understood and was passed over")
            return
        for event in events:
            self._recorder.record(event)

    # -- asking -----------------------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Switch events on, ask the workers what they have, notice silent ones, and keep the state."""
        enabled = asked = saved = 0.0
        inherits_until = time.monotonic() + INHERIT_SECONDS
        while not self._stop.is_set():
            fresh = self._wanted.wait(1.0)
            self._wanted.clear()
            if self._stop.is_set():
                return
            now = time.monotonic()
            if self._connected_at is None:
                continue
            if now - saved >= SAVE_SECONDS:
                saved = now
                self._save()
                if now < inherits_until:
                    self._take_over()
            try:
                if fresh or now - enabled >= ENABLE_SECONDS:
                    enabled = now
                    self._broker.broadcast("enable_events", {})
                if fresh or now - asked >= ASK_SECONDS:
                    asked = now
                    self._ask()
            except BrokerUnavailableError as error:
                logger.debug("The fleet could not be asked: %s", error)
                self._doubted.set()  # a dead line may look alive to who only reads
            except Exception:  # asked again soon
                logger.exception("The fleet could not be asked")
            self._notice_silence()

    def _take_over(self) -> None:
        """Take the journal's open tasks for one's own: the last watcher may have been killed.

        More than once at the start, as the journal tells a watched worker from others by its heartbeats, which may
        still be on their way. What has ended meanwhile outranks whatever is said of it again.
        """
        if self._open_tasks is None:
            return
        try:
            tasks = list(self._open_tasks())
        except UnavailableError as error:
            logger.debug("The journal's open tasks cannot be read yet: %s", error)
            return
        with self._lock:
            for task in tasks:
                self._translator.tasks.setdefault(
                    task.task_id,
                    OpenTask(
                        name=task.name, attempt=task.attempt, run=task.run, running=task.attempt, worker=task.worker
                    ),
                )

    def _ask(self) -> None:
        answers: dict[str, dict[str, Any]] = {}

        def ask(connection: Connection, _: Any) -> None:
            # With as many answers as there are workers nobody waits for more; a newcomer is asked the next time.
            known = len(self._translator.workers) or None
            inspect = self._app.control.inspect(timeout=ANSWER_SECONDS, connection=connection, limit=known)
            for what in ("active", "reserved", "scheduled", "active_queues", "stats"):
                answers[what] = getattr(inspect, what)() or {}

        self._broker.talk(ask, deadline=6 * ANSWER_SECONDS + 3)
        active, held = answers["active"], {name: list(tasks) for name, tasks in answers["active"].items()}
        for name in held:
            held[name] += answers["reserved"].get(name) or []
            held[name] += [each.get("request") or {} for each in answers["scheduled"].get(name) or []]
        complete = answers["reserved"].keys() & answers["scheduled"].keys()
        held = {name: tasks for name, tasks in held.items() if name in complete}
        with self._lock:
            for name, known in self._translator.workers.items():
                known.facts = _facts(answers["active_queues"].get(name), answers["stats"].get(name)) or known.facts
            self._record(lambda: self._translator.reconcile(active, held, time.time(), patience=PATIENCE_SECONDS))

    def _notice_silence(self) -> None:
        since = self._connected_at
        if since is not None and time.time() - since > SILENT_SECONDS:
            with self._lock:
                self._record(lambda: self._translator.silent(time.time(), SILENT_SECONDS))

    # -- what outlives the watcher ----------------------------------------------------------------------------------

    def _load(self) -> None:
        seen = self._memory.load()
        self._seen_until = seen.until
        self._translator.tasks.update(seen.tasks)

    def _save(self) -> None:
        with self._lock:
            seen = Seen(until=self._seen_until, tasks=dict(self._translator.tasks))
            self._memory.save(seen)


def _exists(connection: Connection) -> bool:
    """Return whether our queue is there already."""
    channel: Any = connection.channel()
    try:
        channel.queue_declare(queue=QUEUE, passive=True)
    except connection.channel_errors:
        return False
    channel.close()
    return True


def _facts(queues: Any, stats: Any) -> dict[str, Any]:
    """Return what a worker's answers add to its heartbeats."""
    facts: dict[str, Any] = {}
    if isinstance(queues, list):
        facts["queues"] = sorted(str(each.get("name")) for each in queues)
    pool = stats.get("pool") if isinstance(stats, dict) else None
    if isinstance(pool, dict):
        implementation = str(pool.get("implementation", ""))
        facts["pool"] = implementation.partition(":")[0].rpartition(".")[2] or None
        facts["concurrency"] = pool.get("max-concurrency")
    return facts
