"""One record of `logging` as the fields of ECS 8 (Elastic Common Schema): what each is, where it is from, how large.

Whatever the application logs becomes a document that Elasticsearch takes: the fields of the schema have its types,
all else (`extra=`, the keys of structlog) is text below `labels`, so that no two services can disagree on a type and
no program can make up fields without end. What is named like a secret (`mask` of the settings) is masked, also where
its value stands in the message. A document is at most `MOST_BYTES` large, and no record makes this raise.
"""

import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from orakul.settings.form import MASKED
from orakul.tasks.masking import MASK, Limits, Masks, clean_text, hide_in
from orakul.telemetry.log_context import Here, here

__all__ = ["ECS_VERSION", "MOST_BYTES", "STRUCTURED", "ECSRecords"]

ECS_VERSION = "8.11.0"
MOST_BYTES = 128 * 1024
STRUCTURED = "_orakul_structured"
"""Attribute of a record that holds the event dictionary of structlog."""

_MESSAGE, _STACK, _ERROR, _LABEL, _FIELD = 16_000, 24_000, 4_000, 1_000, 2_000
_LEVELS = {"WARN": "warning", "FATAL": "critical"}
_OWN_SETS = {
    "agent", "client", "cloud", "container", "destination", "event", "faas", "file", "host", "http", "network",
    "orchestrator", "organization", "package", "process", "related", "rule", "server", "service", "source", "span",
    "tls", "trace", "transaction", "url", "user", "user_agent",
}  # fmt: skip
"""Field sets of the schema: an extra named `event.action` or `url.path` is the schema's own field."""

_WHOLE = frozenset((
    "client.port", "destination.port", "event.duration", "event.severity", "http.request.bytes", "http.response.bytes",
    "http.response.status_code", "process.pid", "process.thread.id", "server.port", "source.port", "url.port",
))  # fmt: skip
"""Fields of the schema that are whole numbers: a document with another value there is refused, line and all."""

_KEPT = frozenset(("@timestamp", "message", "log.level", "log.logger", "ecs.version"))
_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message", "asctime", "taskName", "color_message", STRUCTURED,
}  # fmt: skip
_CREDENTIALS = re.compile(r"(?<=://)([^/\s:@'\"]*):([^/\s@'\"]+)(?=@)")
_PASSING = Limits(depth=5, items=50, nodes=400, text=_LABEL, characters=16_000)
_ACCESS = 5
_formatter = logging.Formatter()


