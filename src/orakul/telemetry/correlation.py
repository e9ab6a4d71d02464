"""The correlation id: one word that a caller gives a request, found again in every line and span that came of it.

    app.add_middleware(CorrelationMiddleware)          # FastAPI, Starlette
    app = CorrelationMiddleware(app)                   # whatever else speaks ASGI

A request's `X-Correlation-ID` is taken where it is sane, else one is made; the answer says which. Inside, it is
`correlation_id()`, also in threads that the framework starts and in tasks that the request sends (it travels in the
message's headers). OpenTelemetry is not needed; where it is in use, the request's root span gets `correlation.id`.
"""

import re
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

__all__ = [
    "ATTRIBUTE",
    "HEADER",
    "CorrelationMiddleware",
    "correlated",
    "correlation_id",
    "enter_correlation",
    "leave_correlation",
    "new_correlation",
    "sane",
]

HEADER = "x-correlation-id"
"""The header of requests, of answers, and of messages."""

ATTRIBUTE = "correlation.id"
"""The attribute of a span."""

_SANE = re.compile(r"[A-Za-z0-9._:=+/@~-]{1,128}", re.ASCII)
_ANSWERS = frozenset(("http.response.start", "websocket.accept", "websocket.http.response.start"))
_SERVER = 1  # opentelemetry.trace.SpanKind.SERVER

_correlation: ContextVar[str | None] = ContextVar("orakul_correlation", default=None)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]


def correlation_id() -> str | None:
    """Return the id of what the program works at now, or None."""
    return _correlation.get()


def new_correlation() -> str:
    """Return an id that nobody has had."""
    return uuid.uuid4().hex


def sane(value: object) -> str | None:
    """Return the value where it is fit to be an id: 1 to 128 letters, digits and `._:=+/@~-`; else None."""
    return value if isinstance(value, str) and _SANE.fullmatch(value) else None


@contextmanager
def correlated(value: str | None = None) -> Iterator[str]:
    """Let what happens inside the block have this id, or a new one: for work that no request began."""
    given = sane(value) or new_correlation()
    token = _correlation.set(given)
    try:
        yield given
    finally:
        _correlation.reset(token)


def enter_correlation(value: str | None) -> Token[str | None]:
    """Set the id until `leave_correlation`: for those who are told of a beginning and an end by two calls."""
    return _correlation.set(value)


def leave_correlation(token: Token[str | None]) -> None:
    """Set it back; to none where it was set in another context (a thread, a greenlet)."""
    try:
        _correlation.reset(token)
    except ValueError:
        _correlation.set(None)


class CorrelationMiddleware:
    """Gives each request and each websocket its id; pure ASGI, so streams flow through it as they are."""

    def __init__(self, app: App, *, header: str = HEADER, make: Callable[[], str] = new_correlation) -> None:
        self.app = app
        self._header = header.lower().encode("latin-1")
        self._make = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve with the id set."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        given = self._given(scope) or self._make()
        token = _correlation.set(given)
        known = _tell_span(given, any_kind=True)
        answer = (self._header, given.encode("latin-1"))

        async def answering(message: Message) -> None:
            if message["type"] in _ANSWERS:
                headers = list(message.get("headers") or ())
                if not any(bytes(name).lower() == self._header for name, _ in headers):
                    message = {**message, "headers": [*headers, answer]}
                if not known:
                    _tell_span(given)  # an instrumentation that is inside of us has begun its span by now
            await send(message)

        try:
            await self.app(scope, receive, answering)
        finally:
            leave_correlation(token)

    def _given(self, scope: Scope) -> str | None:
        for name, value in scope.get("headers") or ():
            if name.lower() == self._header:
                return sane(value.decode("latin-1").strip())
        return None


def _tell_span(value: str, *, any_kind: bool = False) -> bool:
    """Put the id on the span that is current, where there is one (of a server, unless any will do)."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return False
    span = trace.get_current_span()
    if not span.is_recording() or not (any_kind or _is_server(span)):
        return False
    span.set_attribute(ATTRIBUTE, value)
    return True


def _is_server(span: Any) -> bool:
    return getattr(getattr(span, "kind", None), "value", None) == _SERVER
