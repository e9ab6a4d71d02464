"""For tests of the stream: a feed in memory, a served StreamApp, and an EventSource over a raw socket."""

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import uvicorn

from orakul.events import Event
from orakul.tasks.feed import Entry
from orakul.tasks.reader import LogLine, Summary
from orakul.tasks.status import Status
from orakul.tasks.task import Task
from orakul.web.stream import Hub, StreamApp
from orakul.web.stream.ring import Ring
from orakul.web.stream.server import StreamServer

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def task_entry(seq: int, owner: str | None = None, task_id: str = "t-1", **facts: Any) -> Entry:
    task = Task(
        task_id=task_id, user_id=owner, created_at=MOMENT, updated_at=MOMENT, **{"status": Status.PENDING, **facts}
    )
    event = Event(event_type=f"task.{task.status.value}", task_id=task_id, timestamp=MOMENT, data={"attempt": 1})
    return Entry(seq=seq, kind="task", owner=owner, event=event, task=task)


def log_entry(seq: int, owner: str | None = None, task_id: str = "t-1", message: str = "hello") -> Entry:
    line = LogLine(seq=seq, task_id=task_id, attempt=1, timestamp=MOMENT, level="INFO", logger="shop", message=message)
    return Entry(seq=seq, kind="log", owner=owner, log=line)


def event_entry(seq: int, event_type: str = "worker.online", owner: str | None = None, **data: Any) -> Entry:
    event = Event(event_type=event_type, data=data, timestamp=MOMENT)
    return Entry(seq=seq, kind="event", owner=owner, event=event)


class MemoryFeed:
    """A journal in memory, read as a feed. `down` makes it fail as one whose database is away."""

    def __init__(self, entries: list[Entry] | None = None) -> None:
        self.entries = entries or []
        self.oldest = 1
        self.down = False
        self.reads = 0
        self._stored = asyncio.Event()

    def store(self, *entries: Entry) -> None:
        self.entries.extend(entries)
        self._stored.set()
        self._stored = asyncio.Event()

    async def bounds(self) -> tuple[int, int]:
        self._check()
        return (self.oldest, self.entries[-1].seq) if self.entries else (0, 0)

    async def read(self, after: int, limit: int = 1000) -> list[Entry]:
        self._check()
        self.reads += 1
        await asyncio.sleep(0)
        return [entry for entry in self.entries if entry.seq > after][:limit]

    async def follow(self, after: int) -> AsyncIterator[list[Entry]]:
        while True:
            stored = self._stored
            batch = [] if self.down else [entry for entry in self.entries if entry.seq > after]
            if batch:
                after = batch[-1].seq
                yield batch
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await stored.wait()

    def _check(self) -> None:
        if self.down:
            raise ConnectionError("the database is away")


@dataclass
class Somebody:
    user_id: str
    role: str = "user"
    expires_at: float | None = None


def by_name(scope: Mapping[str, Any]) -> Somebody | None:
    """Sign in whoever `?as=NAME` names; `admin` and `viewer` have those roles."""
    query = parse_qs(scope["query_string"].decode())
    name = query.get("as", [None])[0]
    if name is None:
        return None
    return Somebody(name, name if name in {"admin", "viewer"} else "user")


def summary(queued: int = 0) -> Summary:
    return Summary(
        queued=queued,
        active=0,
        capped=False,
        failure_rate_24h=None,
        mean_duration_24h=None,
        paused_queues=[],
        seq=0,
    )


@contextlib.asynccontextmanager
async def serving(hub: Hub, authenticate: Callable[[Any], Any] = by_name, **options: Any) -> AsyncIterator[int]:
    """Serve a StreamApp over the hub on a free port; `app` is another application, or the StreamApp's options."""
    given = options.pop("app", {})
    config = uvicorn.Config(
        StreamApp(hub, authenticate, **given) if isinstance(given, dict) else given,
        host="127.0.0.1",
        port=0,
        log_level="warning",
        **options,
    )
    server = StreamServer(config, hub)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 10)


