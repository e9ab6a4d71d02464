"""Celery: the correlation id and the trace travel with each message; a span where it is sent, one where it runs.

Spans follow OpenTelemetry's conventions for messaging: a producer's `send <task>`, and below it, in the worker, the
consumer's `process <task>`. A retry is sent from within the run before it, so it is below that, and linked to it.
Where OpenTelemetry's own instrumentation of Celery is in use, spans are its own and ours are not made.
"""

import logging
import sys
from threading import local
from typing import TYPE_CHECKING, Any

from celery import signals
from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.trace import Link, Span, SpanKind
from opentelemetry.trace.status import Status, StatusCode

from orakul.events.trace import current_traceparent
from orakul.telemetry.correlation import ATTRIBUTE, HEADER, correlation_id, enter_correlation, leave_correlation, sane

if TYPE_CHECKING:
    from orakul.telemetry.tracing import Tracing

__all__ = ["BEFORE", "CelerySpans", "connect"]

log = logging.getLogger(__name__)

BEFORE = "orakul_traced_before"
"""Header of a retry's message: the span of the run before it, as a `traceparent`."""

_RUN = "_orakul_traced"
_TRACEPARENT = "traceparent"
_SYSTEMS = {"amqp": "rabbitmq", "amqps": "rabbitmq", "pyamqp": "rabbitmq", "rediss": "redis", "sqs": "aws_sqs"}
_WAITING = 8
"""Messages that a thread can be in the midst of sending: one, and those that handlers of that signal send."""

_connected: "CelerySpans | None" = None


def connect(app: Any, tracing: "Tracing") -> None:
    """Trace Celery's tasks in this process, of all its applications; again changes nothing."""
    global _connected  # noqa: PLW0603 (Celery's signals are global too)
    if _connected is not None:
        return
    _connected = CelerySpans(app, tracing)
    for signal, handler in (
        (signals.before_task_publish, _connected.sending),
        (signals.after_task_publish, _connected.sent),
        (signals.task_prerun, _connected.begins),
        (signals.task_failure, _connected.failed),
        (signals.task_retry, _connected.retried),
        (signals.task_postrun, _connected.ends),
        (signals.worker_process_shutdown, _connected.process_ends),
    ):
        signal.connect(handler, weak=False)


