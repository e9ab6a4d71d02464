"""The feed gives each entry once, in order, as it is stored, and outlives what happens to its connection."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from servers import PostgresServer, wait_for

from orakul.errors import JournalUnavailableError
from orakul.events import Event
from orakul.journals.postgres import PostgresFeed, PostgresJournal
from orakul.journals.postgres.migrations import upgrade
from orakul.tasks.feed import Entry


def run(work: Coroutine[Any, Any, Any], seconds: float = 60) -> Any:
    return asyncio.run(asyncio.wait_for(work, seconds))


def about(task_id: str, event_type: str, user_id: str | None = None, **data: Any) -> Event:
    return Event(event_type=f"task.{event_type}", task_id=task_id, user_id=user_id, data=data)


async def until(feed: PostgresFeed, after: int, done: Callable[[list[Entry]], bool]) -> list[Entry]:
    """Follow from `after` until what came is enough."""
    found: list[Entry] = []
    async with aclosing(feed.follow(after)) as batches:  # type: ignore[type-var]  # it is a generator
        async for batch in batches:
            found += batch
            if done(found):
                break
    return found


def test_entries_carry_what_they_are_about(database_url: str) -> None:
    journal, feed = PostgresJournal(database_url), PostgresFeed(database_url)
    assert run(feed.bounds()) == (0, 0)
    assert run(feed.read(0)) == []
    journal.append([about("t", "pending", "7", arguments=[1]), Event(event_type="shop.sold", user_id=5)])
    journal.append([about("t", "log", message="hello"), about("t", "progress", progress={"done": 1})])
    last = journal.append([about("t", "completed", result="secret"), about("u", "log", message="whose?")])
    entries = run(feed.read(0))
    assert [(entry.kind, entry.owner) for entry in entries] == [
        ("task", "7"),
        ("event", None),
        ("task", "7"),
        ("log", "7"),
        ("task", "7"),
        ("log", None),
    ]
    task = entries[0].task
    assert task is not None
    assert (task.status, task.progress, task.arguments, task.result) == ("completed", {"done": 1}, None, None)
    assert entries[3].log is not None
    assert entries[3].log.message == "hello"
    assert run(feed.bounds()) == (entries[0].seq, last)
    assert [entry.seq for entry in run(feed.read(entries[1].seq, limit=2))] == [entry.seq for entry in entries[2:4]]


def test_what_is_stored_arrives_at_once(database_url: str) -> None:
    journal, feed = PostgresJournal(database_url), PostgresFeed(database_url, look_seconds=30)
    journal.append([Event(event_type="warm")])

    async def follow() -> list[float]:
        took = []
        async with aclosing(feed.follow(0)) as batches:  # type: ignore[type-var]  # it is a generator
            async for _ in batches:
                if len(took) == 10:
                    return took
                await asyncio.sleep(0.05)  # idle, so that the look is not what finds it
                begin = time.perf_counter()
                await asyncio.to_thread(journal.append, [Event(event_type="x")])
                took.append(begin)
        return took

    begin = time.perf_counter()
    run(follow())
    assert time.perf_counter() - begin < 10


def test_an_event_whose_notification_is_lost_is_found_by_looking(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orakul.journals.postgres.feed._CHANNEL", "a_channel_that_nobody_uses")
    journal, feed = PostgresJournal(database_url), PostgresFeed(database_url, look_seconds=0.2)
    last = journal.append([Event(event_type="x")])

    async def both() -> list[Entry]:
        following = asyncio.create_task(until(feed, last, bool))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(journal.append, [Event(event_type="quiet")])
        return await following  # type: ignore[no-any-return]

    assert [entry.event.event_type for entry in run(both()) if entry.event] == ["quiet"]


def test_a_reader_from_before_the_days_that_are_guided_sees_the_same(database_url: str) -> None:
    """What the batches say of where to look is kept for a day; who comes from before it looks everywhere."""
    journal, feed = PostgresJournal(database_url), PostgresFeed(database_url)
    now = datetime.now(UTC)
    for days in (0, 20, 3, -2, 400, 1):
        journal.append([Event(event_type="x", timestamp=now - timedelta(days=days)), about("t", "log", str(days))])
    everything = run(feed.read(0))
    assert [entry.seq for entry in everything] == list(range(1, 13))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM orakul.batches WHERE last_seq < 7")
    for after in range(12):
        assert run(feed.read(after)) == everything[after:]
        assert run(feed.read(after, limit=2)) == everything[after : after + 2]


def test_the_feed_works_where_listen_does_not(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, feed = PostgresJournal(database_url), PostgresFeed(database_url)
    execute = psycopg.AsyncConnection.execute

    async def without_listen(self: Any, query: Any, *rest: Any, **options: Any) -> Any:
        if str(query).startswith("LISTEN"):
            return await execute(self, "SELECT 1 / 0")
        return await execute(self, query, *rest, **options)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", without_listen)

    async def both() -> list[Entry]:
        following = asyncio.create_task(until(feed, 0, lambda found: len(found) == 2))
        for _ in range(2):
            await asyncio.sleep(0.4)
            await asyncio.to_thread(journal.append, [Event(event_type="x")])
        return await following  # type: ignore[no-any-return]

    assert len(run(both())) == 2


def test_sixteen_writers_and_each_seq_once(database_url: str) -> None:
    """One reader follows all the time, others drop and resume where they were: none misses one, none has one twice."""
    writers, batches = 16, 25
    stored: list[int] = []
    guard = threading.Lock()

    def write(number: int) -> None:
        journal, order = PostgresJournal(database_url), random.Random(number)  # noqa: S311 (no secret)
        for batch in range(batches):
            size = order.randint(1, 12)
            kinds = [order.choice(("pending", "in_progress", "log", "completed")) for _ in range(size)]
            events = [
                Event(
                    event_type=f"task.{kind}",
                    task_id=f"{number}-{order.randint(0, 9)}",
                    event_id=f"{number}.{batch}.{n}",
                )
                for n, kind in enumerate(kinds)
            ]
            journal.append(events)
            with guard:
                stored.append(size)
        journal.close()

    async def resume() -> list[Entry]:
        feed, found = PostgresFeed(database_url), list[Entry]()

        def enough(most: int, new: list[Entry]) -> bool:
            return len(new) >= most or finished(found + new)

        while not finished(found):
            most = random.randint(1, 30)  # noqa: S311 (no secret)
            found += await until(feed, found[-1].seq if found else 0, partial(enough, most))
        return found

    def finished(found: list[Entry]) -> bool:
        return len(stored) == writers * batches and len(found) >= sum(stored)

    async def everything() -> list[list[Entry]]:
        threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        readers = [asyncio.create_task(until(PostgresFeed(database_url), 0, finished))]
        readers += [asyncio.create_task(resume()) for _ in range(2)]
        for thread in threads:
            thread.start()
        await asyncio.to_thread(lambda: [thread.join() for thread in threads])
        PostgresJournal(database_url).append([about("end", "log")])  # wakes readers that were at the end already
        stored[-1] += 1
        return await asyncio.gather(*readers)

    found = run(everything(), 120)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT seq FROM orakul.events UNION SELECT seq FROM orakul.logs ORDER BY 1"
        ).fetchall()
    truth = [row[0] for row in rows]
    assert len(truth) == sum(stored)
    for entries in found:
        assert [entry.seq for entry in entries] == truth


def test_nothing_is_lost_when_the_server_is_killed_in_the_middle(own_postgres: Callable[[], PostgresServer]) -> None:
    """What an append confirmed is there afterwards, and a reader that follows has it once."""
    server = own_postgres()
    upgrade(server.url)
    confirmed: list[str] = []
    guard, ended = threading.Lock(), threading.Event()

    def write(number: int) -> None:
        journal, batch = PostgresJournal(server.url), 0
        while not ended.is_set():
            events = [Event(event_type="x", event_id=f"{number}.{batch}.{n}") for n in range(5)]
            try:
                journal.append(events)
            except JournalUnavailableError:
                time.sleep(0.05)
                continue
            with guard:
                confirmed.extend(event.event_id for event in events)
            batch += 1

    def reached(count: int) -> bool:
        return len(confirmed) >= count

    async def everything() -> list[Entry]:
        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        last: list[int] = []
        following = asyncio.create_task(
            until(PostgresFeed(server.url), 0, lambda found: bool(last) and found[-1].seq >= last[0])
        )
        for _ in range(2):
            await asyncio.sleep(1)
            before = len(confirmed)
            server.kill9()
            server.start()  # from this thread: the server dies with the one that started it
            await asyncio.to_thread(wait_for, partial(reached, before + 100), "the writers to go on")
        ended.set()
        await asyncio.to_thread(lambda: [thread.join() for thread in threads])
        last.append(await asyncio.to_thread(PostgresJournal(server.url).append, [Event(event_type="end")]))
        return await following  # type: ignore[no-any-return]

    entries = run(everything(), 120)
    ids = [entry.event.event_id for entry in entries if entry.event and entry.event.event_type == "x"]
    assert len(ids) == len(set(ids))
    assert set(confirmed) <= set(ids)
    with psycopg.connect(server.url) as connection:
        rows = connection.execute("SELECT seq FROM orakul.events ORDER BY seq").fetchall()
    assert [entry.seq for entry in entries] == [row[0] for row in rows]


def test_an_absent_server_is_said_so_and_followed_when_it_comes(own_postgres: Callable[[], PostgresServer]) -> None:
    server = own_postgres()
    upgrade(server.url)
    feed = PostgresFeed(server.url)
    server.stop()
    with pytest.raises(JournalUnavailableError, match="does not answer"):
        run(feed.read(0))

    async def both() -> list[Entry]:
        following = asyncio.create_task(until(feed, 0, bool))
        await asyncio.sleep(0.5)
        server.start()
        await asyncio.to_thread(PostgresJournal(server.url).append, [Event(event_type="x")])
        return await following  # type: ignore[no-any-return]

    assert len(run(both())) == 1


def test_a_follower_that_stops_leaves_no_connection(database_url: str) -> None:
    async def glance() -> int:
        feed = PostgresFeed(database_url)
        PostgresJournal(database_url).append([Event(event_type="x")])
        for _ in range(5):
            await until(feed, 0, bool)
        await feed.close()
        await asyncio.sleep(0.2)
        with psycopg.connect(database_url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE application_name = 'orakul feed' AND datname = current_database()"
            ).fetchone()
        return row[0] if row else -1

    assert run(glance()) == 0
