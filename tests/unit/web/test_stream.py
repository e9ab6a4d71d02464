"""The stream over a real uvicorn, with a journal in memory."""

import asyncio
import contextlib
import itertools
import json
import random
import socket
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streams import Listener, MemoryFeed, Somebody, by_name, event_entry, log_entry, serving, summary, task_entry

from orakul.errors import JournalUnavailableError
from orakul.web.stream import Hub, StreamApp
from orakul.web.stream.connection import AsgiConnection, Bounds, TransportConnection
from orakul.web.stream.ring import Ring

HTTP = ["httptools", "h11"]  # the fast way through uvicorn's transport, and the way of every ASGI server


async def left(hub: Hub, count: int) -> None:
    """Wait until so many connections are left."""
    async with asyncio.timeout(20):
        while hub.stats().connections > count:  # noqa: ASYNC110 (seen from outside, as a user of it would)
            await asyncio.sleep(0.01)


@pytest.fixture(params=HTTP)
def http(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_new_reader_starts_live_and_knows_its_position_at_once(http: str) -> None:
    async def law() -> None:
        feed = MemoryFeed([task_entry(seq) for seq in range(1, 8)])
        hub = Hub(feed)
        async with serving(hub, http=http) as port:
            reader = await Listener(port).open()
            await reader.until(lambda me: me.last_id == "7")
            assert reader.said == []
            assert 1000 <= (reader.retry or 0) <= 3000
            assert reader.answer["content-type"].startswith("text/event-stream")
            assert reader.answer["x-accel-buffering"] == "no"
            assert "no-cache" in reader.answer["cache-control"]
            feed.store(task_entry(8, "7", name="shop.pay"))
            (said,) = await reader.hear(1)
            assert (said.kind, said.seq) == ("task", 8)
            assert said.data["name"] == "shop.pay"
            assert said.data["new_status"] == said.data["status"] == "pending"
            assert said.data["event_type"] == "task.pending"
            assert said.data["timestamp"] == "2026-01-02T03:04:05Z"
            assert said.data["seq"] == 8
            assert "arguments" not in said.data
            kind = TransportConnection if http == "httptools" else AsgiConnection
            assert {type(connection) for connection in hub._connections} == {kind}
            reader.close()

    asyncio.run(law())


def test_middlewares_have_their_say_in_the_headers_and_cost_nothing_afterwards() -> None:
    """Where the application names the server's own `send`, the stream goes past what is wrapped around it."""

    async def law() -> None:
        feed = MemoryFeed()
        hub = Hub(feed)
        app = StreamApp(hub, by_name)
        passed: list[str] = []

        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            async def said(message: Any) -> None:
                passed.append(message["type"])
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], (b"x-wrapped", b"yes")]
                await send(message)

            if scope["type"] == "http":
                scope["orakul.server_send"] = send
            await app(scope, receive, said)

        async with serving(hub, app=wrapped) as port:
            reader = await Listener(port).open()
            await reader.until(lambda me: me.last_id == "0")
            feed.store(task_entry(1))
            await reader.hear(1)
            assert reader.answer["x-wrapped"] == "yes"
            assert passed[-1] == "http.response.start"
        assert passed[-2:] == ["http.response.body", "lifespan.shutdown.complete"]

    asyncio.run(law())


def test_each_kind_of_entry_has_its_own_event_type(http: str) -> None:
    async def law() -> None:
        feed = MemoryFeed()
        async with serving(Hub(feed), http=http) as port:
            reader = await Listener(port).open()
            await reader.until(lambda me: me.last_id == "0")
            feed.store(task_entry(1), log_entry(2, message="two\nlines\r\n\u2028"), event_entry(3, "a.b", x="y\n"))
            task, log, event = await reader.hear(3)
            assert [task.kind, log.kind, event.kind] == ["task", "log", "event"]
            assert log.data["message"] == "two\nlines\r\n\u2028"
            assert event.data["event_type"] == "a.b"
            assert event.data["data"] == {"x": "y\n"}
            assert [said.seq for said in reader.said] == [1, 2, 3] == [said.data["seq"] for said in reader.said]

    asyncio.run(law())


