"""Celery as a runner: commands sent from the server, which knows the broker's URL and not the application.

Instrumented workers obey our own remote-control commands (see `obedience`); workers that do not know Orakul, seen by
`orakul watch celery`, get Celery's own (`revoke`, `cancel_consumer`, `add_consumer`), which hold as long as they live
and are repeated while the order stands.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orakul.errors import NotPossibleError, UnavailableError
from orakul.runners.celery.broker import Broker
from orakul.runners.celery.depths import broker_depths
from orakul.runners.celery.editing import edited, shown_for_editing
from orakul.runners.celery.management import management_of
from orakul.runners.celery.obedience import install_worker_side
from orakul.runners.celery.originals import Original, open_original, seal_original
from orakul.runners.celery.renewal import renewed
from orakul.tasks.depths import QueueDepth
from orakul.tasks.edited import Prepared
from orakul.tasks.masking import Masks
from orakul.tasks.orders import ALL_QUEUES, Cancellation, Fleet, Worker
from orakul.tasks.reader import PausedQueue
from orakul.tasks.sealing import Sealer
from orakul.tasks.status import Status
from orakul.tasks.task import Task

__all__ = ["CeleryRunner", "install_worker_side"]

logger = logging.getLogger(__name__)

_CANCELLATIONS_A_MESSAGE = 200


class CeleryRunner:
    """Fulfils `Runner` for a fleet of Celery workers behind one broker."""

    kind = "celery"

    def __init__(
        self,
        broker_url: str,
        sealer: Sealer | None = None,
        *,
        fleet: Fleet | None = None,
        transport_options: Mapping[str, Any] | None = None,
        control_exchange: str = "celery",
        masks: Masks | None = None,
        management: str | None = None,
    ) -> None:
        self._broker = Broker(broker_url, transport_options, control_exchange)
        self._management = management_of(broker_url, management)
        self._sealer = sealer
        self._fleet = fleet
        self._masks = masks or Masks(())

    def retry(self, task: Task, sealed: bytes) -> None:
        """Send the kept message again as attempt `task.attempt`: once, or BrokerUnavailableError."""
        self._broker.publish(renewed(self._original(task, sealed), task.attempt))

    def editable(self, task: Task, sealed: bytes) -> dict[str, Any]:
        """Return the arguments of the kept message, secrets masked."""
        return shown_for_editing(self._original(task, sealed), self._masks, task.arguments)

    def prepare(
        self, task: Task, sealed: bytes, new_id: str, arguments: Mapping[str, Any], queue: str | None
    ) -> Prepared:
        """Return the kept message with these arguments, for a new task."""
        original = self._original(task, sealed)
        shown = shown_for_editing(original, self._masks, task.arguments)
        new = edited(original, shown, arguments, new_id, queue)
        return Prepared(
            sealed=seal_original(self._opener(), new_id, new),
            queue=queue or task.queue,
            arguments=self._masks.show(shown_for_editing(new, self._masks, task.arguments)),
        )

    def _original(self, task: Task, sealed: bytes) -> Original:
        return open_original(self._opener(), task.task_id, sealed)

    def _opener(self) -> Sealer:
        if self._sealer is None:
            raise NotPossibleError("kept messages cannot be opened here: no secret key is set (ORAKUL_SECRET_KEY)")
        return self._sealer

    def cancel(self, task: Task, order: Cancellation) -> None:
        """Tell all workers of one cancellation."""
        self._broker.broadcast("orakul_cancel", {"cancellations": [_form(order)]}, self._instrumented())
        strangers = self._strangers()
        if strangers:
            running = task.status is Status.IN_PROGRESS
            arguments = {"task_id": task.task_id, "terminate": running, "signal": "SIGTERM"}
            self._broker.broadcast("revoke", arguments, strangers)

    def pause(self, queue: str) -> None:
        """Tell all workers to stop taking from the queue."""
        self._broker.broadcast("orakul_queue", {"queue": queue, "paused": True}, self._instrumented())
        self._switch("cancel_consumer", queue)

    def resume(self, queue: str) -> None:
        """Tell all workers to take from the queue again."""
        self._broker.broadcast("orakul_queue", {"queue": queue, "paused": False}, self._instrumented())
        self._switch("add_consumer", queue)

    def repeat(self, pauses: Sequence[PausedQueue], cancellations: Sequence[Cancellation]) -> None:
        """Tell all workers the whole of the standing orders."""
        queues = [pause.queue for pause in pauses]
        instrumented = self._instrumented()
        for start in range(0, max(len(cancellations), 1), _CANCELLATIONS_A_MESSAGE):
            some = cancellations[start : start + _CANCELLATIONS_A_MESSAGE]
            arguments = {"pauses": queues, "cancellations": [_form(order) for order in some]}
            self._broker.broadcast("orakul_orders", arguments, instrumented)
        for queue in queues:
            self._switch("cancel_consumer", queue)
        strangers = self._strangers()
        if strangers:
            for order in cancellations:
                self._broker.broadcast("revoke", {"task_id": order.task_id}, strangers)

    def depths(self, queues: Sequence[str]) -> Mapping[str, int | QueueDepth | None]:
        """Return how many messages wait in each queue at the broker, None for one that it does not know.

        RabbitMQ's management API is asked first, as it knows more.
        """
        told = self._management.depths(queues) if self._management else None
        if told is not None:
            return {queue: told.get(queue) for queue in queues}
        return broker_depths(self._broker, queues)

    # -- workers that do not know Orakul ----------------------------------------------------------------------------

    def _switch(self, command: str, queue: str) -> None:
        """Send one of Celery's own queue commands to the strangers that it concerns."""
        by_queue: dict[str, list[str]] = {}
        for worker in self._known(_is_stranger):
            for each in worker.queues if queue == ALL_QUEUES else [queue]:
                by_queue.setdefault(each, []).append(worker.worker)
        for each, destination in by_queue.items():
            self._broker.broadcast(command, {"queue": each}, destination)

    def _strangers(self) -> list[str]:
        return [worker.worker for worker in self._known(_is_stranger)]

    def _instrumented(self) -> list[str] | None:
        """Return whom our own commands go to: everybody, or, where strangers are about, those that know them.

        A stranger would write an error into its log for each command that it does not know. An instrumented worker
        that is too new to be in the list reads the standing orders by itself.
        """
        workers = self._known(lambda _: True)
        if not any(_is_stranger(worker) for worker in workers):
            return None
        return [worker.worker for worker in workers if not _is_stranger(worker)]

    def _known(self, which: Callable[[Worker], bool]) -> list[Worker]:
        if self._fleet is None:
            return []
        try:
            return [w for w in self._fleet.workers() if w.kind == self.kind and w.status != "offline" and which(w)]
        except UnavailableError:
            logger.warning("The fleet cannot be read now; the order goes to all workers in Orakul's own form only")
            return []


def _is_stranger(worker: Worker) -> bool:
    return bool(worker.facts.get("agentless"))


def _form(order: Cancellation) -> dict[str, Any]:
    return {
        "task_id": order.task_id,
        "attempt": order.attempt,
        "requested_at": order.requested_at.isoformat(),
        "author": order.author,
        "grace_seconds": order.grace_seconds,
    }
