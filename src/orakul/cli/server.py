"""Serving the control room: the web application on the assembled parts, until somebody ends it."""

import asyncio
import contextlib
import errno
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from orakul.assembly import Assembly
from orakul.errors import MissingExtraError, SettingsError

__all__ = ["address_of", "bind", "orderly_end", "serve_until_ended"]

_UNTIL_LIVE = 3.0
"""How long the word that it is ready waits for the stream, which itself waits for a database that is away."""


def bind(host: str, port: int) -> socket.socket:
    """Take the address, or raise SettingsError that says why it cannot be had and what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # Listening now makes the address ours: of two programs that start at once, one is told so here.
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"port {port} on {host} is taken by another program: choose another by --port or ORAKUL_PORT (0 takes "
                "any free one), or end that program"
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM}:
            raise SettingsError(f"port {port} on {host} is not for everybody to take: use one above 1023") from error
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror or error}; is the host right?") from error
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the URL under which a browser on this machine finds the listener."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 (compared)
    return f"http://{host}:{port}"


@contextmanager
def orderly_end() -> Iterator[None]:
    """Turn SIGTERM and Ctrl-C inside the block into its orderly end; what it opened closes on the way out."""

    class Ended(BaseException):
        pass

    def end(_number: int, _frame: FrameType | None) -> None:
        raise Ended

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with contextlib.suppress(Ended):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def serve_until_ended(
    assembly: Assembly,
    listener: socket.socket,
    ready: Callable[[str], None],
    ending: Callable[[], None] = lambda: None,
    tending: Callable[[], None] = lambda: None,
) -> None:
    """Serve on the listener until SIGTERM or Ctrl-C.

    `ready` is told the address when requests are answered; `tending` is called about once a second, `ending` before the
    parts are stopped; all of them in the main thread.
    """
    try:
        import uvicorn

        from orakul.web.serving import web_application
        from orakul.web.stream.server import StreamServer
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("orakul"):
            raise
        raise MissingExtraError(error.name or "fastapi", "web") from error
    app, hub = web_application(assembly)

    class Server(StreamServer):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            until = time.monotonic() + _UNTIL_LIVE
            while self.started and not hub.stats().live and time.monotonic() < until:  # noqa: ASYNC110 (once)
                await asyncio.sleep(0.02)
            if self.started:
                ready(address_of(listener))

        async def on_tick(self, counter: int) -> bool:
            if counter % 10 == 0:  # it ticks ten times a second
                tending()
            return await super().on_tick(counter)

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=75,
    )
    assembly.start()
    try:
        Server(config, hub).run(sockets=[listener])
    finally:
        try:
            ending()
        finally:
            assembly.stop()