@pytest.mark.parametrize("by", ["header", "query"])
def test_a_reader_that_comes_back_gets_exactly_what_it_missed(http: str, by: str) -> None:
    async def law() -> None:
        feed = MemoryFeed([task_entry(seq) for seq in range(1, 31)])
        # A ring so small that the first part comes from the journal and the rest from memory.
        hub = Hub(feed, ring=Ring(entries=5), warm=5)
        async with serving(hub, http=http) as port:
            reader = Listener(port)
            if by == "header":
                reader.last_id = "10"
            else:
                reader.query += "&last_event_id=10"
            await reader.open()
            await reader.hear(20)
            feed.store(*(task_entry(seq) for seq in range(31, 36)))
            assert [said.seq for said in await reader.hear(25)] == list(range(11, 36))

    asyncio.run(law())


def test_a_soon_return_is_served_from_memory_also_after_a_restart() -> None:
    async def law() -> None:
        feed = MemoryFeed([task_entry(seq) for seq in range(1, 1001)])
        async with serving(Hub(feed)) as port:
            reader = await Listener(port, last_id="900").open()
            await reader.until(lambda me: me.last_id == "1000")
            reads = feed.reads
            others = [await Listener(port, last_id="1").open() for _ in range(20)]
            for other in others:
                assert [said.seq for said in await other.hear(999)] == list(range(2, 1001))
            assert feed.reads == reads

    asyncio.run(law())


@pytest.mark.parametrize(
    ("last_id", "word"),
    [
        ("nonsense", "not a number"),
        ("-1", "not a number"),
        ("1.5", "not a number"),
        ("9" * 30, "not a number"),
        ("501", "beyond the end"),
        ("98", "older than what is kept"),
        ("0", "older than what is kept"),
    ],
)
def test_a_number_that_cannot_be_continued_leads_to_a_reset_and_then_live(last_id: str, word: str) -> None:
    async def law() -> None:
        feed = MemoryFeed([task_entry(seq) for seq in range(100, 501)])
        feed.oldest = 100
        async with serving(Hub(feed, warm=10)) as port:
            reader = await Listener(port, last_id=last_id).open()
            (reset,) = await reader.hear(1)
            assert reset.kind == "reset"
            assert word in reset.data["reason"]
            assert reader.last_id == "500"
            feed.store(task_entry(501))
            assert [said.id for said in await reader.hear(1, "task")] == ["501"]

    asyncio.run(law())


def test_the_oldest_number_that_still_continues_is_one_below_what_is_kept() -> None:
    async def law() -> None:
        feed = MemoryFeed([task_entry(seq) for seq in range(100, 121)])
        feed.oldest = 100
        async with serving(Hub(feed, warm=2)) as port:
            reader = await Listener(port, last_id="99").open()
            assert [said.seq for said in await reader.hear(21)] == list(range(100, 121))

    asyncio.run(law())


def test_a_reader_ahead_of_this_server_gets_nothing_twice() -> None:
    """It comes from another web process, which had read further; the numbers in between may have no entry."""

    async def law() -> None:
        feed = MemoryFeed([task_entry(1), task_entry(2)])
        hub = Hub(feed)
        async with serving(hub) as port:
            await (await Listener(port).open()).until(lambda me: me.last_id == "2")
            feed.entries += [task_entry(3), task_entry(5)]  # stored, and the hub not yet woken
            reader = await Listener(port, last_id="4").open()
            await reader.hear(1)
            feed.store(task_entry(6))
            assert [said.seq for said in await reader.hear(2)] == [5, 6]

    asyncio.run(law())


