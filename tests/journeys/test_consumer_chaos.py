"""Consumer, relay, broker and PostgreSQL killed and started again at random while events are published.

Every committed event is handled, its effect (with an inbox) happens exactly once, events of a transaction that was
rolled back are never seen, and those of one subject come in their order. CHAOS_EVENTS says how many events
(20,000 for the full size), CHAOS_SEED which course of faults.
"""

import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from servers import Process, wait_for

from orakul.delivery import outbox
from orakul.events import Event
from orakul.journals.postgres.migrations import upgrade

APPS = Path(__file__).parent / "apps"
EVENTS = int(os.environ.get("CHAOS_EVENTS", "600"))
FAULTS = max(6, EVENTS // 250)
SUBJECTS = 12
WRITERS = 2

TABLES = """
CREATE TABLE facts (event_id text PRIMARY KEY, subject int NOT NULL, step int NOT NULL);
CREATE TABLE subjects (subject int PRIMARY KEY, step int NOT NULL);
CREATE TABLE effects (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id text NOT NULL, subject int NOT NULL, step int NOT NULL
);
"""


class Writer(threading.Thread):
    """Publishes until enough events are committed; a tenth of its transactions it rolls back."""

    def __init__(self, url: str, seed: int, wanted: int) -> None:
        super().__init__(daemon=True)
        self._url, self._chance, self._wanted = url, random.Random(seed), wanted  # noqa: S311 (a course of faults)
        self.committed = 0
        self.rolled_back: list[str] = []

    def run(self) -> None:
        connection: psycopg.Connection | None = None
        while self.committed < self._wanted:
            try:
                if connection is None or connection.closed:
                    connection = psycopg.connect(self._url, connect_timeout=2)
                self._publish(connection)
                self.committed += 1
                time.sleep(self._chance.uniform(0, 0.02 if EVENTS <= 2000 else 0.005))
            except RuntimeError:
                continue  # rolled back on purpose
            except psycopg.Error:
                time.sleep(0.1)  # whether the last one was committed, the table of facts tells

    def _publish(self, connection: psycopg.Connection) -> None:
        subject = self._chance.randrange(SUBJECTS)
        with connection.transaction():
            # The row is locked until the commit, so steps of a subject are numbered in the order of commits.
            row = connection.execute(
                "UPDATE subjects SET step = step + 1 WHERE subject = %s RETURNING step", (subject,)
            ).fetchone()
            assert row is not None
            event = Event(event_type="chaos.told", data={"chaos_id": subject, "step": row[0]})
            connection.execute("INSERT INTO facts VALUES (%s, %s, %s)", (event.event_id, subject, row[0]))
            outbox.publish(connection, event)
            if self._chance.random() < 0.1:
                self.rolled_back.append(event.event_id)
                raise RuntimeError("changed my mind")


@pytest.mark.timeout(1800 if EVENTS > 2000 else 240)
@pytest.mark.parametrize("kind", ["rabbitmq", "redis"])
def test_what_was_committed_is_handled_once_and_in_order_whatever_dies(
    kind: str, own_postgres: Callable[[], Any], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    postgres, broker = own_postgres(), request.getfixturevalue(f"own_{kind}")()
    upgrade(postgres.url)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(TABLES)  # type: ignore[arg-type]  # constants
        connection.execute("INSERT INTO subjects SELECT number, 0 FROM generate_series(0, %s) AS number", (SUBJECTS,))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ORAKUL_")}
    environment = clean | {
        "ORAKUL_DATA": str(tmp_path / "data"),
        "ORAKUL_DATABASE_URL": postgres.url,
        "ORAKUL_EVENTS_BROKER": broker.url,
        "ORAKUL_SECRET_KEY": "a secret key of tests, long enough",
        "CHAOS_LINES": str(tmp_path / "lines"),
        "PYTHONPATH": str(APPS),
    }
    commands = {
        "relay": ["run", "relay"],
        "consumer": ["consume", "chaos_consumers:consumers", "--grace", "5"],
    }

    def start(name: str) -> Process:
        command = [sys.executable, "-m", "orakul", *commands[name]]
        return Process(command, log=tmp_path / f"{name}.log", env=environment, cwd=tmp_path)

    processes = {name: start(name) for name in commands}
    seed = int(os.environ.get("CHAOS_SEED", "7"))
    chance = random.Random(seed)  # noqa: S311 (a course of faults)

    def heard() -> bool:
        assert processes["consumer"].alive, processes["consumer"].text()
        return processes["consumer"].text().count("listens to") == 2

    try:
        wait_for(heard, "the consumers to listen", 60)
        writers = [Writer(postgres.url, seed + number, EVENTS // WRITERS) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        # Each of the four at least once, the rest by chance; servers seldom, as each takes seconds to come back.
        faults = ["relay", "consumer", "broker", "postgres"]
        faults += chance.choices(["relay", "consumer", "broker", "postgres"], [4, 4, 1, 1], k=FAULTS - len(faults))
        chance.shuffle(faults)
        for number, fault in enumerate(faults):
            # Spread over the whole course, and never so close that nothing could come back in between.
            wait_for(
                lambda due=number * EVENTS // FAULTS: sum(each.committed for each in writers) >= due,  # type: ignore[misc]  # bound now
                "the writers to go on",
                300,
            )
            time.sleep(chance.uniform(0.3, 1.5))
            if fault in processes:
                processes[fault].kill9()
                processes[fault] = start(fault)
            else:
                server = broker if fault == "broker" else postgres
                server.kill9()
                time.sleep(chance.uniform(0, 1))
                server.start()
        for writer in writers:
            writer.join(900 if EVENTS > 2000 else 90)
            assert not writer.is_alive()
        facts, effects = settled(postgres.url, tmp_path / "lines", processes)
    finally:
        for process in processes.values():
            process.stop()

    rolled_back = {event_id for writer in writers for event_id in writer.rolled_back}
    assert len(facts) >= EVENTS
    assert rolled_back
    handled = Counter(event_id for event_id, _, _ in effects)
    assert set(handled) == set(facts)  # none lost, and none of a transaction that was rolled back
    assert [event_id for event_id, times in handled.items() if times > 1] == []
    assert not rolled_back & set((tmp_path / "lines").read_text().split())
    steps: dict[int, list[int]] = {}
    for _, subject, step in effects:
        steps.setdefault(subject, []).append(step)
    assert {subject: taken for subject, taken in steps.items() if taken != sorted(taken)} == {}


def settled(url: str, lines: Path, processes: dict[str, Process]) -> tuple[dict[str, Any], list[Any]]:
    """Wait until all that was committed is handled; return it, and the effects in their order."""

    def rows(statement: str) -> list[Any]:
        try:
            with psycopg.connect(url, connect_timeout=2) as connection:
                return connection.execute(statement.encode()).fetchall()
        except psycopg.Error as error:
            raise OSError(str(error)) from error

    facts = {row[0]: row for row in rows("SELECT event_id, subject, step FROM facts")}

    def done() -> bool:
        for name, process in processes.items():
            assert process.alive, f"{name}: {process.text()[-3000:]}"
        missing = len(facts) - rows("SELECT count(DISTINCT event_id) FROM effects")[0][0]
        unwritten = len(set(facts) - set(lines.read_text().split()))
        if missing or unwritten:
            raise AssertionError(f"{missing} effects and {unwritten} lines of {len(facts)} are missing")
        return True

    wait_for(done, "everything committed to be handled", 900 if EVENTS > 2000 else 120, every=0.3)
    time.sleep(1.0)  # a second copy on its way would come now
    return facts, rows("SELECT event_id, subject, step FROM effects ORDER BY id")