class ECSRecords:
    """Makes documents of records, for one service."""

    def __init__(
        self,
        service: str = "orakul",
        *,
        environment: str | None = None,
        version: str | None = None,
        mask: Iterable[str] = MASKED,
    ) -> None:
        self._masks = Masks(mask, _PASSING)
        given = {"service.name": service, "service.environment": environment, "service.version": version}
        self._service = {name: value for name, value in given.items() if value}
        self._service["event.dataset"] = f"{service}.log"

    def document(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the document of a record; whatever is wrong with the record, there is one."""
        try:
            return self._document(record)
        except Exception as error:  # noqa: BLE001 (a line of the user's must not break what writes it)
            return {
                "@timestamp": _moment(getattr(record, "created", None)),
                "log.level": str(getattr(record, "levelname", "info")).lower(),
                "message": f"[a line that could not be put together: {type(error).__name__}]",
                "ecs.version": ECS_VERSION,
                "log.logger": clean_text(str(getattr(record, "name", "")), _LABEL),
                **self._service,
            }

    def _document(self, record: logging.LogRecord) -> dict[str, Any]:
        around = here()
        secrets: list[str] = list(around.work.secrets) if around.work is not None else []
        structured = getattr(record, STRUCTURED, None)
        extras = {name: value for name, value in record.__dict__.items() if name not in _STANDARD and name[:1] != "_"}
        if isinstance(structured, Mapping):
            extras.update(structured)
        if record.name.startswith("celery."):
            extras.pop("data", None)  # a task's arguments and result, as Celery shows them: unmasked
        fields, labels = self._extras(extras, secrets)
        given: Any = record.args
        if isinstance(given, Mapping):
            self._masks.show(dict(given), _PASSING, secrets)
        access = self._access(record, secrets)

        def text(value: str, limit: int) -> str:
            return _text(value, limit, secrets)

        document: dict[str, Any] = {
            "@timestamp": _moment(record.created),
            "log.level": _LEVELS.get(record.levelname, record.levelname.lower()),
            "message": text(_message(record), _MESSAGE),
            "ecs.version": ECS_VERSION,
            "log.logger": clean_text(str(record.name), _LABEL),
            "log.origin.file.name": clean_text(record.filename or "", _LABEL),
            "log.origin.file.line": record.lineno,
            "log.origin.function": record.funcName,
            "process.pid": record.process or os.getpid(),
            "process.name": record.processName,
            "process.thread.id": record.thread,
            "process.thread.name": record.threadName,
            **self._service,
            **_celerys_task(record),
            **_around(around),
            **access,
        }
        document.update(_error(record, text))
        document.update({name: value for name, value in fields.items() if name not in _KEPT})
        if labels:
            document["labels"] = {name: text(value, _LABEL) for name, value in labels.items()}
        return {name: value for name, value in document.items() if value is not None}

    def _extras(self, extras: Mapping[str, Any], secrets: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
        """Return what is a field of the schema, and what goes below `labels`; masked values go into `secrets`."""
        fields: dict[str, Any] = {}
        labels: dict[str, str] = {}
        if not extras:
            return fields, labels
        for name, shown in self._masks.show(dict(extras), _PASSING, secrets).items():
            if shown is None:
                continue
            if name.partition(".")[0] in _OWN_SETS and "." in name and not isinstance(shown, dict | list):
                if name in _WHOLE and not isinstance(shown, int):
                    labels[_key(name)] = _flat(shown)
                else:
                    whole = isinstance(shown, bool | int | float)
                    fields[name] = shown if whole else _text(_flat(shown), _FIELD, secrets)
            else:
                labels[_key(name)] = _flat(shown)
        return fields, labels

    def _access(self, record: logging.LogRecord, secrets: list[str]) -> dict[str, Any]:
        """Return the fields of a line of uvicorn's access log."""
        if record.name != "uvicorn.access" or not isinstance(record.args, tuple) or len(record.args) != _ACCESS:
            return {}
        client, method, path, version, status = record.args
        parts = urlsplit(str(path))
        for name, value in parse_qsl(parts.query):
            if self._masks.hides(name) and value:
                secrets.append(value)
        address, _, port = str(client).rpartition(":")
        return {
            "http.request.method": str(method),
            "http.response.status_code": status if isinstance(status, int) else None,
            "http.version": str(version),
            "url.path": clean_text(parts.path, _FIELD),
            "url.query": _text(parts.query, _FIELD, secrets) or None,
            "client.ip": address or None,
            "client.port": int(port) if port.isdecimal() else None,
        }


def _celerys_task(record: logging.LogRecord) -> dict[str, Any]:
    """Return the task that a line of Celery's own is about, where none runs: received, revoked, timed out."""
    given: Any = record.args
    if not record.name.startswith("celery.") or not isinstance(given, Mapping) or not isinstance(given.get("id"), str):
        return {}
    name = given.get("name")
    return {"orakul.task.id": given["id"], "orakul.task.kind": "celery", "orakul.task.name": name}


def _around(around: Here) -> dict[str, Any]:
    work = around.work
    fields: dict[str, Any] = {
        "trace.id": around.trace_id,
        "span.id": around.span_id,
        "user.id": around.user_id,
        "http.request.id": around.correlation_id,
    }
    if work is not None:
        fields |= {
            "orakul.task.id": clean_text(work.task_id, _LABEL),
            "orakul.task.kind": work.kind,
            "orakul.task.name": work.name,
            "orakul.task.attempt": work.attempt,
            "orakul.task.queue": work.queue,
            "orakul.task.worker": work.worker,
        }
    return fields


def _error(record: logging.LogRecord, text: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    trace = ""
    found: Any = record.exc_info
    if isinstance(found, tuple) and len(found) == 3 and found[0] is not None:  # noqa: PLR2004 (sys.exc_info's three)
        kind, error, _ = found
        module = kind.__module__
        fields["error.type"] = kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
        fields["error.message"] = text(_said(error), _ERROR)
        trace = record.exc_text or _stack(found)
    elif record.exc_text:
        trace = record.exc_text
    if record.stack_info:
        trace = f"{trace}\n{record.stack_info}" if trace else str(record.stack_info)
    if trace:
        fields["error.stack_trace"] = text(_middle_left_out(trace), _STACK + 100)
    return fields


def _stack(found: Any) -> str:
    try:
        return _formatter.formatException(found)
    except Exception as error:  # noqa: BLE001 (an exception whose text raises)
        return f"[the traceback could not be put together: {type(error).__name__}]"


def _said(error: Any) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 (as above)
        return f"[its text could not be made: {type(broken).__name__}]"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 (arguments that do not fit the text: both are worth seeing)
        return f"{str(record.msg)[:_MESSAGE]} [its arguments do not fit: {type(error).__name__}]"


def _middle_left_out(trace: str) -> str:
    """Keep the end of a long traceback, where the error is, and its beginning."""
    if len(trace) <= _STACK:
        return trace
    half = _STACK // 2
    return f"{trace[:half]}\n… [{len(trace) - 2 * half:,} characters left out]\n{trace[-half:]}"


def _text(value: str, limit: int, secrets: list[str]) -> str:
    # Cut first (a message may be a whole file), hide next, and cut again: what hides is longer than what it hides.
    value = clean_text(value, 2 * limit)
    if secrets:
        value = hide_in(value, secrets)
    if "://" in value:
        value = _CREDENTIALS.sub(rf"\1:{MASK}", value)
    return clean_text(value, limit)


def _flat(shown: Any) -> str:
    if isinstance(shown, str):
        return shown
    return json.dumps(shown, ensure_ascii=False, default=str)


def _key(name: str) -> str:
    """Return a name that makes one flat field: dots would make objects, which `labels` does not have."""
    return name.replace(".", "_").replace(" ", "_").strip("_") or "_"


_second = (0, "")
_lock = threading.Lock()


def _moment(created: float | None) -> str:
    """Return the time of a record as ISO 8601 in UTC, to the microsecond."""
    global _second  # noqa: PLW0603 (the text of the last second: most lines share it)
    created = time.time() if created is None else created
    whole = int(created)
    known, text = _second
    if known != whole:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        _second = (whole, text)
    return f"{text}.{int((created - whole) * 1e6):06d}Z"