def test_a_restored_journal_resets_everybody_and_is_followed_again() -> None:
    async def law() -> None:
        feed = MemoryFeed([task_entry(seq) for seq in range(1, 51)])
        hub = Hub(feed, watch_seconds=0.05)
        async with serving(hub) as port:
            reader = await Listener(port).open()
            await reader.until(lambda me: me.last_id == "50")
            del feed.entries[20:]
            (reset,) = await reader.hear(1, "reset")
            assert "restored" in reset.data["reason"]
            assert reader.last_id == "20"
            feed.store(task_entry(21))
            assert [said.seq for said in await reader.hear(1, "task")] == [21]

    asyncio.run(law())


def test_while_the_database_is_away_streams_stay_open_say_so_and_recover() -> None:
    async def law() -> None:
        feed = MemoryFeed([task_entry(1)])
        hub = Hub(feed, watch_seconds=0.05, heartbeat_seconds=0.1)
        async with serving(hub) as port:
            reader = await Listener(port).open()
            await reader.until(lambda me: me.last_id == "1")
            feed.down = True
            (stale,) = await reader.hear(1, "live")
            assert stale.data["live"] is False
            assert stale.data["since"].endswith("Z")
            beats = reader.comments
            await reader.until(lambda me: me.comments >= beats + 2)
            late = await Listener(port).open()
            assert (await late.hear(1, "live"))[0].data["live"] is False
            feed.entries.append(task_entry(2))
            feed.down = False
            for each in (reader, late):
                assert (await each.hear(2, "live"))[1].data["live"] is True
                assert [said.seq for said in await each.hear(1, "task")] == [2]
        # A server that starts while the database is away takes readers all the same.
        feed.down = True
        hub = Hub(feed, watch_seconds=0.05, heartbeat_seconds=0.1)
        async with serving(hub) as port:
            reader = await Listener(port, last_id="1").open()
            await reader.until(lambda me: me.comments >= 2)
            feed.down = False
            assert [said.seq for said in await reader.hear(1, "task")] == [2]

    asyncio.run(law())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/tasks/subscribe", 401),
        ("POST", "/api/tasks/subscribe?as=admin", 405),
        ("HEAD", "/api/tasks/subscribe?as=admin", 405),
        ("GET", "/api/tasks/subscribed?as=admin", 404),
        ("GET", "/api/tasks/subscribe?as=admin&only=task,laugh", 422),
    ],
)
def test_other_requests_are_answered_with_problem_details(method: str, path: str, status: int) -> None:
    async def law() -> None:
        async with serving(Hub(MemoryFeed())) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status)
            assert b"application/problem+json" in head
            if method != "HEAD":
                assert json.loads(body)["status"] == status
            if status == 405:
                assert b"allow: GET" in head
            writer.close()

    asyncio.run(law())


def test_beyond_the_cap_new_readers_are_refused_and_the_old_ones_stay() -> None:
    async def law() -> None:
        feed = MemoryFeed()
        hub = Hub(feed, capacity=2)
        async with serving(hub) as port:
            one, two = await Listener(port).open(), await Listener(port).open()
            third = await Listener(port).open()
            assert third.status == 503
            assert 1 <= int(third.answer["retry-after"]) <= 10
            one.close()
            await left(hub, 1)
            assert (await Listener(port).open()).status == 200
            feed.store(task_entry(1))
            await two.hear(1)

    asyncio.run(law())


def test_a_stream_ends_with_its_token() -> None:
    async def law() -> None:
        feed = MemoryFeed()
        valid = {"until": time.time() + 0.4}
        async with serving(Hub(feed), lambda _: Somebody("7", "user", valid["until"])) as port:
            reader = await Listener(port).open()
            began = time.monotonic()
            with pytest.raises(EOFError):
                await reader.until(lambda _: False)
            assert 0.2 < time.monotonic() - began < 10
            assert (await Listener(port).open()).status == 401

        signed_in: list[Any] = [Somebody("7")]
        async with serving(Hub(feed), lambda _: signed_in[0], app={"recheck_seconds": 0.1}) as port:
            reader = await Listener(port).open()
            await reader.quiet(0.4)
            signed_in[0] = None
            with pytest.raises(EOFError):
                await reader.until(lambda _: False)

    asyncio.run(law())


