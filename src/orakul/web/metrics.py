"""Requests, counted by what they asked for and what they got."""

import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orakul.instruments import SECONDS, counter, histogram

__all__ = ["CountedRequests"]

_REQUESTS = counter("orakul_http_requests_total", "Requests answered.", ("method", "route", "status"))
_TOOK = histogram(
    "orakul_http_request_seconds", "Time until an answer was complete, streams left out.", SECONDS, labels=("route",)
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_LIVE = "/api/tasks/subscribe"


class CountedRequests:
    """Counts each request by method, route (its template, so that ids make no series) and class of status."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            route = _route(scope)
            method = scope["method"] if scope["method"] in _METHODS else "(other)"
            _REQUESTS.add(1, method, route, f"{status // 100}xx")
            if route != _LIVE:
                _TOOK.observe(time.perf_counter() - began, route)


def _route(scope: Scope) -> str:
    route: Any = scope.get("route")
    template = getattr(route, "path", None)
    if isinstance(template, str):
        return template
    return _LIVE if str(scope.get("path", "")).endswith(_LIVE) else "(page)"
