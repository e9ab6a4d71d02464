"""SQLAlchemy's statements as spans: of every engine, whenever it was made, and of each statement once.

Where the calls of the driver are spans (psycopg, asyncpg), those tell; where OpenTelemetry's instrumentation of
SQLAlchemy is in use, that one.
"""

import sys
from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import Status, StatusCode

__all__ = ["listen"]

_KEY = "orakul_span"
_DRIVERS = {"psycopg": "psycopg.PsycopgInstrumentor", "psycopg_async": "psycopg.PsycopgInstrumentor"}
_DRIVERS |= {"asyncpg": "asyncpg.AsyncPGInstrumentor"}
"""Whose instrumentation tells of the statements that go through them."""

_SQLALCHEMY = "sqlalchemy.SQLAlchemyInstrumentor"
_LONGEST = 4000
_listens = False


def listen() -> bool:
    """Hear of the statements of all engines; tell whether that is new."""
    global _listens  # noqa: PLW0603 (events of a class are global too)
    if _listens:
        return False
    from sqlalchemy import event  # noqa: PLC0415 (loads much)
    from sqlalchemy.engine import Engine  # noqa: PLC0415 (as above)

    event.listen(Engine, "before_cursor_execute", _before)
    event.listen(Engine, "after_cursor_execute", _after)
    event.listen(Engine, "handle_error", _failed)
    _listens = True
    return True


def _before(connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:  # noqa: FBT001 (SQLAlchemy's own form)
    dialect = connection.dialect
    told = _is_in_use(_SQLALCHEMY) or _is_in_use(_DRIVERS.get(dialect.driver, ""))
    if context is None or told or not is_instrumentation_enabled():
        return
    url = connection.engine.url
    words = statement.split(None, 1)
    facts = {
        "db.system": dialect.name,
        "db.name": url.database or "",
        "db.statement": statement[:_LONGEST],
        "db.operation": words[0].upper() if words else "",
        "server.address": url.host or "",
    }
    name = " ".join(part for part in (facts["db.operation"], facts["db.name"]) if part) or dialect.name
    tracer = trace.get_tracer("orakul.sqlalchemy")
    setattr(
        context,
        _KEY,
        tracer.start_span(name, kind=SpanKind.CLIENT, attributes={key: fact for key, fact in facts.items() if fact}),
    )


def _after(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:  # noqa: FBT001 (SQLAlchemy's own form)
    span = getattr(context, _KEY, None)
    if span is not None:
        span.end()


def _failed(failure: Any) -> None:
    span = getattr(failure.execution_context, _KEY, None)
    if span is not None and span.is_recording():
        span.set_status(Status(StatusCode.ERROR, str(failure.original_exception)))
        span.end()


def _is_in_use(instrumentation: str) -> bool:
    """Tell whether an instrumentation of OpenTelemetry's is in use, whenever that began."""
    name, _, kind = instrumentation.partition(".")
    module = sys.modules.get(f"opentelemetry.instrumentation.{name}") if name else None
    return module is not None and bool(getattr(module, kind)().is_instrumented_by_opentelemetry)
