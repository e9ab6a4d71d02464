"""A PostgreSQL that keeps its connections and says nothing: it is given up in time, and asked anew."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from orakul.errors import JournalUnavailableError
from orakul.events import Event
from orakul.journals.postgres import Connections, PostgresJournal, PostgresReader, connection
from orakul.tasks import TaskQuery


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_SILENCE", {"read": 1.0, "write": 1.0})


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def pid_of(raw: psycopg.Connection) -> int:
    row = raw.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture(autouse=True)
def own_server(postgres: object) -> None:
    if not hasattr(postgres, "folder"):
        pytest.skip("the PostgreSQL given from outside is not ours to freeze")


def test_a_frozen_connection_is_given_up_and_the_question_asked_on_another(database_url: str) -> None:
    with Connections(database_url) as connections:
        journal, reader = PostgresJournal(connections), PostgresReader(connections)
        journal.append([Event(event_type="task.completed", task_id="t")])
        with frozen(connections.run("read", pid_of)), frozen(connections.run("write", pid_of)):
            assert [task.task_id for task in reader.tasks(TaskQuery()).items] == ["t"]
            journal.append([Event(event_type="task.completed", task_id="u")])
        assert {task.task_id for task in reader.tasks(TaskQuery()).items} == {"t", "u"}


def test_who_freezes_in_the_middle_is_an_outage_within_its_time(database_url: str) -> None:
    def work(raw: psycopg.Connection) -> None:
        with frozen(pid_of(raw)), raw.transaction():
            raise AssertionError("nothing can be begun there")

    with Connections(database_url) as connections:
        begin = time.monotonic()
        with pytest.raises(JournalUnavailableError, match="nothing was heard of a statement for 1 s"):
            connections.run("read", work)
        assert time.monotonic() - begin < 30, "it would be for ever"
        assert connections.run("read", pid_of)


def test_who_finds_all_connections_waiting_is_told_so(database_url: str) -> None:
    connections = Connections(database_url, size=1)
    with (
        connections._borrow("read"),
        pytest.raises(JournalUnavailableError, match="all 1 connections"),
    ):
        connections.run("read", pid_of)
    assert connections.run("read", pid_of)
    connections.close()
