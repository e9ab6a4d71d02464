"""The side that runs tasks (a pool child, a thread, a greenlet): start, end, error, retry of each run."""

import sys
from binascii import b2a_base64
from typing import Any

from celery import states

from orakul.events import Event, current_user
from orakul.events.context import enter_user, leave_user
from orakul.events.trace import current_trace
from orakul.events.work import Work, look_for_work
from orakul.runners.celery.chords import bodies_of
from orakul.runners.celery.failures import error_of
from orakul.runners.celery.flows import OPERATION, begin_flow, end_flow
from orakul.runners.celery.headers import USER, attempt_of, parent_of, put, queue_of, run_of, trace_of
from orakul.runners.celery.originals import original_in_frame, seal_original
from orakul.runners.celery.parts import RESULT_LIMITS, Parts, quiet
from orakul.runners.celery.runs import Run, current_run, enter, leave, running
from orakul.runners.celery.stopping import TaskCancelled
from orakul.tasks.masking import hide_in

__all__ = ["ExecutionSide"]

_PLAIN = frozenset((int, float, str, bool, type(None)))


class ExecutionSide:
    """Records what `task_prerun`, `task_success`, `task_failure`, `task_retry` and `task_postrun` say."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.prerun = quiet(self._prerun)
        self.success = quiet(self._success)
        self.postrun = quiet(self._postrun)
        self.internal_error = quiet(self._internal_error)
        look_for_work(self.here)

    def here(self) -> Work | None:
        """Return what runs in the caller's context, for the lines of logs."""
        run = current_run()
        if run is None:
            return None
        facts = run.request.__dict__
        delivery = facts.get("delivery_info") or {}
        return Work(
            task_id=run.task_id,
            kind="celery",
            name=run.name,
            attempt=run.attempt,
            queue=queue_of(facts, delivery.get("exchange"), delivery.get("routing_key")),
            worker=facts.get("hostname"),
            user_id=run.user,
            trace_id=run.trace_id,
            secrets=self.secrets_of(run),
        )

    def _prerun(self, *, task_id: str, task: Any, args: Any, kwargs: Any, **_: Any) -> None:
        request = task.request
        facts = request.__dict__
        delivery = facts.get("delivery_info") or {}
        run = Run(task_id, facts.get("shadow") or task.name, (attempt_of(facts), run_of(facts)), facts.get(USER), task)
        run.request = request
        run.trace_id = trace_of(facts) or current_trace()
        data: dict[str, Any] = {
            "kind": "celery",
            "name": run.name,
            "attempt": run.attempt,
            "run": run.run,
            "root_id": facts.get("root_id") or task_id,
            "pid": self._parts.pid,
        }
        if facts.get("is_eager"):
            # Run on the spot, by no worker: nobody published it, so its arguments are told here.
            data["arguments"] = self._parts.masks.show_arguments(args, kwargs, self._parts.masked_positions(task.name))
            run.user = run.user or current_user()
        else:
            data["worker"] = facts.get("hostname")
            data["queue"] = queue_of(facts, delivery.get("exchange"), delivery.get("routing_key"))
        put(data, parent_id=parent_of(facts, task_id), group_id=facts.get("group"), priority=delivery.get("priority"))
        original = None
        if self._parts.keeps_messages and (run.run or not facts.get("retries")):
            original = self._original(run, data.get("queue"))
        enter(run)
        if run.user is not None:
            run.user_token = enter_user(run.user)
        run.flow = begin_flow(facts.get(OPERATION), task_id, run.user)
        self._parts.emit("task.in_progress", task_id, data, user=run.user, trace_id=run.trace_id, before=original)

    def _original(self, run: Run, queue: str | None) -> Event | None:
        """Return the original message, sealed: recorded before the task starts, as after a kill it were too late."""
        sealer = self._parts.sealer
        original = original_in_frame(queue)
        if sealer is None or original is None:
            return None
        sealed = b2a_base64(seal_original(sealer, run.task_id, original), newline=False).decode("ascii")
        data = {"attempt": run.attempt, "sealed": sealed}
        return Event(event_type="task.message", task_id=run.task_id, data=data, source="celery")

    def _success(self, *, result: Any, **_: Any) -> None:
        run = current_run()
        if run is None or run.ended:
            return
        shown = self._parts.masks.show(result, RESULT_LIMITS)
        secrets = self.secrets_of(run)
        self._end(run, "task.completed", {"result": hide_in(shown, secrets) if secrets else shown})

    def failed(self, run: Run, exception: BaseException, einfo: Any) -> None:
        """Record that the run raised."""
        self._end(run, "task.failed", {"error": error_of(exception, einfo, self.secrets_of(run))})
        self._leave_bodies(run)

    def _leave_bodies(self, run: Run) -> None:
        """Say of the chord that the run's task was in that its body will not run."""
        facts = run.request.__dict__ if run.request is not None else {}
        if not (facts.get("chord") or facts.get("chain")):
            return
        message = f"not run, as a task of its header failed: {run.name} {run.task_id}"
        for task_id, name, group in bodies_of(facts):
            data: dict[str, Any] = {"kind": "celery", "name": name, "attempt": 1, "run": 0, "stage": "before_start"}
            data["error"] = {"type": "celery.exceptions.ChordError", "message": message}
            put(data, root_id=facts.get("root_id"), group_id=group)
            self._parts.emit("task.failed", task_id, data, user=run.user, trace_id=run.trace_id)

    def retried(self, run: Run, reason: Any, einfo: Any) -> None:
        """Record that the run ended and Celery will try again; the next attempt was recorded when it was sent."""
        cause = getattr(reason, "exc", None)
        error = error_of(cause if isinstance(cause, BaseException) else reason, einfo, self.secrets_of(run))
        self._end(run, "task.failed", {"error": error, "retrying": True, "reason": "retry"})

    def _postrun(self, *, task_id: str, task: Any, retval: Any = None, state: str | None = None, **_: Any) -> None:
        run = current_run()
        if run is None or run.task_id != task_id:
            run = running.get(task_id)
            if run is None:
                return
        try:
            if not run.ended:
                self._end_otherwise(run, task, retval, state)
        finally:
            end_flow(run.flow)
            if run.user_token is not None:
                leave_user(run.user_token)
            leave(run)

    def _end_otherwise(self, run: Run, task: Any, retval: Any, state: str | None) -> None:
        """Give an end to what Celery leaves open: ignored, rejected, replaced, broken off."""
        if state == states.IGNORED:
            if isinstance(retval, TaskCancelled):
                run.ended = True  # told by who stopped it
            elif run.followed or str(retval) == "Replaced by new task":
                self._replaced(run)
            else:
                self._end(run, "task.completed", {"outcome": "ignored"})
        elif state == states.REJECTED:
            self._rejected(run, task, retval)
        elif state == states.SUCCESS:
            self._success(result=retval)
        elif state == states.FAILURE and isinstance(retval, BaseException):
            self.failed(run, retval, None)
        elif state is None:
            self._broken_off(run)

    def _replaced(self, run: Run) -> None:
        """Say that the task waits again, as what replaces it; sent already, or to be sent by another task."""
        run.ended = True
        self._parts.emit(
            "task.pending",
            run.task_id,
            {"kind": "celery", "attempt": run.attempt + 1, "run": 0, "reason": "replaced"},
            user=run.user,
            trace_id=run.trace_id,
        )

    def _rejected(self, run: Run, task: Any, reason: Any) -> None:
        acks_late = task.acks_late
        if getattr(reason, "requeue", False) and acks_late:
            self._end(run, "task.pending", {"run": run.run + 1, "reason": "requeued"})
            return
        cause = getattr(reason, "reason", None)
        error = error_of(cause if isinstance(cause, BaseException) else reason, None, self.secrets_of(run))
        self._end(run, "task.failed", {"outcome": "rejected", "error": error})

    def _broken_off(self, run: Run) -> None:
        """Record a run that something other than an exception of the task broke off, if nobody else will say so.

        It ranks as lost: where the main process knows better (a time limit, a revocation), that outranks it.
        """
        exception = sys.exc_info()[1]
        if run.cancel_requested is not None or exception is None or _is_from_pool(exception):
            if run.cancel_requested is not None:
                self._end(run, "task.cancelled", {})
            return
        error = error_of(exception, None, self.secrets_of(run))
        self._end(run, "task.failed", {"stage": "lost", "error": error})

    def _end(self, run: Run, event_type: str, data: dict[str, Any]) -> None:
        run.ended = True
        if run.trace_id is None:
            # It begins here, by whoever was told of the start after us.
            run.trace_id = trace_of(run.request.__dict__ if run.request is not None else {}) or current_trace()
        if run.cancel_requested is not None and event_type == "task.failed":
            event_type = "task.cancelled"
            data = {"outcome": "cancelled", "author": run.cancel_requested or None}
        self._parts.emit(
            event_type,
            run.task_id,
            {"kind": "celery", "attempt": run.attempt, "run": run.run, **data},
            user=run.user,
            trace_id=run.trace_id,
        )

    def _internal_error(self, *, task_id: str, request: Any = None, exception: Any = None, **kw: Any) -> None:
        run = running.get(task_id)
        if run is None:
            facts = request if isinstance(request, dict) else getattr(request, "__dict__", {})
            run = Run(task_id, "", (attempt_of(facts), run_of(facts)), facts.get(USER), None)
        error = error_of(exception, kw.get("einfo"), ())
        self._end(run, "task.failed", {"outcome": "internal error", "error": error})

    def secrets_of(self, run: Run) -> tuple[str, ...]:
        """Return the values of the run's masked arguments, to be masked in its texts too."""
        if run.secrets is None:
            run.secrets = ()
            found: list[str] = []
            request = run.request
            args, kwargs = request.args or (), request.kwargs or {}
            positions = self._parts.masked_positions(run.task.name)
            if positions or kwargs or not _PLAIN.issuperset(map(type, args)):
                self._parts.masks.show_arguments(args, kwargs, positions, found)
            run.secrets = tuple(sorted(set(found), key=len, reverse=True))
        return run.secrets


def _is_from_pool(exception: BaseException) -> bool:
    """Tell whether the pool raised it inside the task (a signal's handler): the main process knows why."""
    if not isinstance(exception, SystemExit):
        return False
    frame = exception.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and "billiard" in frame.tb_frame.f_code.co_filename