def test_filters_cut_a_stream_to_kinds_and_to_one_task(http: str) -> None:
    async def law() -> None:
        feed = MemoryFeed()
        async with serving(Hub(feed), http=http) as port:
            lists = await Listener(port, "as=admin&only=task,metrics").open()
            detail = await Listener(port, "as=admin&task_id=b").open()
            logs = await Listener(port, "as=7&task_id=a&only=log").open()
            for each in (lists, detail, logs):
                await each.until(lambda me: me.last_id == "0")
            feed.store(task_entry(1, "7", "a"), log_entry(2, "7", "a"), task_entry(3, "8", "b"), log_entry(4, "8", "b"))
            assert [said.seq for said in await lists.hear(2)] == [1, 3]
            assert [said.seq for said in await detail.hear(2)] == [3, 4]
            assert [said.seq for said in await logs.hear(1)] == [2]
            # The same when it is replayed.
            again = await Listener(port, "as=admin&task_id=b", last_id="1").open()
            assert [said.seq for said in await again.hear(2)] == [3, 4]

    asyncio.run(law())


def test_a_quiet_reader_comes_back_from_near_the_end() -> None:
    """Its own events are rare; the heartbeat moves its Last-Event-ID on, so that what it names is still kept."""

    async def law() -> None:
        feed = MemoryFeed()
        async with serving(Hub(feed, heartbeat_seconds=0.1)) as port:
            reader = await Listener(port, "as=7").open()
            await reader.until(lambda me: me.last_id == "0")
            feed.store(*(task_entry(seq, "8") for seq in range(1, 201)))
            await reader.until(lambda me: me.last_id == "200")
            assert reader.said == []

    asyncio.run(law())


owners = st.sampled_from([None, "", "1", "2", "3", "*", "=1", "admin", "viewer"])
entries = st.lists(
    st.tuples(st.sampled_from(["task", "log", "event"]), owners, st.sampled_from("abc")), min_size=1, max_size=40
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=entries, split=st.integers(0, 40), data=st.data())
def test_nobody_ever_hears_of_another_users_work(
    rows: list[tuple[str, str | None, str]], split: int, data: Any
) -> None:
    """Live, from memory and from the journal; also users that are named like a role or like an inner key."""
    made = []
    for seq, (kind, owner, task_id) in enumerate(rows, 1):
        match kind:
            case "task":
                made.append(task_entry(seq, owner, task_id))
            case "log":
                made.append(log_entry(seq, owner, task_id))
            case _:
                made.append(event_entry(seq, "x.y", owner))
    users = ["1", "2", "3", "*", "=1"]
    begin = data.draw(st.integers(0, min(split, len(made))))

    async def law() -> None:
        feed = MemoryFeed(made[:split])
        async with serving(Hub(feed, ring=Ring(entries=5), warm=3)) as port:
            readers = {}
            for name in [*users, "admin", "viewer"]:
                readers[name] = await Listener(port, f"as={name}", last_id=str(begin)).open()
            feed.store(*made[split:])
            for name, reader in readers.items():
                everything = name in {"admin", "viewer"}
                right = [
                    entry.seq for entry in made[begin:] if everything or (entry.kind != "event" and entry.owner == name)
                ]
                await reader.hear(len(right))
                assert [said.seq for said in reader.said] == right
            await asyncio.gather(*(reader.quiet(0.03) for reader in readers.values()))
            for name in users:
                assert all(rows[said.seq - 1][1] == name for said in readers[name].said)

    asyncio.run(law())


