"""Lines of a log: of ECS 8 JSON for programs, of plain text for people; from `logging` and from structlog.

Each line of JSON knows its task, trace, user and request (`log_context`), and is one object whatever was logged
(`ecs`). `logs_setup.set_up_logs` sees to it that all lines of a process are such lines.
"""

import logging
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import msgspec

from orakul.settings.form import MASKED
from orakul.tasks.masking import clean_text
from orakul.telemetry.ecs import MOST_BYTES, STRUCTURED, ECSRecords

__all__ = ["ECSLogFormatter", "ECSRenderer", "ReadableFormatter", "encode", "set_up_structlog"]

_encoder = msgspec.json.Encoder(enc_hook=str)
_SHORT = 4_000


class ECSLogFormatter(logging.Formatter):
    """Formats a record as one line of ECS JSON; never raises."""

    def __init__(
        self,
        service: str = "orakul",
        *,
        environment: str | None = None,
        version: str | None = None,
        mask: Iterable[str] = MASKED,
        records: ECSRecords | None = None,
    ) -> None:
        super().__init__()
        self.records = records or ECSRecords(service, environment=environment, version=version, mask=mask)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return encode(self.records.document(record))


def encode(document: dict[str, Any]) -> str:
    """Return a document as a line of JSON, whatever an application has put into it, at most `MOST_BYTES` long."""
    try:
        line = _encoder.encode(document)
        if len(line) <= MOST_BYTES:
            return line.decode()
        reason = f"a line of {len(line):,} bytes, cut"
    except Exception as error:  # noqa: BLE001 (the rest of the line is worth having)
        reason = f"not encoded: {type(error).__name__}"
    kept = {name: _short(value) for name, value in document.items() if isinstance(value, str | int | float)}
    return _encoder.encode({**kept, "labels": {"orakul_note": reason}}).decode()


def _short(value: Any) -> Any:
    return clean_text(value, _SHORT) if isinstance(value, str) else value


class ECSRenderer:
    """The last processor of structlog: the event as a line of ECS JSON, for loggers that print."""

    def __init__(self, service: str = "orakul", *, mask: Iterable[str] = MASKED, **facts: str | None) -> None:
        self._records = ECSRecords(service, mask=mask, **facts)

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        """Return the line."""
        level = str(event.pop("level", method)).upper()
        number = logging.getLevelNamesMapping().get("ERROR" if level == "EXCEPTION" else level, logging.INFO)
        found = event.pop("exc_info", None)
        name = str(event.pop("logger", None) or getattr(logger, "name", None) or "structlog")
        message = event.pop("event", "")
        record = logging.LogRecord(name, number, "", 0, str(message), (), _exception(found))
        record.lineno, record.filename = event.pop("lineno", None) or 0, event.pop("filename", None) or ""
        record.funcName = event.pop("func_name", None)
        record.exc_text = event.pop("exception", None)
        record.stack_info = event.pop("stack", None)
        event.pop("timestamp", None)
        setattr(record, STRUCTURED, dict(event))
        document = self._records.document(record)
        if not record.filename:
            for field in ("log.origin.file.name", "log.origin.file.line"):
                document.pop(field, None)
        return encode(document)


def _exception(found: Any) -> Any:
    if isinstance(found, BaseException):
        return type(found), found, found.__traceback__
    return sys.exc_info() if found is True else found if isinstance(found, tuple) else None


def to_stdlib(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Hand an event of structlog to `logging`, its keys as one attribute, so that none clashes with a record's own."""
    args = (event.pop("event", ""), *event.pop("positional_args", ()))
    kwargs = {name: event.pop(name) for name in ("exc_info", "stack_info", "stacklevel") if name in event}
    event.pop("level", None)
    return args, {**kwargs, "extra": {STRUCTURED: dict(event)}}


def set_up_structlog() -> None:
    """Let structlog write through `logging`: its lines go wherever those of `logging` go."""
    import structlog  # noqa: PLC0415 (only for those who have it)

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.stdlib.filter_by_level, to_stdlib],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


class ReadableFormatter(logging.Formatter):
    """Formats a record for a person: time, who says it, level where it matters, what; then what was added."""

    def __init__(self) -> None:
        super().__init__(datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the line."""
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        added = getattr(record, STRUCTURED, None) or {}
        more = "".join(f" {name}={value}" for name, value in added.items()) if isinstance(added, Mapping) else ""
        return f"{self.formatTime(record, self.datefmt)} {record.name}: {level}{record.message}{more}"
