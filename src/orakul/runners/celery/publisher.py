"""The publisher's side: `task.pending`, with arguments, routing and owner, wherever a task message is sent.

One pair of signals covers `delay`, `apply_async`, `send_task`, chains, groups, chords, beat and Celery's own retries.
It is recorded when the message is out, so that a publish that raised leaves no task that waits for ever. The worker
may be faster than that; the order of events does not matter.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from threading import local
from typing import Any

from orakul.events import current_user
from orakul.runners.celery.flows import OPERATION, flow_here
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
    trace_of,
)
from orakul.runners.celery.parts import Parts, quiet
from orakul.runners.celery.runs import Run, current_run

__all__ = ["PublisherSide"]

_DEEPEST = 20


class PublisherSide:
    """Puts owner, attempt and queue into the headers before the publish, and records it after."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.before = quiet(self._before)
        self.after = quiet(self._after)
        self._here = local()

    def _before(
        self,
        *,
        sender: str,
        headers: dict[str, Any],
        body: Any,
        routing_key: str | None = None,
        exchange: Any = None,
        declare: Any = None,
        properties: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        facts = headers if "id" in headers else body  # protocol 1 has them in the body
        self._here.priority = (properties or {}).get("priority")  # `after` is not told
        headers.pop(RUN, None)
        run = current_run()
        if run is not None and not run.ended:
            self._follow_up(run, headers, facts, body)
        elif not isinstance(headers.get(ATTEMPT), int):
            headers.pop(ATTEMPT, None)
        if headers.get(USER) is None:
            user = current_user()
            if user is not None:
                headers[USER] = user
            else:
                headers.pop(USER, None)
        flow = flow_here()
        if flow is not None:
            headers[OPERATION] = flow
        queue = _declared(declare) or (routing_key if not exchange else None)
        if queue is not None and queue != routing_key:
            headers[QUEUE] = queue
        else:
            headers.pop(QUEUE, None)
        if self._shows_arguments(sender, body):
            headers[SENT] = new_run()
        else:
            headers.pop(SENT, None)

    def _follow_up(self, run: Run, headers: dict[str, Any], facts: Any, body: Any) -> None:
        """Give the next attempt to what a task publishes under its own id: a retry, or what replaces it."""
        if facts["id"] == run.task_id:
            headers[ATTEMPT] = run.attempt - int(facts.get("retries") or 0)
            run.followed = True
        elif (facts.get("replaced_task_nesting") or 0) > (run.request.get("replaced_task_nesting") or 0):
            # The task replaces itself by a group or chain: its own id comes last, published by another task.
            for options in _options_in(body, run.task_id):
                options.setdefault("headers", {})[ATTEMPT] = run.attempt
                if run.user is not None:
                    options["headers"].setdefault(USER, run.user)

    def _after(
        self,
        *,
        sender: str,
        headers: dict[str, Any],
        body: Any,
        exchange: Any = None,
        routing_key: str | None = None,
        **_: Any,
    ) -> None:
        facts = headers if "id" in headers else body
        attempt = attempt_of({**facts, **headers} if facts is body else headers)
        data: dict[str, Any] = {
            "kind": "celery",
            "name": facts.get("shadow") or sender,
            "attempt": attempt,
            "run": 0,
            "queue": headers.get(QUEUE) or routing_key or None,
            "root_id": facts.get("root_id") or facts["id"],
        }
        put(
            data,
            parent_id=parent_of(facts, facts["id"]),
            group_id=facts.get("group"),
            priority=getattr(self._here, "priority", None),
            eta=eta_of(facts),
            expires=eta_of(facts, "expires"),
        )
        if exchange:
            data["exchange"] = getattr(exchange, "name", exchange)
            data["routing_key"] = routing_key
        sent = headers.get(SENT)
        if sent is not None and attempt == 1:
            args, kwargs = arguments_in(body)
            data["arguments"] = self._parts.masks.show_arguments(args, kwargs, self._parts.masked_positions(sender))
        self._parts.emit(
            "task.pending",
            facts["id"],
            data,
            user=headers.get(USER),
            trace_id=trace_of(headers),
            at=None if sent is None else datetime.fromtimestamp(sent / 1000, UTC),
        )

    def _shows_arguments(self, name: str, body: Any) -> bool:
        """Tell whether the arguments can be shown here: which are secret is known, or no positional one is given."""
        return self._parts.find_task(name) is not None or not arguments_in(body)[0]


def arguments_in(body: Any) -> tuple[Any, Any]:
    """Return args and kwargs of a message body, of protocol 2 or 1."""
    if isinstance(body, (tuple, list)):
        return body[0] or (), body[1] or {}
    return body.get("args") or (), body.get("kwargs") or {}


def _declared(declare: Any) -> str | None:
    if declare:
        name = getattr(declare[0], "name", None)
        return name if isinstance(name, str) else None
    return None


def _options_in(value: Any, task_id: str, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Find the options of signatures with this task id in a message's chain, chord and callbacks."""
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        options = value.get("options")
        if isinstance(options, dict) and options.get("task_id") == task_id:
            yield options
        for inside in value.values():
            yield from _options_in(inside, task_id, depth + 1)
    elif isinstance(value, (list, tuple)):
        for inside in value:
            yield from _options_in(inside, task_id, depth + 1)
