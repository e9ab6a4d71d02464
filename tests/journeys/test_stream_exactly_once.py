"""Nothing lost, nothing twice: real PostgreSQL, a web process of its own, readers that drop and resume all the time."""

import asyncio
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from servers import free_port
from streams import Listener

from orakul.errors import JournalUnavailableError
from orakul.events import Event
from orakul.journals.postgres import PostgresJournal
from orakul.journals.postgres.migrations import upgrade

SERVER = Path(__file__).parent.parent / "streams.py"
OWNERS = ["1", "2", "3", "4"]
WRITERS = 16


class Writers:
    """Sixteen recorders that write the lives of tasks in batches, and write a batch again where it did not land."""

    def __init__(self, url: str) -> None:
        self.stop = threading.Event()
        self.failures: list[BaseException] = []
        self._url = url
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def _write(self, number: int) -> None:
        journal = PostgresJournal(self._url)
        dice = random.Random(number)  # noqa: S311 (repeatable, secret to nobody)
        count = 0
        try:
            while not self.stop.is_set():
                events: list[Event] = []
                for _ in range(dice.randint(1, 8)):
                    count += 1
                    events += life(f"{number}-{count}", dice.choice([*OWNERS, None]))
                self._land(journal, events)
                time.sleep(dice.random() * 0.2)
        except BaseException as error:  # noqa: BLE001 (shown by the test)
            self.failures.append(error)
        finally:
            journal.connections.close()

    def _land(self, journal: PostgresJournal, events: list[Event]) -> None:
        while True:
            try:
                journal.append(events)
            except JournalUnavailableError:
                time.sleep(0.1)
            else:
                return

    def finish(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not self.failures


def life(task_id: str, owner: str | None) -> list[Event]:
    facts: dict[str, Any] = {"attempt": 1, "name": "shop.pay", "queue": "celery"}
    return [
        Event(event_type="task.pending", task_id=task_id, user_id=owner, data=facts),
        Event(event_type="task.in_progress", task_id=task_id, user_id=owner, data={"attempt": 1}),
        Event(
            event_type="task.log",
            task_id=task_id,
            user_id=owner,
            data={"attempt": 1, "level": "INFO", "logger": "shop", "message": "paid\nand gone"},
        ),
        Event(event_type="task.completed", task_id=task_id, user_id=owner, data={"attempt": 1}),
        Event(event_type="shop.paid", data={"task": task_id}, user_id=owner),
    ]


def everything_of(postgres: Any) -> list[psutil.Process]:
    """Return the postmaster and its children, which are in process groups of their own."""
    master = psutil.Process(postgres.process.pid)
    return [master, *master.children(recursive=True)]


async def arrived(listener: Listener) -> Listener:
    """Let the reader learn where it begins (nothing is stored yet), and leave again."""
    async with asyncio.timeout(20):
        while True:
            try:
                await listener.open()
                break
            except OSError:
                await asyncio.sleep(0.1)
        await listener.until(lambda me: me.last_id != "", within=10)
    listener.close()
    return listener


async def restless(listener: Listener, port: int, done: Callable[[Listener], bool], dice: random.Random) -> Listener:
    """Listen, drop after about a second, resume by Last-Event-ID; until done."""
    while not done(listener):
        listener = Listener(port, listener.query, last_id=listener.last_id, said=listener.said)
        try:
            async with asyncio.timeout(dice.uniform(0.3, 1.3)):
                await listener.open()
                assert listener.status == 200
                while not done(listener):
                    await listener.step()
        except (TimeoutError, OSError, EOFError):
            await asyncio.sleep(0.02)
        finally:
            if hasattr(listener, "writer"):
                listener.close()
    return listener


def stored(url: str) -> dict[str, list[int]]:
    """Return every reader's right sequence, asked of the tables themselves."""
    tasks = "FROM orakul.events e LEFT JOIN orakul.tasks t USING (task_id) WHERE e.event_type LIKE 'task.%%'"
    logs = "FROM orakul.logs l LEFT JOIN orakul.tasks t USING (task_id)"
    with psycopg.connect(url) as connection:

        def numbers(text: str, *values: str) -> list[int]:
            return [row[0] for row in connection.execute(text, values).fetchall()]

        right = {"admin": numbers("SELECT seq FROM orakul.events UNION ALL SELECT seq FROM orakul.logs ORDER BY 1")}
        for owner in OWNERS:
            right[owner] = numbers(
                f"SELECT e.seq {tasks} AND t.user_id = %s "
                f"UNION ALL SELECT l.seq {logs} WHERE t.user_id = %s ORDER BY 1",
                owner,
                owner,
            )
    return right


@pytest.mark.slow
def test_a_database_that_hangs_is_told_of_and_nothing_is_lost(
    own_postgres: Callable[[], Any], spawn: Callable[..., Any]
) -> None:
    """Worse than one that is gone: connections stand, and nothing answers."""
    postgres = own_postgres()
    upgrade(postgres.url)
    port = free_port()
    spawn([sys.executable, str(SERVER), postgres.url, str(port)])

    async def law() -> None:
        reader = await arrived(Listener(port))
        reader = await Listener(port, last_id=reader.last_id).open()
        journal = PostgresJournal(postgres.url)
        await asyncio.to_thread(journal.append, life("a", "1"))
        await reader.hear(5, "task", "log", "event")
        frozen = everything_of(postgres)
        for process in frozen:
            process.suspend()
        try:
            (stale,) = await reader.hear(1, "live", within=15)
            assert stale.data["live"] is False
            beats = reader.comments
            await reader.until(lambda me: me.comments > beats + 1)
        finally:
            for process in frozen:
                process.resume()
        await asyncio.to_thread(journal.append, life("b", "1"))
        assert (await reader.hear(2, "live", within=25))[1].data["live"] is True
        heard = await reader.hear(10, "task", "log", "event", within=25)
        assert [said.seq for said in heard] == stored(postgres.url)["admin"]
        reader.close()
        journal.connections.close()

    asyncio.run(law())


@pytest.mark.slow
def test_each_reader_has_each_seq_once_through_a_crash_of_postgres_and_one_of_the_web(
    own_postgres: Callable[[], Any], spawn: Callable[..., Any]
) -> None:
    postgres = own_postgres()
    upgrade(postgres.url)
    port = free_port()
    command = [sys.executable, str(SERVER), postgres.url, str(port)]
    web = spawn(command)
    writers: Writers | None = None
    last = 10**18
    # The server ends with the thread that started it, so one thread does this and lives as long as the test.
    hand = ThreadPoolExecutor(1)

    async def by_hand(work: Callable[[], Any]) -> None:
        await asyncio.get_running_loop().run_in_executor(hand, work)

    def done(listener: Listener) -> bool:
        return listener.last_id != "" and int(listener.last_id) >= last

    async def law() -> list[Listener]:
        nonlocal writers, web, last
        names = ["admin", "viewer", "admin", "admin", *OWNERS, *OWNERS]
        first = [await arrived(Listener(port, f"as={name}")) for name in names]
        # Only now does the writing begin, so that each reader's sequence must be the whole journal.
        writers = Writers(postgres.url)
        readers = [
            asyncio.create_task(restless(listener, port, done, random.Random(number)))  # noqa: S311 (as above)
            for number, listener in enumerate(first)
        ]
        await asyncio.sleep(3)
        await by_hand(postgres.kill9)
        await asyncio.sleep(1)
        await by_hand(postgres.start)
        await asyncio.sleep(3)
        web.kill9()
        await asyncio.sleep(0.5)
        web = spawn(command)
        await asyncio.sleep(3)
        await by_hand(writers.finish)
        last = stored(postgres.url)["admin"][-1]
        async with asyncio.timeout(60):
            return await asyncio.gather(*readers)

    try:
        finished = asyncio.run(law())
    finally:
        if writers is not None:
            writers.stop.set()
    right = stored(postgres.url)
    hand.shutdown()
    assert len(right["admin"]) > 500
    for listener in finished:
        name = listener.query.removeprefix("as=")
        assert listener.of("reset") == []
        heard = [said.seq for said in listener.of("task", "log", "event")]
        assert heard == right.get(name, right["admin"]), f"the reader of {name}"
    print(f"{len(right['admin'])} entries, {len(finished)} readers")
