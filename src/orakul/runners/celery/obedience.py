"""The worker's side of commands: standing orders, respected from before the first task on.

A worker reads the standing orders when it starts, before it consumes, and again every few seconds; broadcasts only
make them prompt. All that touches the consumer happens in the consumer's own thread.

A paused queue is not consumed, and what a prefork worker has taken from it and not begun goes back to the broker. What
runs goes on. The pools without an event loop (threads, gevent) hear a pause within two seconds, as they look at the
broker that long at a time, and keep what they have taken.
"""

import logging
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery import signals
from celery.utils.imports import symbol_by_name
from celery.worker import state
from celery.worker.control import control_command

from orakul.errors import UnavailableError
from orakul.events import utc_now
from orakul.runners.celery import headers as names
from orakul.runners.celery import runs, stopping
from orakul.runners.celery.renewal import retried_at
from orakul.tasks.orders import ALL_QUEUES, Cancellation, StandingOrders

if TYPE_CHECKING:
    from orakul.runners.celery.parts import Parts

__all__ = ["Obedience", "install_worker_side"]

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 5.0
START_SECONDS = 5.0
INSIST_SECONDS = 0.5
REMEMBER_SECONDS = 24 * 3600.0
"""How long a cancellation that came by broadcast only is remembered."""

POOLS = {"prefork": "prefork", "thread": "threads", "gevent": "gevent", "eventlet": "eventlet", "solo": "solo"}


