"""Celery's events in Orakul's words: what a fleet that does not know Orakul says of its tasks.

Celery's events carry no attempt beyond `task-received`, no run, no group; arguments and results are texts cut at 1,024
characters. So this keeps, of each open task, what the later events leave out. All that is made here bears the moment
and an id that follow from the event itself: the same event translated twice is stored once.
"""

import ast
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from orakul.events import Event, utc_now
from orakul.tasks.masking import MASK, Masks

__all__ = ["SOURCE", "OpenTask", "Translator"]

SOURCE = "celery-events"
_NAMESPACE = uuid.UUID("0d9f7a52-51a9-4d2e-8d3c-8e3c1f5b9a10")
_REMEMBERED = 100_000
_HEARTBEAT_SECONDS = 5.0


class OpenTask(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is known of a task that has not ended."""

    name: str = ""
    attempt: int = 1
    run: int = 0
    running: int | None = None
    """The attempt that runs, where one does; a retry is received before the attempt before it has ended."""
    worker: str | None = None
    heard_at: float = 0.0


class KnownWorker(msgspec.Struct, kw_only=True):
    """What is known of a worker that is up."""

    pid: int | None = None
    heard_at: float = 0.0
    said_at: float = 0.0
    facts: dict[str, Any] = {}


class Translator:
    """Makes Orakul's events from Celery's, one at a time, in the order in which they come."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks
        self.tasks: OrderedDict[str, OpenTask] = OrderedDict()
        self.workers: dict[str, KnownWorker] = {}

    def translate(self, form: Mapping[str, Any], received_at: float) -> list[Event]:
        """Return what one of Celery's events means; nothing for one that is not known."""
        kind = form.get("type")
        if not isinstance(kind, str):
            return []
        if kind.startswith("worker-"):
            return self._worker(kind, form, received_at)
        task_id = form.get("uuid")
        if not kind.startswith("task-") or not isinstance(task_id, str):
            return []
        task = self.tasks.pop(task_id, None) or OpenTask()
        self.tasks[task_id] = task
        while len(self.tasks) > _REMEMBERED:
            self.tasks.popitem(last=False)
        task.heard_at = received_at
        return self._task(kind.removeprefix("task-"), task_id, task, form)

    # -- tasks ------------------------------------------------------------------------------------------------------

    def _task(self, kind: str, task_id: str, task: OpenTask, form: Mapping[str, Any]) -> list[Event]:
        if isinstance(form.get("name"), str):
            task.name = form["name"]
        if kind in ("sent", "received"):
            return [self._waits(kind, task_id, task, form)]
        if kind == "started":
            task.running, task.worker = task.attempt, form.get("hostname")
            return [_event("task.in_progress", form, self._about(task, task.attempt, {"worker": task.worker}), task_id)]
        data = self._end(kind, form)
        if data is None:
            return []
        event_type = data.pop("event_type")
        attempt = task.running or task.attempt
        if event_type != "task.pending" and attempt == task.attempt:
            self.tasks.pop(task_id, None)  # else it waits for its next attempt
        task.running = None
        return [_event(event_type, form, self._about(task, attempt, data), task_id)]

    def _waits(self, kind: str, task_id: str, task: OpenTask, form: Mapping[str, Any]) -> Event:
        attempt = int(form.get("retries") or 0) + 1
        if kind == "received":
            if task.running == attempt == task.attempt:  # delivered again while it ran, or its worker was lost
                task.run, task.running = int(float(form.get("timestamp") or 0) * 1000), None
            task.worker = form.get("hostname")
        if attempt > task.attempt:
            task.attempt, task.run = attempt, 0
        data = {
            "queue": form.get("queue") or form.get("routing_key"),
            "parent_id": form.get("parent_id"),
            "root_id": form.get("root_id"),
            "eta": form.get("eta"),
            "expires": form.get("expires"),
            "arguments": self._arguments(form),
        }
        return _event("task.pending", form, self._about(task, attempt, data), task_id)

    @staticmethod
    def _end(kind: str, form: Mapping[str, Any]) -> dict[str, Any] | None:
        error: dict[str, Any]
        match kind:
            case "succeeded":
                end = {"event_type": "task.completed", "result": form.get("result")}
            case "failed" | "retried":
                error = _error(form.get("exception"), form.get("traceback"))
                end = {"event_type": "task.failed", "error": error}
                if kind == "retried":
                    end |= {"retrying": True, "reason": "retry"}
            case "revoked" if form.get("terminated"):
                end = {"event_type": "task.cancelled", "outcome": "terminated"}
            case "revoked":
                outcome = "expired" if form.get("expired") else "revoked"
                end = {"event_type": "task.cancelled", "outcome": outcome, "stage": "before_start"}
            case "rejected" if form.get("requeue"):
                end = {"event_type": "task.pending", "reason": "requeued"}
            case "rejected":
                error = {"type": "Reject", "message": "The task, or its worker, rejected the message."}
                end = {"event_type": "task.failed", "outcome": "rejected", "error": error}
            case "cancelled":
                error = {"type": "WorkerLost", "message": "The worker broke the task off when it lost the broker."}
                end = {"event_type": "task.failed", "stage": "lost", "error": error}
            case _:
                return None
        return end

    def _arguments(self, form: Mapping[str, Any]) -> dict[str, Any] | None:
        args, kwargs = form.get("args"), form.get("kwargs")
        if not isinstance(args, str) and not isinstance(kwargs, str):
            return None
        try:
            values = ast.literal_eval(args or "()"), ast.literal_eval(kwargs or "{}")
            return self._masks.show_arguments(tuple(values[0]), dict(values[1]), frozenset())
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            # Cut, or with values that have no literal: shown as the text that Celery sent, whole or not at all.
            words = kwargs or "{}"
            return {"args": [args or "()"], "kwargs": {"…": MASK if self._hides_any(words) else words}}

    def _hides_any(self, text: str) -> bool:
        quoted = text.replace('"', "'").split("'")[1::2]
        return any(self._masks.hides(word) for word in quoted)

    # -- workers ----------------------------------------------------------------------------------------------------

    def _worker(self, kind: str, form: Mapping[str, Any], received_at: float) -> list[Event]:
        name = form.get("hostname")
        if not isinstance(name, str):
            return []
        if kind == "worker-offline":
            self.workers.pop(name, None)
            return [_event("worker.offline", form, {"worker": name, "kind": "celery", "agentless": True})]
        pid = form.get("pid")
        known = self.workers.get(name)
        begins = kind == "worker-online" and known is not None and known.pid not in (None, pid)
        if known is None or begins:
            known = self.workers[name] = KnownWorker(facts=known.facts if known else {})
        known.pid, known.heard_at = pid, received_at
        if not begins and received_at - known.said_at < _HEARTBEAT_SECONDS:
            return []
        known.said_at = received_at
        # A worker that only comes back to its broker says `worker-online` too; its tasks have gone on.
        event_type = "worker.online" if begins else "worker.heartbeat"
        data = {
            "worker": name,
            "kind": "celery",
            "agentless": True,
            "pid": pid,
            "active": form.get("active"),
            "processed": form.get("processed"),
            "interval": form.get("freq"),
            "software": f"{form.get('sw_ident') or 'celery'} {form.get('sw_ver') or ''}".strip(),
            **known.facts,
        }
        return [_event(event_type, form, data)]

    def silent(self, now: float, lease: float) -> list[Event]:
        """Return the good-byes of workers not heard of for `lease` seconds; they are forgotten."""
        gone = [name for name, known in self.workers.items() if now - known.heard_at > lease]
        events = []
        for name in gone:
            del self.workers[name]
            data = {"worker": name, "kind": "celery", "agentless": True, "reason": f"silent for {lease:g} s"}
            events.append(Event(event_type="worker.offline", data=data, source=SOURCE))
        return events

    # -- what the workers say when asked ----------------------------------------------------------------------------

    def reconcile(
        self, active: Mapping[str, Iterable[Any]], held: Mapping[str, Iterable[Any]], now: float, patience: float
    ) -> list[Event]:
        """Return what the workers' own lists add: names, starts that were missed, and ends that were not seen.

        `active` is what each worker that answered runs, `held` all that it has, that included. A task of such a
        worker that it no longer has, and of which nothing was heard for `patience` seconds, has ended unseen.
        """
        events: list[Event] = []
        for worker, requests in active.items():
            for request in requests:
                events.extend(self._runs(worker, request, now))
        has = {worker: {str(request.get("id")) for request in requests} for worker, requests in held.items()}
        for task_id, task in list(self.tasks.items()):
            there = has.get(task.worker or "")
            if there is None or task_id in there or now - task.heard_at < patience:
                continue
            del self.tasks[task_id]
            message = (
                f"the end of the task was not seen: {task.worker} does not have it any more. It ended while nobody "
                "watched, or in a way of which Celery sends no event (`raise Ignore`)"
            )
            data = {
                "kind": "celery",
                "attempt": task.running or task.attempt,
                "run": task.run,
                "stage": "lost",
                "worker": task.worker,
                "error": {"type": "EndNotSeen", "message": message},
            }
            events.append(Event(event_type="task.failed", task_id=task_id, data=data, source=SOURCE))
        return events

    def _runs(self, worker: str, request: Mapping[str, Any], now: float) -> list[Event]:
        task_id = request.get("id")
        if not isinstance(task_id, str):
            return []
        task = self.tasks.get(task_id)
        if task is not None and task.name and task.running:
            task.heard_at = now
            return []
        task = self.tasks.setdefault(task_id, task or OpenTask())
        task.name = task.name or str(request.get("name") or "")
        task.worker, task.running, task.heard_at = worker, task.attempt, now
        started = request.get("time_start")
        delivery = request.get("delivery_info") or {}
        data = {"worker": worker, "queue": delivery.get("routing_key"), "priority": delivery.get("priority")}
        form = {"timestamp": started or now, "hostname": worker, "type": "active"}
        return [_event("task.in_progress", form, self._about(task, task.attempt, data), task_id)]

    # -- inner ------------------------------------------------------------------------------------------------------

    @staticmethod
    def _about(task: OpenTask, attempt: int, more: Mapping[str, Any]) -> dict[str, Any]:
        run = task.run if attempt == task.attempt else 0
        return {"kind": "celery", "attempt": attempt, "run": run, "name": task.name or None, **more}


def _event(event_type: str, form: Mapping[str, Any], data: dict[str, Any], task_id: str | None = None) -> Event:
    stamp = form.get("timestamp")
    at = datetime.fromtimestamp(stamp, UTC) if isinstance(stamp, (int, float)) else utc_now()
    origin = (form.get("type"), task_id, form.get("hostname"), form.get("pid"), form.get("clock"), stamp)
    return Event(
        event_type=event_type,
        event_id=str(uuid.uuid5(_NAMESPACE, repr(origin))),
        timestamp=at,
        task_id=task_id,
        data={name: value for name, value in data.items() if value is not None},
        source=SOURCE,
    )


def _error(exception: Any, traceback: Any) -> dict[str, Any]:
    """Return an error from `ValueError('no good')` and the traceback's text."""
    text = exception if isinstance(exception, str) else ""
    kind, bracket, rest = text.partition("(")
    message = text
    if bracket and rest.endswith(")") and kind.replace(".", "").replace("_", "").isalnum():
        message = rest[:-1]
        try:
            value = ast.literal_eval(message.rstrip(",") or "''")
            message = value if isinstance(value, str) else message
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            pass
    else:
        kind = "Error"
    error: dict[str, Any] = {"type": kind, "message": message}
    if isinstance(traceback, str) and traceback:
        error["traceback"] = traceback
    return error