def test_a_task_whose_owner_comes_late_is_told_to_the_owner_from_then_on() -> None:
    async def law() -> None:
        feed = MemoryFeed()
        async with serving(Hub(feed)) as port:
            mine, other = await Listener(port, "as=7").open(), await Listener(port, "as=8").open()
            for each in (mine, other):
                await each.until(lambda me: me.last_id == "0")
            feed.store(task_entry(1, None, "a"), log_entry(2, None, "a"))
            feed.store(task_entry(3, "7", "a"), log_entry(4, "7", "a"), task_entry(5, "8", "b"))
            assert [said.seq for said in await mine.hear(2)] == [3, 4]
            assert [said.seq for said in await other.hear(1)] == [5]

    asyncio.run(law())


def test_metrics_come_at_once_then_at_most_once_a_second_and_only_when_changed(http: str) -> None:
    async def law() -> None:
        feed = MemoryFeed()
        asked: list[str | None] = []
        queued = itertools.count()

        def summarize(owner: str | None) -> Any:
            asked.append(owner)
            return summary(next(queued) if owner is None else 0)

        async with serving(Hub(feed, summarize), http=http) as port:
            admin, user = await Listener(port).open(), await Listener(port, "as=7").open()
            assert (await admin.hear(1, "metrics"))[0].data["queued"] == 0
            await user.hear(1, "metrics")
            begin, began = len(asked), time.monotonic()
            for seq in range(1, 121):
                feed.store(task_entry(seq, str(seq % 50)))
                await asyncio.sleep(0.01)
            await admin.quiet(1.0)
            await user.quiet(0.1)
            seconds = time.monotonic() - began
            assert 2 <= len(admin.of("metrics")) <= seconds + 2
            assert len(user.of("metrics")) == 1  # asked again, and the same
            assert len(asked) - begin <= 2 * (seconds + 2)
            assert set(asked) == {None, "7"}  # nobody computes for owners who are not there
            # Whoever comes later has the figures at once.
            late = await Listener(port).open()
            await late.hear(1, "metrics", within=5)

    asyncio.run(law())


def test_metrics_outlive_a_summary_that_fails() -> None:
    async def law() -> None:
        feed = MemoryFeed()
        failures: list[Exception] = [ValueError("a bug"), JournalUnavailableError("away")]

        def summarize(_owner: str | None) -> Any:
            if failures:
                raise failures.pop()
            return summary(3)

        async with serving(Hub(feed, summarize, heartbeat_seconds=0.2)) as port:
            reader = await Listener(port).open()
            assert (await reader.hear(1, "metrics"))[0].data["queued"] == 3

    asyncio.run(law())


def test_a_slow_reader_is_closed_and_resumes_without_a_gap(http: str) -> None:
    async def law() -> None:
        feed = MemoryFeed()
        hub = Hub(feed, bounds=Bounds(waiting_bytes=200_000))
        async with serving(hub, http=http) as port:
            slow = await Listener(port, receive_buffer=4096).open()
            quick = await Listener(port).open()
            await quick.until(lambda me: me.last_id == "0")
            count = 0
            while hub.stats().closed_slow == 0:
                feed.store(*(log_entry(count + n, message="x" * 10_000) for n in range(1, 11)))
                count += 10
                await quick.hear(count)
                assert count < 5_000
            heard = []
            with contextlib.suppress(EOFError, OSError):
                while True:
                    heard += await slow.step()
            again = await Listener(port, last_id=slow.last_id or "0").open()
            missed = count - len(heard)
            heard += await again.hear(missed, within=20)
            assert [said.seq for said in heard] == list(range(1, count + 1))
            assert len(hub._connections) == 2

    asyncio.run(law())


