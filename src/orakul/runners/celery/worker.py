"""The worker's main process: what it receives, revokes, rejects, loses; that it lives; and the original messages."""

import contextlib
import sys
from binascii import b2a_base64
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from orakul.runners.celery.execution import ExecutionSide
from orakul.runners.celery.failures import error_of
from orakul.runners.celery.headers import (
    ATTEMPT,
    QUEUE,
    RUN,
    SENT,
    USER,
    attempt_of,
    eta_of,
    new_run,
    parent_of,
    put,
    queue_of,
    run_of,
    trace_of,
)
from orakul.runners.celery.originals import original_of, seal_original
from orakul.runners.celery.parts import Parts, quiet
from orakul.runners.celery.runs import current_run

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["WorkerSide"]

_OURS = (USER, ATTEMPT, SENT, QUEUE)
_REMEMBERED = 1000
_FRAMES = 12


class WorkerSide:
    """Records what the main process knows and the side that runs the task does not, or not always."""

    def __init__(self, parts: Parts, execution: ExecutionSide) -> None:
        self._parts = parts
        self._execution = execution
        self._told: OrderedDict[tuple[str, int, int], None] = OrderedDict()
        self.received = quiet(self._received)
        self.revoked = quiet(self._revoked)
        self.failed = quiet(self._failed)
        self.retried = quiet(self._retried)
        self.unknown = quiet(self._unknown)
        self.rejected = quiet(self._rejected)

    def _received(self, *, request: Any, **_: Any) -> None:
        facts = request.request_dict
        inner = facts.get("headers")
        if type(inner) is dict:  # protocol 1 keeps the message's headers apart
            facts.update({name: inner[name] for name in _OURS if name in inner})
        delivery = request.delivery_info
        again = bool(delivery.get("redelivered"))
        if again:
            facts[RUN] = new_run()
        else:
            facts.pop(RUN, None)
        if (again and not _may_be_deduplicated(request)) or (SENT not in facts and not again):
            self._record_pending(request, facts, delivery)
        if request.content_type is None and self._parts.keeps_messages and (again or not facts.get("retries")):
            self._keep(request.id, request.message, facts)  # protocol 1: the pool is not given the body as it came
        if request.task.acks_late or facts.get("eta"):
            self._watch_rejection(request)

    def _record_pending(self, request: Any, facts: dict[str, Any], delivery: dict[str, Any]) -> None:
        """Record a task that nobody recorded (an uninstrumented publisher), or one that came again."""
        data = _identity(facts, request.name)
        data["queue"] = queue_of(facts, delivery.get("exchange"), delivery.get("routing_key"))
        put(data, priority=delivery.get("priority"), eta=eta_of(facts), expires=eta_of(facts, "expires"))
        if data["attempt"] == 1:
            positions = self._parts.masked_positions(request.task.name)
            data["arguments"] = self._parts.masks.show_arguments(request.args or (), request.kwargs or {}, positions)
        self._parts.emit("task.pending", request.id, data, user=facts.get(USER), trace_id=trace_of(facts))

    def _keep(self, task_id: str, message: Any, facts: dict[str, Any]) -> None:
        """Record the original message of a task that the pool does not get, or not as it came."""
        sealer = self._parts.sealer
        delivery = message.delivery_info or {}
        original = original_of(message, queue_of(facts, delivery.get("exchange"), delivery.get("routing_key")))
        if sealer is None or original is None:
            return
        sealed = b2a_base64(seal_original(sealer, task_id, original), newline=False).decode("ascii")
        self._parts.emit("task.message", task_id, {"attempt": attempt_of(facts), "sealed": sealed})

    def _watch_rejection(self, request: Any) -> None:
        """Hear of a message that goes back to the queue, or is dropped before its task ever started."""
        reject = request.on_reject
        facts = request.request_dict
        task_id = request.id

        @quiet
        def tell(requeue: bool) -> None:  # noqa: FBT001 (Celery's own argument)
            if requeue:
                data = _identity(facts, request.name)
                data |= {"run": data["run"] + 1, "reason": "requeued"}
                self._parts.emit("task.pending", task_id, data, user=facts.get(USER))
            elif request.time_start is None and current_run() is None:
                error = {"type": "Reject", "message": "The worker rejected the message before the task started."}
                self._fail(task_id, facts, request.name, {"stage": "before_start", "outcome": "rejected"}, error)

        def on_reject(logger: Any, errors: Any, requeue: Any = False) -> Any:  # noqa: FBT002 (Celery's own signature)
            tell(bool(requeue))
            return reject(logger, errors, requeue)

        request.on_reject = on_reject

    def _revoked(
        self, *, request: Any, terminated: bool = False, expired: bool = False, signum: Any = None, **_: Any
    ) -> None:
        facts = request.__dict__
        if RUN not in facts and (facts.get("delivery_info") or {}).get("redelivered"):
            facts[RUN] = new_run()  # revoked when it was received, so `task_received` did not see it
        data = _identity(facts, facts.get("shadow") or facts.get("task") or "")
        put(data, worker=facts.get("hostname"))  # who has met it: a standing order to cancel it is done with
        if terminated:
            data["outcome"] = "terminated"
            data["reason"] = f"signal {signum}" if signum else "terminated"
        else:
            data["outcome"] = "expired" if expired else "revoked"
            data["stage"] = "before_start"
        run = current_run()
        if run is not None and run.task_id == request.id:
            run.ended = True
        self._parts.emit("task.cancelled", request.id, data, user=facts.get(USER), trace_id=trace_of(facts))

    def _failed(self, *, sender: Any, task_id: str, exception: Any = None, einfo: Any = None, **_: Any) -> None:
        run = current_run()
        if run is not None and run.task_id == task_id:
            if not run.ended:
                self._execution.failed(run, exception, einfo)
            return
        if type(exception).__name__ == "Reject":
            return  # told where the task ran
        facts = _facts_in_frames(task_id)
        self._fail(task_id, facts, getattr(sender, "name", ""), {}, error_of(exception, einfo))

    def _fail(
        self, task_id: str, facts: dict[str, Any], name: str, more: dict[str, Any], error: dict[str, Any]
    ) -> None:
        data = _identity({"id": task_id, **facts}, name)
        key = (task_id, data["attempt"], data["run"])
        if key in self._told:  # Celery tells a hard time limit twice
            return
        self._told[key] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        data |= more
        data["error"] = error
        self._parts.emit("task.failed", task_id, data, user=facts.get(USER), trace_id=trace_of(facts))

    def _retried(self, *, request: Any, reason: Any = None, einfo: Any = None, **_: Any) -> None:
        run = current_run()
        if run is not None and run.task_id == request.id:
            if not run.ended:
                self._execution.retried(run, reason, einfo)
            return
        facts = request.__dict__
        name = facts.get("shadow") or facts.get("task") or ""
        if reason is not None:  # `retry_on_worker_lost`: sent again by the main process
            self._fail(request.id, facts, name, {"retrying": True}, error_of(getattr(reason, "exc", None), einfo))
        else:  # broken off as the worker shuts down cold or loses its broker
            error = {"type": "WorkerShutdown", "message": "The worker stopped while the task ran."}
            self._fail(request.id, facts, name, {"stage": "lost"}, error)

    def _unknown(self, *, message: Any = None, name: str = "", id: str | None = None, **_: Any) -> None:  # noqa: A002
        if id is None:
            return
        headers = dict(getattr(message, "headers", None) or {})
        delivery = getattr(message, "delivery_info", None) or {}
        if self._parts.keeps_messages and message is not None:
            self._keep(id, message, headers)
        error = {
            "type": "celery.exceptions.NotRegistered",
            "message": f"No task named {name!r} is registered in the worker that received it.",
        }
        more = {
            "stage": "before_start",
            "queue": queue_of(headers, delivery.get("exchange"), delivery.get("routing_key")),
        }
        self._fail(id, headers, name, more, error)

    def _rejected(self, *, message: Any = None, exc: Any = None, **_: Any) -> None:
        """Record a task whose message no worker can read."""
        headers: Any = getattr(message, "headers", None)
        task_id = headers.get("id") if isinstance(headers, dict) else None
        if not isinstance(task_id, str):
            return
        error = error_of(exc) if exc is not None else {"type": "DecodeError", "message": "The message is not a task."}
        error.pop("traceback", None)
        name = headers.get("task")
        self._fail(task_id, headers, name if isinstance(name, str) else "", {"stage": "before_start"}, error)

    def watch_undecodable(self, consumer: Any) -> None:
        """Hear of messages that cannot be decoded: Celery logs them, drops them, and sends no signal."""
        original = consumer.on_decode_error

        def on_decode_error(message: Any, exc: BaseException) -> Any:
            with contextlib.suppress(Exception):
                self.rejected(message=message, exc=exc)
            return original(message, exc)

        consumer.on_decode_error = on_decode_error


def _facts_in_frames(task_id: str) -> dict[str, Any]:
    """Return what the message said of a task whose request is telling us of its failure, from the call that does.

    The signal says no attempt; to note each request on its receipt, for this alone, would cost every task.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 (the only way to the request)
    for _ in range(_FRAMES):
        if frame is None:
            break
        if "self" in frame.f_code.co_varnames[:1]:
            facts = getattr(frame.f_locals["self"], "request_dict", None)
            if isinstance(facts, dict) and facts.get("id") == task_id:
                return facts
        frame = frame.f_back
    return {}


def _identity(facts: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what every event of the main process says of its task."""
    data: dict[str, Any] = {
        "kind": "celery",
        "attempt": attempt_of(facts),
        "run": run_of(facts),
        "root_id": facts.get("root_id") or facts.get("id"),
    }
    put(data, name=name, parent_id=parent_of(facts, facts.get("id")), group_id=facts.get("group"))
    return data


def _may_be_deduplicated(request: Any) -> bool:
    """Tell whether Celery may drop the redelivery in silence, as the task has succeeded before."""
    conf = request.app.conf
    return bool(conf.worker_deduplicate_successful_tasks and request.task.acks_late)
