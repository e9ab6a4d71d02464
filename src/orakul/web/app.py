"""The web application, put together from its parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from orakul import __version__
from orakul.errors import OrakulError
from orakul.web.auth import StreamDoor
from orakul.web.document import document_of
from orakul.web.doorkeeper import Doorkeeper
from orakul.web.fleet_metrics import FleetMetrics
from orakul.web.limits import BodyLimit
from orakul.web.metrics import CountedRequests
from orakul.web.pages import INTERFACE, Pages
from orakul.web.parts import Parts
from orakul.web.problems import LastResort, ProblemError, on_error, on_invalid
from orakul.web.proxies import ForwardedHeaders
from orakul.web.ready import Readiness
from orakul.web.routes import (
    admin,
    audit,
    bulk,
    edited,
    events,
    exports,
    moments,
    operation,
    operations,
    overview,
    pipelines,
    retention,
    room,
    rules,
    sign_in,
    tasks,
)
from orakul.web.security import SecurityHeaders
from orakul.web.tokens import Tokens

__all__ = ["create_app"]

STREAM_PATH = "/api/tasks/subscribe"


class _StreamRoute:
    """Makes an ASGI application an endpoint of its own (Starlette takes functions for request handlers)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


class _Orakul(FastAPI):
    prefix = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request; the stream, once begun, writes past the middlewares: see `web.stream.connection`."""
        scope["orakul.server_send"] = send
        if self.prefix and not scope.get("root_path"):
            scope["root_path"] = self.prefix
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the document, drawn once."""
        if self.openapi_schema is None:
            self.openapi_schema = document_of(self)
        return self.openapi_schema


def create_app(parts: Parts, *, interface: Path = INTERFACE) -> FastAPI:
    """Return the ASGI application made of the parts."""
    settings = parts.settings
    app = _Orakul(
        title="Orakul",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.prefix = settings.root_path.rstrip("/")
    tokens = Tokens(settings.secret_key, settings.token)
    app.state.parts = parts
    app.state.tokens = tokens
    app.state.door = Doorkeeper()
    app.state.readiness = Readiness(parts.probes)
    app.state.metrics = FleetMetrics(parts)
    # Before /api/tasks/{task_id}, which it would fit as well.
    door = _StreamRoute(StreamDoor(tokens, parts.stream))
    app.router.routes.append(Route(STREAM_PATH, door, methods=["GET"]))
    for routes in (
        bulk,
        edited,
        events,
        exports,
        room,
        moments,
        pipelines,
        retention,
        rules,
        operations,
        tasks,
        admin,
        audit,
        overview,
        sign_in,
        operation,
    ):
        app.include_router(routes.router)
    app.router.default = Pages(interface)
    for kind in (OrakulError, ProblemError, HTTPException):
        app.add_exception_handler(kind, on_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_middleware(CountedRequests)
    app.add_middleware(BodyLimit, largest=settings.max_body)
    app.add_middleware(LastResort)
    app.add_middleware(SecurityHeaders, frame_ancestors=settings.frame_ancestors)
    if settings.trusted_proxies:
        app.add_middleware(ForwardedHeaders, trusted=settings.trusted_proxies)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    parts: Parts = app.state.parts
    # More than the journal has connections, so that files are served while routes wait for it.
    limiter = anyio.to_thread.current_default_thread_limiter()
    limiter.total_tokens = max(limiter.total_tokens, parts.settings.threads)  # a host's, where we are mounted in one
    if parts.start is not None:
        await parts.start()
    try:
        yield
    finally:
        if parts.stream is not None:
            await parts.stream.close()
        if parts.stop is not None:
            await parts.stop()