class Obedience:
    """What this worker has been told: paused queues and cancelled attempts."""

    def __init__(self, app: Any, parts: "Parts") -> None:
        self._app = app
        self._parts = parts
        self._orders: StandingOrders | None = None
        self._cancelled: dict[stopping.Key, Cancellation] = {}
        self._heard: dict[stopping.Key, tuple[float, Cancellation]] = {}
        self._paused: frozenset[str] = frozenset()
        self._configured: list[str] = []
        self._held: set[str] = set()
        self._stopping: set[stopping.Key] = set()
        self._mailbox: Path | None = None
        self._worker: Any = None
        self._consumer: Any = None
        self._done = threading.Event()
        self.pool = "prefork"

    # -- the worker's life ------------------------------------------------------------------------------------------

    def prepare(self, worker: Any) -> None:
        """Before the pool and the consumer start: guard the tasks, read the orders, leave paused queues out."""
        self._worker = worker
        self.pool = POOLS.get(str(worker.pool_cls.__module__).rpartition(".")[2], "prefork")
        if self.pool == "prefork":
            self._mailbox = Path(tempfile.mkdtemp(prefix="orakul-stop-"))
        elif self.pool == "gevent":
            stopping.use_gevent()
        elif self.pool == "solo":
            stopping.listen_for_signal(None)
        refuses = (lambda _key: False) if self.pool == "prefork" else self.refuses
        for task in self._app.tasks.values():
            task.Request = _obedient(symbol_by_name(task.Request), self)
            stopping.guard(task, refuses, self._stopped)
        self._configured = list(self._app.amqp.queues.consume_from)
        self._read_before_start()
        for queue in self._paused_here():
            logger.warning("Queue %s is paused: not consumed until it is resumed", queue)
            self._app.amqp.queues.deselect(queue)
            self._held.add(queue)
        threading.Thread(target=self._refresh, name="orakul-orders", daemon=True).start()

    def become_child(self) -> None:
        """In a pool child: take requests to stop by signal."""
        if self._mailbox is not None:
            stopping.listen_for_signal(self._mailbox)

    def close(self) -> None:
        """Stop looking for orders."""
        self._done.set()
        if self._mailbox is not None:
            with suppress(OSError):
                for letter in self._mailbox.iterdir():
                    letter.unlink()
                self._mailbox.rmdir()

    def attach(self, consumer: Any) -> None:
        """Take note of the consumer, which is made anew after each loss of the broker."""
        self._consumer = consumer

    # -- reading ----------------------------------------------------------------------------------------------------

    def _read_before_start(self) -> None:
        reading = threading.Thread(target=self._look, name="orakul-first-orders", daemon=True)
        reading.start()
        reading.join(START_SECONDS)
        if reading.is_alive():
            logger.warning("The standing orders could not be read in time; going on, and looking again")

    def _look(self) -> None:
        try:
            if self._orders is None:
                self._orders = self._parts.orders()
            if self._orders is None:
                return
            pauses = self._orders.pauses()
            cancellations = self._orders.cancellations()
        except UnavailableError as error:
            logger.warning("The standing orders cannot be read now: %s", error)
        except Exception:  # the work goes on, whatever this is
            logger.exception("The standing orders cannot be read")
        else:
            self.take(pauses=[pause.queue for pause in pauses], cancellations=cancellations)

    def _refresh(self) -> None:
        while not self._done.wait(REFRESH_SECONDS):
            self._look()
            self.carry_out_soon()

    def take(self, *, pauses: Iterable[str] | None, cancellations: Iterable[Cancellation]) -> None:
        """Replace what was known by the whole of the standing orders; what was heard by broadcast is kept a while."""
        if pauses is not None:
            self._paused = frozenset(pauses)
        now = time.monotonic()
        self._heard = {key: kept for key, kept in self._heard.items() if now - kept[0] < REMEMBER_SECONDS}
        known = {key: order for key, (_, order) in self._heard.items()}
        known.update({(order.task_id, order.attempt): order for order in cancellations})
        self._cancelled = known

    def hear(self, cancellations: Iterable[Cancellation]) -> None:
        """Add cancellations that came by broadcast."""
        for order in cancellations:
            key = (order.task_id, order.attempt)
            self._heard[key] = (time.monotonic(), order)
            self._cancelled[key] = order

    def hear_queue(self, queue: str, *, paused: bool) -> None:
        """Add or take away a pause that came by broadcast."""
        if paused:
            self._paused |= {queue}
        else:
            self._paused = frozenset() if queue == ALL_QUEUES else self._paused - {queue}

    # -- obeying ----------------------------------------------------------------------------------------------------

    def refuses(self, key: stopping.Key) -> bool:
        """Return whether this attempt of this task is not to start."""
        return key in self._cancelled

    def carry_out_soon(self) -> None:
        """Carry the orders out from any thread: at once where that is safe, else in the consumer's thread."""
        if self.pool != "prefork":
            self._stop_running()
        consumer = self._consumer
        if consumer is not None:
            consumer.call_soon(self.carry_out)

    def carry_out(self) -> None:
        """Bring the consumer's queues and the running tasks in line with the orders; in the consumer's thread."""
        consumer = self._consumer
        if consumer is None or getattr(consumer, "task_consumer", None) is None:
            return
        paused = self._paused_here()
        for queue in paused:
            if consumer.task_consumer.consuming_from(queue):
                logger.warning("Queue %s is paused", queue)
                consumer.cancel_task_queue(queue)
                self._held.add(queue)
                self._give_back(queue)
        for queue in sorted(self._held.difference(paused)):
            logger.warning("Queue %s is resumed", queue)
            consumer.add_task_queue(queue)
            self._held.discard(queue)
        self._stop_running()

    def _give_back(self, queue: str) -> None:
        """Return to the broker what this worker has taken from the queue and not begun.

        In prefork, where it waits in the main process. What threads and greenlets have been given cannot be taken from
        them, and still runs; so does what waits for its time (`eta`).
        """
        if self.pool != "prefork":
            return
        for request in list(state.reserved_requests):
            delivery = request.delivery_info
            begun = request in state.active_requests or request._apply_result is not None  # noqa: SLF001 (Celery's own)
            taken_from = names.queue_of(request.request_dict, delivery.get("exchange"), delivery.get("routing_key"))
            if begun or request.acknowledged or taken_from != queue:
                continue
            request._already_revoked = True  # noqa: SLF001 (so that the pool is not given it)
            request.reject(requeue=True)
            state.task_ready(request)

    def _paused_here(self) -> list[str]:
        paused = self._paused
        return [queue for queue in self._configured if queue in paused or ALL_QUEUES in paused]

    def _stop_running(self) -> None:
        if not self._cancelled:
            return
        for request in list(state.active_requests):
            order = self._cancelled.get(key_of(request))
            if order is not None:
                self.stop(request, order)

    def stop(self, request: Any, order: Cancellation) -> None:
        """Ask the running task of this request to stop, and see to it that it does."""
        key = key_of(request)
        if key in self._stopping:
            return
        self._stopping.add(key)
        logger.warning("Task %s[%s] is asked to stop, by %s", request.name, request.id, order.author or "somebody")
        self._insist(request, order, time.monotonic() + order.grace_seconds)

    def _insist(self, request: Any, order: Cancellation, deadline: float) -> None:
        key = key_of(request)
        if request not in state.active_requests:
            self._stopping.discard(key)
            self._forget_letter(request.worker_pid)
            return
        if self.pool == "prefork" and self._mailbox is not None:
            letter = self._mailbox / str(request.worker_pid)
            if letter.exists() or not getattr(request, "_orakul_asked", False):
                request._orakul_asked = True  # noqa: SLF001 (our own mark)
                with suppress(OSError):
                    stopping.post(self._mailbox, request.worker_pid, key, order.author)
        else:
            stopping.ask(key, self.pool, order.author)
        if time.monotonic() >= deadline and self.pool in ("prefork", "gevent", "eventlet"):
            logger.warning("Task %s[%s] did not stop within its grace period: killed", request.name, request.id)
            request.terminate(self._worker.pool, signal="SIGKILL")
            self._stopping.discard(key)
            self._forget_letter(request.worker_pid)
            return
        if self._worker.timer is not None:
            self._worker.timer.call_after(INSIST_SECONDS, self._insist, (request, order, deadline))

    def _stopped(self, request: Any, reason: stopping.TaskCancelled) -> None:
        """Record that a task has stopped on request, and tell the result backend, so that nobody waits for ever."""
        run = runs.running.get(request.id)
        if run is not None:
            data = {"kind": "celery", "attempt": run.attempt, "run": run.run, "outcome": "cancelled"}
            if run.cancel_requested:
                data["author"] = run.cancel_requested
            self._parts.emit("task.cancelled", request.id, data, user=run.user, trace_id=run.trace_id)
        task = self._app.tasks.get(request.task)
        if task is None:
            return
        try:
            ignore = task.ignore_result if request.ignore_result is None else request.ignore_result
            task.backend.mark_as_revoked(request.id, str(reason), request=request, store_result=not ignore)
        except Exception:  # the task has stopped, whatever the result backend says
            logger.exception("The result backend could not be told that task %s was cancelled", request.id)

    def _forget_letter(self, pid: int | None) -> None:
        if self._mailbox is not None and pid is not None:
            (self._mailbox / str(pid)).unlink(missing_ok=True)

    def meet(self, request: Any) -> Cancellation | None:
        """Return the cancellation of this request, if any; and forget an old revocation that a retry has overtaken."""
        if not self._cancelled and request.id not in state.revoked:
            return None  # asked twice for each task, in the process that feeds the pool
        order = self._cancelled.get(key_of(request))
        if order is None and request.id in state.revoked:
            sent = retried_at(request.request_dict)
            known: Any = state.revoked
            entry = known._data.get(request.id)  # noqa: SLF001 (when it was revoked is known nowhere else)
            if sent and entry is not None and time.monotonic() - entry[0] > time.time() - sent:
                state.revoked.discard(request.id)
        return order


