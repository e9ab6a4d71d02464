"""Operations as lines of ECS JSON (Elastic Common Schema 8), for Elasticsearch, Logstash and Kibana."""

from typing import Any

import msgspec

from orakul.operations.formatter import OutputFormatter
from orakul.operations.record import OperationLog, Outcome, SubOperationLog
from orakul.telemetry.ecs import ECS_VERSION

__all__ = ["ECSFormatter"]

_OUTCOMES = {Outcome.SUCCESS: "success", Outcome.CLOSED: "success", Outcome.ERROR: "failure"}


class ECSFormatter(OutputFormatter):
    """One line of JSON an operation and a step, parents first, joined by `trace.id`, `span.id` and `parent.id`."""

    def __init__(self, service: str = "orakul") -> None:
        self._service = service

    def format_operation_log(self, operation_log: OperationLog) -> str:
        """Return a line for the operation and each below it."""
        return "\n".join(msgspec.json.encode(form, enc_hook=repr).decode() for form in self._forms(operation_log))

    def _forms(self, log: OperationLog | SubOperationLog) -> list[dict[str, Any]]:
        forms = [self._form(log)]
        for child in log.children if isinstance(log, OperationLog) else ():
            forms += self._forms(child)
        return forms

    def _form(self, log: OperationLog | SubOperationLog) -> dict[str, Any]:
        form: dict[str, Any] = {
            "@timestamp": log.started_at,
            "ecs.version": ECS_VERSION,
            "message": f"{log.name} {log.outcome}",
            "log.level": "error" if log.outcome is Outcome.ERROR else "info",
            "service.name": self._service,
            "event.kind": "event",
            "event.action": log.name,
            "event.outcome": _OUTCOMES.get(log.outcome, "unknown"),
            "event.duration": log.duration_ns,
            "event.start": log.started_at,
            "event.end": log.ended_at,
            "trace.id": log.root_id,
            "span.id": log.operation_id,
            "process.pid": log.process_id,
            "process.thread.id": log.thread_id,
            "process.thread.name": log.thread_name,
            "log.origin.file.name": log.file,
            "log.origin.file.line": log.line,
            "labels": {str(key): str(value) for key, value in {**log.context, **log.facts}.items()},
        }
        optional = {
            "parent.id": log.parent_id,
            "error.type": log.error_type,
            "error.message": log.error_message,
            "error.stack_trace": log.traceback,
            "user.id": None if log.context.get("user") is None else str(log.context["user"]),
            "orakul.target": log.target,
            "orakul.count": log.count if log.count > 1 else None,
        }
        form.update({name: value for name, value in optional.items() if value is not None})
        return form