class CelerySpans:
    """What Celery's signals become; nothing here raises into the application: Celery logs what a handler raises."""

    def __init__(self, app: Any, tracing: "Tracing") -> None:
        self._app = app
        self._tracing = tracing
        self._system: str | None = None
        self._made: trace.Tracer | None = None
        self._here = local()

    # --- who sends

    def sending(
        self, *, sender: str, headers: dict[str, Any], body: Any, routing_key: Any = None, declare: Any = None, **_: Any
    ) -> None:
        """Begin the producer's span, and put it and the correlation id into the message's headers."""
        known = correlation_id()
        if known is not None:
            headers[HEADER] = known
        if not self._tracing.enabled or _told_otherwise():
            return
        facts = headers if "id" in headers else body
        task_id = facts["id"]
        run = self._current()
        if run is not None and run[1] == task_id and (before := current_traceparent()) is not None:
            headers[BEFORE] = before
        else:
            headers.pop(BEFORE, None)
        around = None
        if not trace.get_current_span().get_span_context().is_valid and _TRACEPARENT in headers:
            around = propagate.extract(headers)  # sent on behalf of a trace that the caller names
        queue = getattr(declare[0], "name", None) if declare else None
        span = self._tracer().start_span(
            f"send {sender}",
            context=around,
            kind=SpanKind.PRODUCER,
            attributes=self._attributes("send", sender, task_id, facts, queue or routing_key),
        )
        propagate.inject(headers, context=trace.set_span_in_context(span, around))
        waiting: list[tuple[str, Span]] = self._here.__dict__.setdefault("waiting", [])
        waiting.append((task_id, span))
        if len(waiting) > _WAITING:  # nobody is told of a message that could not be sent
            _never_sent(waiting.pop(0)[1])

    def sent(self, *, headers: dict[str, Any], body: Any, **_: Any) -> None:
        """End the span of what was sent, and those of earlier messages that could not be."""
        waiting: list[tuple[str, Span]] = self._here.__dict__.get("waiting", [])
        task_id = (headers if "id" in headers else body)["id"]
        while waiting:
            known, span = waiting.pop()
            if known == task_id:
                span.end()
                break
            _never_sent(span)

    def _end_unsent(self) -> None:
        for _, span in self._here.__dict__.pop("waiting", ()):
            _never_sent(span)

    # --- who runs

    def begins(self, *, task_id: str, task: Any, **_: Any) -> None:
        """Enter the correlation id of the message, and the consumer's span, below the span that sent it."""
        request = task.request
        facts = request.__dict__
        carried = facts if _TRACEPARENT in facts or HEADER in facts else facts.get("headers") or facts
        eager = facts.get("is_eager")
        correlation = None if eager else enter_correlation(sane(carried.get(HEADER)))
        if not self._tracing.enabled or _told_otherwise():
            facts[_RUN] = (None, task_id, None, correlation)
            return
        around = propagate.extract(carried) if _TRACEPARENT in carried else None
        before = carried.get(BEFORE)
        link = trace.get_current_span(propagate.extract({_TRACEPARENT: before})) if isinstance(before, str) else None
        delivery = facts.get("delivery_info") or {}
        attributes = self._attributes(
            "process", task.name, task_id, facts, facts.get("orakul_queue") or delivery.get("routing_key")
        )
        if facts.get("hostname"):
            attributes["celery.worker"] = facts["hostname"]
        span = self._tracer().start_span(
            f"process {task.name}",
            context=around,
            kind=SpanKind.INTERNAL if eager else SpanKind.CONSUMER,
            attributes=attributes,
            links=None if link is None else [Link(link.get_span_context())],
        )
        token = contexts.attach(trace.set_span_in_context(span, around))
        facts[_RUN] = run = (span, task_id, token, correlation)
        if _TRACEPARENT not in facts and (own := current_traceparent()) is not None:
            facts[_TRACEPARENT] = own  # whoever records the task finds its trace, also where it begins here
        self._here.__dict__.setdefault("runs", []).append(run)

    def failed(self, *, sender: Any = None, task_id: str, exception: Any = None, einfo: Any = None, **_: Any) -> None:
        """Tell of the error, which is one unless the task says that it throws such."""
        run = self._current()
        if run is None or run[1] != task_id:
            return
        error = exception if isinstance(exception, BaseException) else getattr(einfo, "exception", None)
        expected = isinstance(error, tuple(getattr(sender, "throws", None) or ()))
        if isinstance(error, BaseException):
            run[0].record_exception(error)
        if not expected:
            run[0].set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))

    def retried(self, *, request: Any = None, reason: Any = None, **_: Any) -> None:
        """Tell that Celery will try again, and why: no error of the span's."""
        run = self._current()
        if run is not None and run[1] == getattr(request, "id", None):
            run[0].add_event("celery.retry", {"celery.retry.reason": str(reason)})

    def ends(self, *, task: Any, state: str | None = None, **_: Any) -> None:
        """End the span, and leave its context and the correlation id."""
        run = task.request.__dict__.pop(_RUN, None)
        if run is None:
            return
        span, _id, token, correlation = run
        if span is not None:
            self._end_unsent()
            if state:
                span.set_attribute("celery.state", state)
            span.end()
            if token is not None:
                contexts.detach(token)
            runs = self._here.__dict__.get("runs", [])
            if run in runs:
                runs.remove(run)
        if correlation is not None:
            leave_correlation(correlation)

    def process_ends(self, **_: Any) -> None:
        """Send what is left: a pool's child ends without the interpreter's own farewell."""
        self._tracing.shutdown()

    # --- both

    def _tracer(self) -> trace.Tracer:
        if self._made is None:
            self._made = self._tracing.tracer("orakul.celery")
        return self._made

    def _current(self) -> Any:
        runs = self._here.__dict__.get("runs")
        return runs[-1] if runs else None

    def _attributes(self, kind: str, name: str, task_id: str, facts: Any, queue: Any) -> dict[str, Any]:
        if self._system is None:
            scheme = str(self._app.conf.broker_url or "amqp").partition(":")[0].partition("+")[0]
            self._system = _SYSTEMS.get(scheme, scheme)
        attributes: dict[str, Any] = {
            "messaging.system": self._system,
            "messaging.operation.name": kind,
            "messaging.operation.type": kind,
            "messaging.message.id": task_id,
            "messaging.message.conversation_id": facts.get("root_id") or task_id,
            "celery.task_name": name,
            "celery.attempt": int(facts.get("retries") or 0) + 1,
        }
        if queue:
            attributes["messaging.destination.name"] = str(queue)
        if (group := facts.get("group")) is not None:
            attributes["celery.group_id"] = group
        if (known := correlation_id()) is not None:
            attributes[ATTRIBUTE] = known
        return attributes


def _never_sent(span: Span) -> None:
    span.set_status(Status(StatusCode.ERROR, "the message was not sent"))
    span.end()


def _told_otherwise() -> bool:
    """Tell whether OpenTelemetry's own instrumentation of Celery is in use, whenever that began."""
    module = sys.modules.get("opentelemetry.instrumentation.celery")
    return module is not None and bool(module.CeleryInstrumentor().is_instrumented_by_opentelemetry)
