"""Whose calls become spans: OpenTelemetry's own instrumentations of what is installed, each at most once a process."""

import logging
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from orakul.errors import MissingExtraError, OrakulError
from orakul.telemetry.correlation import CorrelationMiddleware

__all__ = ["LIBRARIES", "check", "instrument", "trace_application"]

log = logging.getLogger(__name__)

LIBRARIES: dict[str, tuple[str, str]] = {
    "psycopg": ("psycopg", "PsycopgInstrumentor"),
    "asyncpg": ("asyncpg", "AsyncPGInstrumentor"),
    "redis": ("redis", "RedisInstrumentor"),
    "httpx": ("httpx", "HTTPXClientInstrumentor"),
    "requests": ("requests", "RequestsInstrumentor"),
    "urllib": ("urllib", "URLLibInstrumentor"),
}
"""By the name of the library: the module of its instrumentation, and the class. SQLAlchemy is ours (`queries`)."""

_QUERIES = "sqlalchemy"
_KNOWN = (*LIBRARIES, _QUERIES)


def check(libraries: Sequence[str] | None) -> None:
    """Raise OrakulError for a library that cannot be traced."""
    for name in libraries or ():
        if name not in _KNOWN:
            raise OrakulError(f"no library called {name!r} can be traced; there are: {', '.join(_KNOWN)}")


def instrument(libraries: Sequence[str] | None = None) -> list[str]:
    """Let the calls of these libraries be spans (None: of all that are installed); return which are new."""
    off = {each.strip() for each in os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")}
    wanted = [name for name in (_KNOWN if libraries is None else libraries) if name not in off and find_spec(name)]
    return [name for name in wanted if _begin(name, asked=libraries is not None)]


def _begin(name: str, *, asked: bool) -> bool:
    if name == _QUERIES:
        from orakul.telemetry.queries import listen  # noqa: PLC0415 (loads SQLAlchemy)

        return listen()
    module, kind = LIBRARIES[name]
    try:
        made: Any = getattr(import_module(f"opentelemetry.instrumentation.{module}"), kind)()
    except ImportError as error:
        if asked:
            raise MissingExtraError(f"opentelemetry-instrumentation-{module}", "opentelemetry") from error
        return False
    if made.is_instrumented_by_opentelemetry:
        return False
    try:
        made.instrument(skip_dep_check=True)  # what is installed is tried, whatever its number
    except Exception:
        log.exception("the calls of %s cannot be traced; the application goes on without", name)
        return False
    return True


def trace_application(app: Any, *, excluded: str | None = None) -> None:
    """Let each request of a FastAPI or Starlette application have a correlation id and a span.

    `excluded` are patterns of addresses without one, separated by commas; by default OpenTelemetry's variables say.
    """
    if not hasattr(app, "add_middleware"):
        raise OrakulError(
            f"app: {type(app).__name__} is no FastAPI or Starlette application: wrap it by hand, "
            "CorrelationMiddleware(OpenTelemetryMiddleware(app))"
        )
    if not any(each.cls is CorrelationMiddleware for each in app.user_middleware):
        if app.middleware_stack is not None:
            raise OrakulError("the application serves already: call set_up(app=…) before it starts")
        app.add_middleware(CorrelationMiddleware)
    if getattr(app, "_is_instrumented_by_opentelemetry", False):
        return
    _instrumentor(app, excluded)(app)


def _instrumentor(app: Any, excluded: str | None) -> Callable[[Any], None]:
    """Return what instruments an application, without a span for each part that is received and sent."""
    quiet: Any = ["receive", "send"]
    try:
        if any(base.__module__.startswith("fastapi") for base in type(app).__mro__):
            from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: PLC0415 (loads FastAPI)

            return lambda found: FastAPIInstrumentor.instrument_app(found, excluded_urls=excluded, exclude_spans=quiet)
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise MissingExtraError("opentelemetry-instrumentation-fastapi", "opentelemetry") from error

    def wrap(found: Any) -> None:
        found.add_middleware(
            OpenTelemetryMiddleware, exclude_spans=quiet, excluded_urls=excluded, default_span_details=_details
        )
        found._is_instrumented_by_opentelemetry = True  # noqa: SLF001 (OpenTelemetry's own mark)

    return wrap


def _details(scope: Any) -> tuple[str, dict[str, Any]]:
    """Return a span's name and attributes for a request of Starlette: the route, never the path as it came."""
    method = scope.get("method", "WEBSOCKET")
    for route in getattr(scope.get("app"), "routes", ()):
        matched, _ = route.matches(scope)
        path = getattr(route, "path", None)
        if matched.value and path:
            return f"{method} {path}", {"http.route": path}
    return method, {}
