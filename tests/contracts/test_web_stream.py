"""The stream behind the application's door: who hears what, over a real server and a real journal."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace

import pytest
import uvicorn
from streams import Listener
from web_world import PEOPLE, SECRET, World, story

from orakul.journals.postgres import PostgresFeed
from orakul.web.app import create_app
from orakul.web.parts import TokenSettings
from orakul.web.stream import Hub, StreamApp
from orakul.web.stream.server import StreamServer
from orakul.web.tokens import Tokens


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    found = World.on(database_url).tell()
    yield found
    found.connections.close()


@contextlib.asynccontextmanager
async def served(world: World, database_url: str) -> AsyncIterator[int]:
    hub = Hub(PostgresFeed(database_url), lambda owner: world.parts.reader.summary(owner=owner))
    stream = StreamApp(hub)
    app = create_app(replace(world.parts, stream=stream, start=stream.start))
    server = StreamServer(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"), hub)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        began = time.monotonic()
        server.should_exit = True
        await asyncio.wait_for(task, 10)
        assert time.monotonic() - began < 5


def law(world: World, database_url: str, body: Callable[[int], Awaitable[None]]) -> None:
    async def run() -> None:
        async with served(world, database_url) as port:
            await body(port)

    asyncio.run(run())


def listener(world: World, port: int, who: str, *, by: str = "bearer", query: str = "", last_id: str = "") -> Listener:
    headers = {"Authorization": f"Bearer {world.tokens[who]}"}
    if by == "cookie":
        headers = {"Cookie": f"orakul_session={world.client(who)('POST', '/api/session').cookies['orakul_session']}"}
    return Listener(port, query=query, headers=headers, last_id=last_id)


@pytest.mark.parametrize("by", ["bearer", "cookie"])
def test_each_hears_of_what_is_theirs_live_and_replayed(world: World, database_url: str, by: str) -> None:
    async def body(port: int) -> None:
        people = {who: await asyncio.to_thread(listener, world, port, who, by=by, last_id="1") for who in PEOPLE}
        for each in people.values():
            await each.open()
        await asyncio.to_thread(world.journal.append, story("t-live", "completed"))
        await asyncio.to_thread(world.journal.append, story("t-bob", "pending", user="8"))
        await asyncio.to_thread(world.journal.append, story("t-nobody", "pending", user=None))
        for who in ("viewer", "admin"):
            await people[who].until(lambda me: any(said.data["task_id"] == "t-nobody" for said in me.of("task")))
        await people["owner"].until(lambda me: any(said.data["task_id"] == "t-live" for said in me.of("task")))
        await people["other"].hear(1, "task")
        for who in ("owner", "other"):
            await people[who].quiet(0.5)
        heard = {who: {said.data["task_id"] for said in each.of("task", "log")} for who, each in people.items()}
        assert heard["other"] == {"t-bob"}
        assert {"t-live", "t-failed", "t-completed"} <= heard["owner"]
        assert not {"t-bob", "t-nobody"} & heard["owner"]
        assert {"t-live", "t-bob", "t-nobody", "t-failed"} <= heard["viewer"] == heard["admin"]
        assert not people["owner"].of("event")
        await people["other"].until(lambda me: any(said.data["queued"] == 1 for said in me.of("metrics")))
        assert {said.data["queued"] for said in people["other"].of("metrics")} <= {0, 1}
        for each in people.values():
            each.close()

    law(world, database_url, body)


def test_asking_for_anothers_task_by_its_id_is_silence(world: World, database_url: str) -> None:
    async def body(port: int) -> None:
        other = await listener(world, port, "other", query="task_id=t-failed", last_id="1").open()
        owner = await listener(world, port, "owner", query="task_id=t-failed", last_id="1").open()
        await owner.hear(3, "task")
        await other.quiet(0.5)
        assert not other.of("task", "log")
        owner.close()
        other.close()

    law(world, database_url, body)


def test_the_head_of_a_stream_is_dressed_like_every_answer_and_is_not_buffered(world: World, database_url: str) -> None:
    async def body(port: int) -> None:
        admin = await listener(world, port, "admin").open()
        assert admin.answer["content-type"].startswith("text/event-stream")
        assert admin.answer["x-accel-buffering"] == "no"
        assert "no-cache" in admin.answer["cache-control"]
        assert "default-src 'none'" in admin.answer["content-security-policy"]
        admin.close()
        for headers in ({}, {"Authorization": "Bearer garbage"}, {"Cookie": "orakul_session=garbage"}):
            refused = await Listener(port, query="", headers=headers).open()
            assert refused.status == 401
            assert refused.answer["content-type"] == "application/problem+json"

    law(world, database_url, body)


def test_a_stream_ends_when_its_token_does(world: World, database_url: str) -> None:
    token, _ = Tokens(SECRET, TokenSettings()).issue("7", username="ann", role="user", lifetime=2)

    async def body(port: int) -> None:
        ann = await Listener(port, query="", headers={"Authorization": f"Bearer {token}"}).open()
        with pytest.raises(EOFError):
            await ann.until(lambda _: False, within=6)

    law(world, database_url, body)


def test_the_server_ends_soon_though_streams_are_open(world: World, database_url: str) -> None:
    async def body(port: int) -> None:
        for _ in range(5):
            await listener(world, port, "admin").open()

    law(world, database_url, body)