def test_a_reader_that_takes_nothing_is_closed_after_a_while(http: str) -> None:
    async def law() -> None:
        feed = MemoryFeed()
        hub = Hub(feed, bounds=Bounds(waiting_bytes=10**9, stalled_seconds=1.0))
        async with serving(hub, http=http) as port:
            stuck = await Listener(port, receive_buffer=4096).open()
            for count in range(400):
                feed.store(*(log_entry(count * 10 + n, message="x" * 10_000) for n in range(1, 11)))
                await asyncio.sleep(0.001)
            # By the hub's own timer, or by the kernel's (TCP_USER_TIMEOUT counts a closed window too).
            await left(hub, 0)
            stuck.close()

    asyncio.run(law())


def test_dead_peers_are_noticed_by_the_kernel() -> None:
    async def law() -> None:
        hub = Hub(MemoryFeed(), bounds=Bounds(stalled_seconds=12))
        async with serving(hub) as port:
            await Listener(port).open()
            (connection,) = hub._connections
            assert isinstance(connection, TransportConnection)
            peer = connection._transport.get_extra_info("socket")
            assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 12_000

    asyncio.run(law())


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_thousand_readers_come_and_go_and_nothing_is_left(http: str, loop: str) -> None:
    async def law() -> None:
        feed = MemoryFeed()
        hub = Hub(feed, lambda _: summary())
        async with serving(hub, http=http) as port:
            before = len(asyncio.all_tasks())
            for batch in range(20):
                readers = [await Listener(port, f"as=u{n}", last_id="0" if n % 2 else "").open() for n in range(50)]
                feed.store(*(task_entry(batch * 50 + n + 1, f"u{n}") for n in range(50)))
                for reader in random.sample(readers, 25):
                    await reader.until(lambda me: me.last_id != "")
                for reader in readers:
                    reader.close()
            await left(hub, 0)
            await asyncio.sleep(0.1)
            assert len(asyncio.all_tasks()) <= before
            assert list(hub._audiences) == []
            assert hub._audiences._index == hub._audiences._keyed == {}
            assert hub._figures is not None
            assert hub._figures._desks == {}
            assert hub._joining == {}

    if loop == "uvloop":
        import uvloop

        uvloop.run(law())
    else:
        asyncio.run(law())


def test_closing_ends_all_streams_promptly(http: str) -> None:
    async def law() -> None:
        feed = MemoryFeed([task_entry(1)])
        hub = Hub(feed)
        async with serving(hub, http=http) as port:
            readers = [await Listener(port).open() for _ in range(50)]
            stuck = await Listener(port, receive_buffer=4096).open()
            feed.store(*(log_entry(seq, message="x" * 10_000) for seq in range(2, 90)))
            for reader in readers:
                await reader.hear(88)
            began = time.monotonic()
        assert time.monotonic() - began < 10  # and not for ever
        for reader in readers:
            with pytest.raises(EOFError):
                await reader.until(lambda _: False)
        stuck.close()

    asyncio.run(law())


def test_large_and_strange_entries_do_not_break_the_stream() -> None:
    async def law() -> None:
        feed = MemoryFeed()
        async with serving(Hub(feed)) as port:
            reader = await Listener(port).open()
            await reader.until(lambda me: me.last_id == "0")
            deep: Any = {}
            for _ in range(5_000):
                deep = {"d": deep}
            feed.store(
                task_entry(1, progress={"text": "x" * 200_000}),
                log_entry(2, message="y" * 200_000),
                event_entry(3, blob="z" * 5_000_000),
                log_entry(4, message="\ud800 not UTF-8"),
                task_entry(5, name="<script>alert(1)</script>", progress={"n": float("nan")}),
                event_entry(6, deep=deep),
                task_entry(7),
            )
            said = await reader.hear(7)
            assert [each.seq for each in said] == list(range(1, 8))
            assert all(len(json.dumps(each.data)) < 70_000 for each in said)
            assert said[0].data["progress"] is None
            assert said[2].data["data"] == {"truncated": True}
            assert said[4].data["progress"] == {"n": None}

    asyncio.run(law())
