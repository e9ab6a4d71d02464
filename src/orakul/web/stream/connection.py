"""One reader's connection: what is pushed into it goes out in one write, and it never grows without bound.

Two ways out. On uvicorn over HTTP/1.1 (`TransportConnection`) the hub writes a chunk, framed once for all readers, to
the transport itself; nothing is woken. On any other server (`AsgiConnection`) each connection has a task that sends
what has piled up.
"""

import asyncio
import contextlib
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from orakul.web.stream.audience import Subscription
from orakul.web.stream.frames import Parcel

__all__ = ["AsgiConnection", "Bounds", "Connection", "Send", "TransportConnection", "connect"]

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How far behind a connection may fall before it is closed (the browser resumes where it was)."""

    waiting_bytes: int = 1_000_000
    stalled_seconds: float = 30.0


class Connection(ABC):
    """A reader, seen from the hub."""

    def __init__(self, send: Send, subscription: Subscription, bounds: Bounds) -> None:
        self.subscription = subscription
        self.bounds = bounds
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.stalled_since: float | None = None
        self._send = send
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._drained: asyncio.Event | None = None

    @property
    def waiting_bytes(self) -> int:
        """How much waits for the peer to take it."""
        return self._waiting_bytes

    @abstractmethod
    def push(self, parcel: Parcel) -> None:
        """Hand over bytes: they are written now, or when the peer has taken what was before them. Never waits."""

    @abstractmethod
    def abort(self) -> None:
        """Cut the connection, with whatever it still holds."""

    @abstractmethod
    def server_is_leaving(self) -> bool:
        """Say whether the server has asked the connection to finish, where that can be seen."""

    def end(self, reason: str) -> None:
        """Ask the connection's own task to finish it; the first reason stands."""
        if not self.ended.done():
            self.ended.set_result(reason)
        if self._drained is not None:
            self._drained.set()

    async def drained(self) -> None:
        """Wait until everything pushed is with the transport, or the connection has ended."""
        while self.stalled_since is not None and not self.ended.done():
            self._drained = asyncio.Event()
            await self._drained.wait()

    def look(self, now: float) -> None:
        """End the connection where its peer has taken nothing for too long."""
        if self.stalled_since is not None and now - self.stalled_since > self.bounds.stalled_seconds:
            self.end("stalled")

    async def finish(self) -> None:
        """Complete the response, so that the server sees an orderly end; cut the connection where it is stalled."""
        reason = self.ended.result() if self.ended.done() else "gone"
        if self.stalled_since is not None or reason in {"slow", "stalled"}:
            self.abort()
        elif reason != "gone":
            with contextlib.suppress(Exception):  # the peer may leave at this very moment, in each server's own words
                await asyncio.wait_for(self._send({"type": "http.response.body", "body": b"", "more_body": False}), 1)

    def _keep(self, data: bytes) -> None:
        # The bound holds for what waited before: a lone large parcel to a healthy reader is no reason to close it.
        if self._waiting_bytes > self.bounds.waiting_bytes:
            self._waiting.clear()
            self._waiting_bytes = 0
            self.end("slow")
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)

    def _take(self) -> bytes:
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        return data

    def _caught_up(self) -> None:
        self.stalled_since = None
        if self._drained is not None:
            self._drained.set()


class AsgiConnection(Connection):
    """A connection of any ASGI server: a task of its own sends what has piled up, in one message."""

    def __init__(self, send: Send, subscription: Subscription, bounds: Bounds) -> None:
        super().__init__(send, subscription, bounds)
        self._wake = asyncio.Event()
        self._writer = asyncio.get_running_loop().create_task(self._write())

    def push(self, parcel: Parcel) -> None:
        """See Connection."""
        if self.ended.done():
            return
        self._keep(parcel.body)
        if self.stalled_since is None:
            self.stalled_since = time.monotonic()
        self._wake.set()

    def abort(self) -> None:
        """See Connection. ASGI knows no cut: the task of the connection stops, and the server closes."""
        self._writer.cancel()

    def server_is_leaving(self) -> bool:
        """See Connection: nothing to be seen here."""
        return False

    async def finish(self) -> None:
        """See Connection."""
        self._writer.cancel()
        await super().finish()

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    self.stalled_since = time.monotonic()
                    await self._send({"type": "http.response.body", "body": self._take(), "more_body": True})
                self._caught_up()
        except Exception:  # noqa: BLE001 (each server has its own error for a peer that has left)
            self.end("gone")


