"""The assembled parts joined with the web application: served by itself (`orakul serve`), or inside another's.

    from orakul.web import control_room

    app = FastAPI()
    control_room().mount_in(app, "/orakul")

starts and stops with the application that it is mounted in (see docs/embedding.md).
"""

import asyncio
import atexit
import contextlib
import logging
import signal
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from orakul.assembly import Assembly, assemble, open_database
from orakul.errors import OrakulError
from orakul.journals.postgres import PostgresFigures, PostgresMoments, PostgresPipelines, PostgresRetention
from orakul.settings import Settings, load_settings
from orakul.tasks.depths import depths_of
from orakul.tasks.retention import rules_of
from orakul.web.app import create_app
from orakul.web.parts import Parts, WebSettings
from orakul.web.stream import Hub, StreamApp

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["EmbeddedRoom", "control_room", "web_application"]

log = logging.getLogger("orakul")

_UNTRACED = "/healthz,/readyz,/metrics,/api/tasks/subscribe"
"""Asked again and again, or open for hours: a span of each would tell nothing."""


def web_application(assembly: Assembly) -> "tuple[FastAPI, Hub]":
    """Join the assembled parts with the web application; return it and the hub of its streams."""
    settings = assembly.settings
    hub = Hub(
        assembly.feed,
        lambda owner: assembly.reader.summary(owner=owner),
        capacity=settings.stream.connections,
        heartbeat_seconds=settings.stream.heartbeat_seconds,
    )
    stream = StreamApp(hub)

    def check_stream() -> None:
        if not hub.stats().live:
            raise OrakulError("the stream does not follow the journal")

    async def start() -> None:
        await stream.start()

    parts = Parts(
        settings=WebSettings.of(settings, assembly.secret),
        reader=assembly.reader,
        control=assembly.control,
        orders=assembly.orders,
        fleet=assembly.orders,
        accounts=assembly.accounts,
        audit=assembly.audit,
        edited=assembly.edited,
        bulk=assembly.bulk,
        exports=assembly.exports,
        tell=assembly.journal.append,
        events=assembly.events,
        replayer=assembly.replayer,
        rules=assembly.rules,
        stream=stream,
        room=assembly.room,
        moments=PostgresMoments(assembly.connections),
        figures=PostgresFigures(assembly.connections),
        pipelines=PostgresPipelines(assembly.connections),
        retention=PostgresRetention(assembly.connections, rules_of(settings)),
        depths=lambda queues: depths_of(assembly.runners, queues),
        probes={"database": assembly.check_database, "stream": check_stream},
        start=start,
        notices=assembly.notices,
    )
    app = create_app(parts)
    if settings.telemetry.traces:
        from orakul.telemetry.libraries import trace_application  # noqa: PLC0415 (a product)

        trace_application(app, excluded=_UNTRACED)
    return app, hub