def key_of(request: Any) -> stopping.Key:
    """Return the task id and attempt of a worker's request."""
    return request.id, names.attempt_of(request.request_dict)


def _obedient(base: type, obedience: Obedience) -> type:
    """Return the request class of a task, made to ask for cancellations right before it goes to the pool."""
    if getattr(base, "_orakul_obedient", False):
        return base

    class ObedientRequest(base):  # type: ignore[misc]
        _orakul_obedient = True

        def revoked(self) -> bool:
            if self._already_revoked:
                return True
            order = obedience.meet(self)
            if order is None:
                return bool(super().revoked())
            logger.info("Discarding cancelled task: %s[%s]", self.name, self.id)
            self._announce_revoked("cancelled", False, None, False)  # noqa: FBT003 (Celery's own signature)
            return True

        def on_accepted(self, pid: int, time_accepted: float) -> None:
            super().on_accepted(pid, time_accepted)
            order = obedience.meet(self)
            if order is not None and obedience.pool == "prefork":
                obedience.stop(self, order)

    return ObedientRequest


# -- remote control ---------------------------------------------------------------------------------------------------

_obedient_workers: list[Obedience] = []


def _each(panel: Any) -> list[Obedience]:
    for obedience in _obedient_workers:
        obedience.attach(panel.consumer)
    return _obedient_workers


