"""The ASGI part: `GET /api/tasks/subscribe`."""

import asyncio
import inspect
import random
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from orakul.web.stream.audience import KINDS, Subscription, Viewer
from orakul.web.stream.connection import Send, connect
from orakul.web.stream.counting import REFUSED
from orakul.web.stream.hub import Hub

__all__ = ["PATH", "Authenticate", "StreamApp"]

PATH = "/api/tasks/subscribe"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Authenticate = Callable[[Scope], Awaitable[Viewer | None] | Viewer | None]

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]
_NUMBER = re.compile(r"\d{1,18}")


class StreamApp:
    """Serves the stream from a hub.

    `authenticate(scope)` returns who is signed in, or None; it may be async. Left out, whoever the application in front
    has found is believed: `scope["orakul.identity"]`. It is asked again about once a minute (`recheck_seconds`), and
    where it says `expires_at` (epoch seconds) the stream ends then: no stream outlives its token. Only GET of `path` is
    served: the part can stand alone, or be asked by the application in front of its own routing (`handles`).
    """

    def __init__(
        self,
        hub: Hub,
        authenticate: Authenticate | None = None,
        *,
        path: str = PATH,
        recheck_seconds: float = 60.0,
    ) -> None:
        self.hub = hub
        self._authenticate = authenticate or _identified
        self._path = path
        self._recheck_seconds = recheck_seconds

    def handles(self, scope: Scope) -> bool:
        """Say whether a request is for the stream."""
        return scope["type"] == "http" and _path(scope) == self._path

    async def start(self) -> None:
        """Begin to follow the journal; does not wait for it."""
        await self.hub.start()

    async def close(self) -> None:
        """End every open stream, and refuse new ones."""
        await self.hub.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; also starts and closes the hub where this is the whole application."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
        elif _path(scope) != self._path:
            await _problem(send, 404, "Not Found", "There is nothing at this address.")
        elif scope["method"] != "GET":
            detail = "The stream is read with GET."
            await _problem(send, 405, "Method Not Allowed", detail, [(b"allow", b"GET")])
        else:
            await self._subscribe(scope, receive, send)

    async def _subscribe(self, scope: Scope, receive: Receive, send: Send) -> None:
        viewer = await self._who(scope)
        if viewer is None or _expired(viewer):
            challenge = [(b"www-authenticate", b'Bearer realm="orakul"')]
            await _problem(send, 401, "Unauthorized", "Sign in, or send a bearer token that is valid.", challenge)
            return
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        only = frozenset(word.strip() for text in query.get("only", ()) for word in text.split(",") if word.strip())
        if unknown := sorted(only - KINDS):
            detail = f"only={unknown[0]}: known are {', '.join(sorted(KINDS))}."
            await _problem(send, 422, "Unprocessable Content", detail)
            return
        if self.hub.full:
            REFUSED.add()
            pause = b"%d" % random.randint(2, 10)  # noqa: S311 (spreads the next attempts, guards nothing)
            detail = "There are as many streams as this server takes. Try again shortly."
            await _problem(send, 503, "Service Unavailable", detail, [(b"retry-after", pause)])
            return
        task_id = query.get("task_id", [None])[-1]
        subscription = Subscription.of(viewer, only=only or KINDS, task_id=task_id or None)
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        # Middlewares in front have had their say in the headers; what follows may go past them.
        connection = connect(send, subscription, self.hub.bounds, scope.get("orakul.server_send", send))
        gone = asyncio.get_running_loop().create_task(_until_gone(receive))
        gone.add_done_callback(lambda _: connection.end("gone"))
        try:
            self.hub.add(connection, _last_event_id(scope, query))
            while not connection.ended.done():
                await asyncio.wait({connection.ended}, timeout=self._until_recheck(viewer))
                if not connection.ended.done():
                    viewer = await self._who(scope)
                    if viewer is None or _expired(viewer) or Subscription.of(viewer).key != subscription.key:
                        connection.end("signed out")
        finally:
            self.hub.remove(connection)
            gone.cancel()
            await connection.finish()

    async def _who(self, scope: Scope) -> Viewer | None:
        viewer = self._authenticate(scope)
        return await viewer if inspect.isawaitable(viewer) else viewer

    def _until_recheck(self, viewer: Viewer | None) -> float:
        # Spread, so that the readers of a restarted server do not ask all at the same moment.
        pause = self._recheck_seconds * random.uniform(0.75, 1.25)  # noqa: S311 (as above)
        expires_at = getattr(viewer, "expires_at", None)
        return pause if expires_at is None else min(pause, max(0.0, expires_at - time.time()) + 0.05)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.hub.start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.hub.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _identified(scope: Scope) -> Viewer | None:
    viewer: Viewer | None = scope.get("orakul.identity")
    return viewer


def _expired(viewer: Viewer) -> bool:
    expires_at = getattr(viewer, "expires_at", None)
    return expires_at is not None and bool(expires_at <= time.time())


def _path(scope: Scope) -> str:
    """Return the path inside the application: servers put a mount's prefix into `root_path` and leave it in `path`."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(root + "/") else path


def _last_event_id(scope: Scope, query: dict[str, list[str]]) -> int | str | None:
    """Return where the reader was: a number, a text that is none, or None for a new reader."""
    said = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"last-event-id"), "")
    said = (said or query.get("last_event_id", [""])[-1]).strip()
    if not said:
        return None
    return int(said) if _NUMBER.fullmatch(said) and said.isascii() else said


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _problem(
    send: Send, status: int, title: str, detail: str, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Answer with problem details (RFC 9457)."""
    body = msgspec.json.encode({"type": "about:blank", "title": title, "status": status, "detail": detail})
    common = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": [*common, *(headers or [])]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