class EmbeddedRoom:
    """The control room as a part of another application: an ASGI application to be mounted under a path of it.

    `mount_in` lets it live as long as the host. Where it is only mounted (`host.mount(path, room)`) nobody tells it of
    the host's beginning and end: it starts with the first request then, and stops with the process.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._app: FastAPI | None = None
        self._assembly: Assembly | None = None
        self._leaving: contextlib.AsyncExitStack | None = None
        self._turn: asyncio.Lock | None = None
        self._handlers: dict[int, tuple[Any, Any]] = {}

    @property
    def started(self) -> bool:
        """Whether it runs."""
        return self._app is not None

    def mount_in(self, host: Starlette, path: str) -> "EmbeddedRoom":
        """Mount it under a path of the host, and let it start before the host and stop after it."""
        host.mount(path, self, name="orakul")
        hosts = host.router.lifespan_context

        @asynccontextmanager
        async def both(app: Any) -> AsyncIterator[Any]:
            async with self.lifespan(), hosts(app) as state:
                yield state

        host.router.lifespan_context = both
        return self

    async def start(self) -> None:
        """Open the database, begin the background work, follow the journal. Done again, it changes nothing."""
        if self._turn is None:
            self._turn = asyncio.Lock()
        async with self._turn:
            if self._app is not None:
                return
            self._assembly = await run_in_threadpool(self._assembled)
            app, hub = web_application(self._assembly)
            self._leaving = contextlib.AsyncExitStack()
            await self._leaving.enter_async_context(app.router.lifespan_context(app))
            self._app = app
            self._end_streams_with_the_server(hub)
            atexit.register(self._assembly.stop)
            log.info("The control room runs inside this application, on %s", self._assembly.database.shown)

    async def stop(self) -> None:
        """End the streams and the background work, ship what is left, leave the database."""
        app, self._app = self._app, None
        if app is None or self._leaving is None or self._assembly is None:
            return
        atexit.unregister(self._assembly.stop)
        for number, (ours, before) in self._handlers.items():
            if signal.getsignal(number) is ours:
                signal.signal(number, before)
        self._handlers.clear()
        await self._leaving.aclose()
        await run_in_threadpool(self._assembly.stop)

    @asynccontextmanager
    async def lifespan(self, _host: Any = None) -> AsyncIterator[None]:
        """Run it as long as the host: `FastAPI(lifespan=room.lifespan)`, or inside the host's own lifespan."""
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that came to the path where it is mounted."""
        if scope["type"] == "lifespan":  # it is served by itself
            await self._live(receive, send)
            return
        if self._app is None:
            try:
                await self.start()
            except OrakulError as error:
                await _away(str(error))(scope, receive, send)
                return
        assert self._app is not None  # noqa: S101 (just started)
        await self._app(_inside(scope), receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except OrakulError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _end_streams_with_the_server(self, hub: Hub) -> None:
        """End the streams when the server is told to end: it waits for its connections first, and tells us after that.

        Its own handlers of signals are called as before.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        closing: set[asyncio.Task[None]] = set()

        def close() -> None:
            closing.add(loop.create_task(hub.close()))

        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)

            def end(which: int, frame: FrameType | None, before: Any = before) -> None:
                loop.call_soon_threadsafe(close)
                if callable(before):
                    before(which, frame)
                elif before == signal.SIG_DFL:
                    signal.signal(which, signal.SIG_DFL)
                    signal.raise_signal(which)

            signal.signal(number, end)
            self._handlers[number] = (end, before)

    def _assembled(self) -> Assembly:
        assembly = assemble(self.settings, open_database(self.settings))
        assembly.start()
        return assembly


def control_room(settings: Settings | None = None, **given: Any) -> EmbeddedRoom:
    """Return the control room, to be mounted in a Starlette or FastAPI application.

    Its settings are those of `orakul.toml` and the environment, unless they are handed over; single ones may be given
    by name, those of sections with two underscores: `control_room(database_url="postgresql://…", web__language="en")`.
    """
    if settings is not None and given:
        raise OrakulError("give control_room either settings or single ones by name, not both")
    if settings is None:
        options: Mapping[str, Any] = {name.replace("__", "."): value for name, value in given.items()}
        settings = load_settings(options)
    return EmbeddedRoom(settings)


def _inside(scope: Scope) -> Scope:
    """Return the scope with the whole prefix at the beginning of its path, as ASGI has it.

    A host behind a proxy that takes its prefix away knows that prefix (`FastAPI(root_path=…)`), and its path lacks it.
    """
    root, path = str(scope.get("root_path", "")), str(scope.get("path", ""))
    before = str(scope.get("app_root_path", ""))
    if not before or path.startswith(root) or not path.startswith(root.removeprefix(before)):
        return scope
    return {**scope, "path": before + path}


def _away(said: str) -> ASGIApp:
    problem = {"type": "urn:orakul:problem:unavailable", "title": "Service Unavailable", "status": 503, "detail": said}
    return JSONResponse(problem, 503, headers={"Retry-After": "5"}, media_type="application/problem+json")