@control_command(name="orakul_cancel", args=[("cancellations", list)])
def _on_cancel(panel: Any, cancellations: list[dict[str, Any]], **_: Any) -> None:
    for obedience in _each(panel):
        obedience.hear(_read(each) for each in cancellations)
        obedience.carry_out_soon()


@control_command(name="orakul_queue", args=[("queue", str), ("paused", bool)])
def _on_queue(panel: Any, queue: str, paused: bool, **_: Any) -> None:  # noqa: FBT001 (arguments come by name)
    for obedience in _each(panel):
        obedience.hear_queue(queue, paused=paused)
        obedience.carry_out_soon()


@control_command(name="orakul_orders", args=[("pauses", list), ("cancellations", list)])
def _on_orders(panel: Any, pauses: list[str], cancellations: list[dict[str, Any]], **_: Any) -> None:
    for obedience in _each(panel):
        obedience.hear(_read(each) for each in cancellations)
        obedience.take(pauses=pauses, cancellations=())
        obedience.carry_out_soon()


def _read(form: Mapping[str, Any]) -> Cancellation:
    at = form.get("requested_at")
    return Cancellation(
        task_id=str(form["task_id"]),
        attempt=int(form["attempt"]),
        requested_at=datetime.fromisoformat(at) if isinstance(at, str) else utc_now(),
        author=form.get("author"),
        grace_seconds=float(form.get("grace_seconds", 10.0)),
    )


def install_worker_side(app: Any, parts: "Parts") -> Obedience:
    """Make the workers of this application respect standing orders; called in a worker, at `worker_init`.

    Without a database (`parts.orders()` is None) a worker hears broadcasts only, which the server repeats.
    """
    obedience = Obedience(app, parts)

    def after_setup(instance: Any = None, **_: Any) -> None:
        if instance is not None and instance.app is app:
            _obedient_workers.append(obedience)
            obedience.prepare(instance)

    def ready(sender: Any = None, **_: Any) -> None:
        if sender is not None and sender.app is app:
            obedience.attach(sender)
            obedience.carry_out_soon()

    def process_init(**_: Any) -> None:
        obedience.become_child()

    def shutdown(**_: Any) -> None:
        obedience.close()

    name = f"orakul-obedience-{id(app)}"
    signals.celeryd_after_setup.connect(after_setup, weak=False, dispatch_uid=name)
    signals.worker_ready.connect(ready, weak=False, dispatch_uid=name)
    signals.worker_process_init.connect(process_init, weak=False, dispatch_uid=name)
    signals.worker_shutdown.connect(shutdown, weak=False, dispatch_uid=name)
    return obedience