@dataclass
class Said:
    """One dispatched event."""

    kind: str
    data: Any
    id: str

    @property
    def seq(self) -> int:
        return int(self.id)


@dataclass
class Listener:
    """An EventSource over a raw socket, to the letter of the standard: ids move on with blank events too."""

    port: int
    query: str = "as=admin"
    last_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    comments: int = 0
    retry: int | None = None
    status: int = 0
    answer: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    receive_buffer: int | None = None

    async def open(self) -> "Listener":
        raw = socket.socket()
        if self.receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        raw.setblocking(False)  # noqa: FBT003 (the socket module's own signature)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.port))
        limit = self.receive_buffer or 2**20
        self.reader, self.writer = await asyncio.open_connection(sock=raw, limit=limit)
        lines = [f"GET /api/tasks/subscribe?{self.query} HTTP/1.1", "Host: orakul"]
        if self.last_id:
            lines.append(f"Last-Event-ID: {self.last_id}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.status = int(head[0].split()[1])
        self.answer = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        self._text = b""
        if self.status != 200:
            self.body = await self.reader.readexactly(int(self.answer["content-length"]))
        return self

    async def step(self) -> list[Said]:
        """Read one chunk; return the events in it. An orderly end raises EOFError."""
        size = int((await self.reader.readuntil(b"\r\n")).strip() or b"0", 16)
        self._text += await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        if not size:
            raise EOFError
        *blocks, self._text = self._text.split(b"\n\n")
        heard = [said for block in blocks if (said := self._dispatch(block.decode())) is not None]
        self.said += heard
        return heard

    def _dispatch(self, block: str) -> Said | None:
        kind, data = "message", []
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            match name:
                case "":
                    self.comments += 1
                case "id":
                    self.last_id = value
                case "event":
                    kind = value
                case "data":
                    data.append(value)
                case "retry":
                    self.retry = int(value)
        return Said(kind, json.loads("\n".join(data)), self.last_id) if data else None

    async def until(self, enough: Callable[["Listener"], bool], within: float = 20.0) -> "Listener":
        """Read until enough was heard."""
        async with asyncio.timeout(within):
            while not enough(self):
                await self.step()
        return self

    async def hear(self, count: int, *kinds: str, within: float = 20.0) -> list[Said]:
        """Read until `count` events of the kinds (all where none is named) were heard; return them."""
        await self.until(lambda me: len(me.of(*kinds)) >= count, within)
        return self.of(*kinds)

    def of(self, *kinds: str) -> list[Said]:
        return [said for said in self.said if not kinds or said.kind in kinds]

    async def quiet(self, seconds: float = 0.15) -> None:
        """Read whatever comes for a while."""
        with contextlib.suppress(TimeoutError, EOFError, asyncio.IncompleteReadError):
            async with asyncio.timeout(seconds):
                while True:
                    await self.step()

    def close(self) -> None:
        self.writer.transport.abort()


def serve_journal(url: str, port: int) -> None:
    """Serve the stream of a real journal, as a process of its own: `python streams.py URL PORT`."""
    import uvloop

    from orakul.journals.postgres import PostgresFeed, PostgresReader

    async def serve() -> None:
        reader = PostgresReader(url)
        hub = Hub(
            PostgresFeed(url),
            lambda owner: reader.summary(owner=owner),
            ring=Ring(entries=3_000),  # small, so that both memory and the journal are replayed from
            warm=500,
            heartbeat_seconds=1.0,
            watch_seconds=0.5,
        )
        config = uvicorn.Config(StreamApp(hub, by_name), host="127.0.0.1", port=port, log_level="warning")
        await StreamServer(config, hub).serve()

    uvloop.run(serve())


if __name__ == "__main__":
    serve_journal(sys.argv[1], int(sys.argv[2]))
