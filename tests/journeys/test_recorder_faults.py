"""What was recorded is in the journal, once, whatever was killed in between. Real processes, a real PostgreSQL."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from servers import PostgresServer, wait_for

from orakul.events import Event
from orakul.journals.postgres import PostgresJournal
from orakul.journals.postgres.connection import Connections
from orakul.journals.postgres.migrations import upgrade
from orakul.tasks.recorder import Recorder

# Records events, and says after each the number up to which `record` has returned.
WRITER = """
import sys, time
from orakul.events import Event
from orakul.journals.postgres import PostgresJournal
from orakul.tasks.recorder import Recorder
spool, url, start, count, pause, ship = sys.argv[1:7]
recorder = Recorder(spool, lambda: PostgresJournal(url), ship=ship == "ship")
for n in range(int(start), int(start) + int(count)):
    recorder.record(Event(event_type="load.tick", data={"n": n}))
    print(n, flush=True)
    if float(pause):
        time.sleep(float(pause))
print("done", flush=True)
sys.stdin.read()
"""


class Writer:
    """A process that records, and what it is sure to have recorded."""

    def __init__(
        self, folder: Path, url: str, start: int, count: int, *, pause: float = 0.0, ship: bool = True
    ) -> None:
        command = [sys.executable, "-c", WRITER, str(folder), url, str(start), str(count), str(pause)]
        self.output = (folder.parent / f"writer-{start}.out").open("w+")
        self.process = subprocess.Popen(
            [*command, "ship" if ship else "append"], stdin=subprocess.PIPE, stdout=self.output
        )

    def taken(self) -> list[int]:
        """Return the numbers for which `record` had returned."""
        text = Path(self.output.name).read_text()
        return [int(line) for line in text.split("\n")[:-1] if line != "done"]

    @property
    def done(self) -> bool:
        return Path(self.output.name).read_text().endswith("done\n")

    def kill(self) -> list[int]:
        self.process.kill()
        self.process.communicate()
        return self.taken()

    def end(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def numbers(url: str) -> Counter[int]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT (data->>'n')::int FROM orakul.events WHERE event_type = 'load.tick'")
        return Counter(row[0] for row in rows)


def waits(spool: Path) -> bool:
    return any(path.suffix == ".jsonl" and path.name != "quarantine.jsonl" for path in spool.iterdir())


def ship_the_rest(spool: Path, url: str) -> None:
    """Be the next process that comes along: it ships what the dead left."""
    recorder = Recorder(spool, lambda: PostgresJournal(url))
    recorder.start()
    wait_for(lambda: not waits(spool), "an empty spool")
    recorder.close()


def once_each(url: str, expected: set[int]) -> None:
    """Assert that what was taken is there, each once; one line more may be: written, and killed before it was said."""
    found = numbers(url)
    assert not (missing := expected - set(found)), f"lost: {sorted(missing)[:10]} of {len(expected)}"
    assert [n for n, times in found.items() if times > 1] == []


@pytest.mark.parametrize("ship", [True, False], ids=["ships itself", "only appends"])
def test_killed_while_recording(spool: Path, database_url: str, ship: bool) -> None:  # noqa: FBT001 (parametrized)
    writer = Writer(spool, database_url, 0, 10_000, ship=ship)
    wait_for(lambda: len(writer.taken()) > 3000, "the middle of it", every=0.005)
    taken = writer.kill()
    assert 3000 < len(taken) < 10_000, "it was to be killed in the middle"
    ship_the_rest(spool, database_url)
    once_each(database_url, set(taken))


def test_shipper_killed_and_taken_over_while_others_record(spool: Path, database_url: str) -> None:
    shipper = Writer(spool, database_url, 0, 3000, pause=0.0005)
    wait_for(lambda: len(shipper.taken()) > 100, "the first shipper", every=0.01)
    others = [Writer(spool, database_url, 10_000 * n, 3000, pause=0.0005) for n in (1, 2)]
    wait_for(lambda: all(len(other.taken()) > 500 for other in others), "the others", every=0.01)
    taken = set(shipper.kill())
    killed = time.monotonic()
    before = len(numbers(database_url))
    wait_for(lambda: len(numbers(database_url)) > before + 10, "the take-over")
    assert time.monotonic() - killed < 5.0
    wait_for(lambda: all(other.done for other in others), "the others' end")
    for other in others:
        other.end()
        taken |= set(other.taken())
    ship_the_rest(spool, database_url)
    once_each(database_url, taken)
    assert len(taken) > 6000


def test_postgres_killed_and_restarted_in_the_middle(spool: Path, own_postgres: Callable[[], PostgresServer]) -> None:
    server = own_postgres()
    upgrade(server.url)
    journal_url = server.url
    recorder = Recorder(spool, lambda: PostgresJournal(journal_url))
    slowest = 0.0
    for n in range(6000):
        if n == 2000:
            server.kill9()
        if n == 4000:
            server.start()
        began = time.perf_counter()
        recorder.record(Event(event_type="load.tick", data={"n": n}))
        slowest = max(slowest, time.perf_counter() - began)
        if n % 20 == 0:
            time.sleep(0.005)
    assert recorder.flush(30.0), recorder.stats()
    assert slowest < 1.0, "the work waited for the database"
    once_each(server.url, set(range(6000)))
    assert recorder.stats().retries > 0
    recorder.close()
    assert not waits(spool)


def test_what_is_confirmed_outlives_a_crash_also_where_the_database_would_not_wait(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')  # type: ignore[arg-type]
    with Connections(database_url).open("write") as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_frozen_postgres_does_not_hold_up_the_work(spool: Path, own_postgres: Callable[[], PostgresServer]) -> None:
    server = own_postgres()
    upgrade(server.url)
    recorder = Recorder(spool, lambda: PostgresJournal(server.url))
    recorder.record(Event(event_type="load.tick", data={"n": 0}))
    assert recorder.flush(10.0)
    assert server.process is not None
    server.process.freeze()
    for session in _children(server.process.pid):
        os.kill(session, signal.SIGSTOP)
    began = time.monotonic()
    for n in range(1, 2000):
        recorder.record(Event(event_type="load.tick", data={"n": n}))
    assert time.monotonic() - began < 2.0
    assert not recorder.flush(0.5)
    for session in _children(server.process.pid):
        os.kill(session, signal.SIGCONT)
    server.process.thaw()
    assert recorder.flush(30.0)
    once_each(server.url, set(range(2000)))
    recorder.close()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_prefork_children_append_and_the_parent_ships(spool: Path, database_url: str) -> None:
    recorder = Recorder(spool, lambda: PostgresJournal(database_url))
    recorder.start()
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            recorder.append_only()
            for n in range(500):
                recorder.record(Event(event_type="load.tick", data={"n": number * 1000 + n}))
            os.kill(os.getpid(), signal.SIGKILL)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    wait_for(lambda: sum(numbers(database_url).values()) >= 2000, "the children's events")
    once_each(database_url, {number * 1000 + n for number in range(4) for n in range(500)})
    wait_for(lambda: not waits(spool), "the files of the dead children gone")
    recorder.close()