class TransportConnection(Connection):
    """A connection of uvicorn over HTTP/1.1: chunks are written to its transport directly.

    `cycle` is the request-response cycle behind `send`. The response must have begun, in chunked encoding.
    """

    def __init__(self, send: Send, subscription: Subscription, bounds: Bounds, cycle: Any) -> None:
        super().__init__(send, subscription, bounds)
        self._cycle = cycle
        self._flow = cycle.flow
        self._transport = cycle.transport
        self._kept_alive = bool(cycle.keep_alive)
        self._write = cycle.transport.write
        self._drainer: asyncio.Task[None] | None = None
        _notice_dead_peers(self._transport, bounds.stalled_seconds)

    def push(self, parcel: Parcel) -> None:
        """See Connection."""
        if self._flow.write_paused or self.stalled_since is not None:
            self._hold(parcel)
            return
        try:
            self._write(parcel.chunk)
        except RuntimeError:  # uvloop's word for a transport that has just been closed
            self.end("gone")

    def _hold(self, parcel: Parcel) -> None:
        if self.ended.done():
            return
        self._keep(parcel.chunk)
        if self._drainer is None:
            self.stalled_since = time.monotonic()
            self._drainer = asyncio.get_running_loop().create_task(self._drain())

    def abort(self) -> None:
        """See Connection."""
        self._transport.abort()

    def server_is_leaving(self) -> bool:
        """See Connection. uvicorn takes keep-alive away from a response under way when it shuts down."""
        return self._kept_alive and not self._cycle.keep_alive

    async def drained(self) -> None:
        """See Connection."""
        if self._flow.write_paused and self._drainer is None and not self.ended.done():
            self.stalled_since = time.monotonic()
            self._drainer = asyncio.get_running_loop().create_task(self._drain())
        await super().drained()

    async def finish(self) -> None:
        """See Connection."""
        if self._drainer is not None:
            self._drainer.cancel()
        await super().finish()
        if self._transport.is_closing():
            # uvicorn hears of the cut in the next turns of the loop, and would log an unfinished response before.
            for _ in range(10):
                if self._cycle.disconnected:
                    break
                await asyncio.sleep(0)

    async def _drain(self) -> None:
        while True:
            await self._flow.drain()
            if self.ended.done() or self._cycle.disconnected:
                break
            if not self._waiting:
                break
            try:
                self._write(self._take())
            except RuntimeError:  # as in `push`
                self.end("gone")
                break
            self.stalled_since = time.monotonic()
        self._drainer = None
        self._caught_up()


def _notice_dead_peers(transport: Any, seconds: float) -> None:
    """Let the kernel end a connection whose peer acknowledges nothing: a half-open one looks healthy otherwise."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    peer = transport.get_extra_info("socket")
    if option is None or peer is None or getattr(peer, "family", None) not in {socket.AF_INET, socket.AF_INET6}:
        return
    with contextlib.suppress(OSError):
        peer.setsockopt(socket.IPPROTO_TCP, option, int(seconds * 1000))


def connect(send: Send, subscription: Subscription, bounds: Bounds, server_send: Send | None = None) -> Connection:
    """Return the fastest connection that the server allows. The response must have begun.

    `server_send` is the server's own `send`, where middlewares stand between it and the one given.
    """
    cycle = getattr(server_send or send, "__self__", None)
    if (
        type(cycle).__module__ == "uvicorn.protocols.http.httptools_impl"
        and getattr(cycle, "chunked_encoding", None) is True
        and getattr(cycle, "scope", {}).get("method") == "GET"
    ):
        return TransportConnection(send, subscription, bounds, cycle)
    return AsgiConnection(send, subscription, bounds)
