"""Publishing: on every kind of connection, the event is there exactly if the change is."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orakul.delivery import outbox, publish_event
from orakul.errors import InvalidEventError, OrakulError
from orakul.events import Event, EventType, as_user
from orakul.events.catalogue import CATALOGUE


def event(number: int = 42, **data: Any) -> Event:
    return Event(event_type="defect.created", data={"defect_id": number, "title": "Трещина"} | data, user_id=7)


def rows(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT event_id::text, event_type, ordering_key, envelope, headers FROM orakul.outbox ORDER BY seq"
        ).fetchall()


class RolledBackError(Exception):
    """What ends a transaction badly."""


def with_psycopg(url: str, work: Callable[[Any], Any]) -> None:
    with psycopg.connect(url) as connection:
        work(connection)


def with_psycopg_cursor(url: str, work: Callable[[Any], Any]) -> None:
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        work(connection.cursor())


def with_psycopg_async(url: str, work: Callable[[Any], Any]) -> None:
    async def run() -> None:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await work(connection)

    asyncio.run(run())


def alchemy(url: str, driver: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver}://")


def with_sqlalchemy_session(url: str, work: Callable[[Any], Any]) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    engine = create_engine(alchemy(url, "psycopg"))
    with Session(engine) as session, session.begin():
        work(session)
    engine.dispose()


def with_sqlalchemy_connection(url: str, work: Callable[[Any], Any]) -> None:
    from sqlalchemy import create_engine

    engine = create_engine(alchemy(url, "psycopg"))
    with engine.begin() as connection:
        work(connection)
    engine.dispose()


def with_sqlalchemy_async_session(url: str, work: Callable[[Any], Any], driver: str = "psycopg") -> None:
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    async def run() -> None:
        engine = create_async_engine(alchemy(url, driver))
        async with AsyncSession(engine) as session, session.begin():
            await work(session)
        await engine.dispose()

    asyncio.run(run())


def with_sqlalchemy_asyncpg(url: str, work: Callable[[Any], Any]) -> None:
    with_sqlalchemy_async_session(url, work, "asyncpg")


def with_sqlalchemy_async_connection(url: str, work: Callable[[Any], Any]) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    async def run() -> None:
        engine = create_async_engine(alchemy(url, "psycopg"))
        async with engine.begin() as connection:
            await work(connection)
        await engine.dispose()

    asyncio.run(run())


WAYS = [
    with_psycopg,
    with_psycopg_cursor,
    with_psycopg_async,
    with_sqlalchemy_session,
    with_sqlalchemy_connection,
    with_sqlalchemy_async_session,
    with_sqlalchemy_asyncpg,
    with_sqlalchemy_async_connection,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.removeprefix("with_"))
def test_the_event_is_there_exactly_if_the_transaction_commits(way: Any, database_url: str) -> None:
    kept, lost = event(42), event(43)
    way(database_url, lambda connection: outbox.publish(connection, kept, headers={"X-Origin": "shop"}, lock=True))

    def fail(connection: Any) -> Any:
        answer = outbox.publish(connection, lost, notify=True)
        if answer is None:
            raise RolledBackError

        async def awaited() -> None:
            await answer
            raise RolledBackError

        return awaited()

    with pytest.raises(RolledBackError):
        way(database_url, fail)
    [(event_id, kind, key, envelope, headers)] = rows(database_url)
    assert (event_id, kind, key) == (kept.event_id, "defect.created", "defect:42")
    assert Event.from_dict(envelope) == kept
    assert headers == {"x-origin": "shop"}


def test_django_publishes_inside_atomic_only(database_url: str, tmp_path: Path) -> None:
    program = tmp_path / "site.py"
    program.write_text(
        """
import sys
from urllib.parse import urlsplit
import django
from django.conf import settings
parts = urlsplit(sys.argv[1])
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "HOST": parts.hostname,
    "PORT": parts.port, "USER": parts.username, "PASSWORD": parts.password, "NAME": parts.path[1:]}})
django.setup()
from django.db import connection, transaction
from orakul.delivery import outbox
from orakul.events import Event
try:
    outbox.publish(connection, Event(event_type="a.b"))
except Exception as error:
    print(type(error).__name__, error)
with transaction.atomic():
    outbox.publish(connection, Event(event_type="project.created", data={"project_id": 1}))
try:
    with transaction.atomic():
        outbox.publish(connection, Event(event_type="project.deleted", data={"project_id": 1}))
        raise ValueError
except ValueError:
    pass
""",
        "utf-8",
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORAKUL_")}
    done = subprocess.run(
        [sys.executable, str(program), database_url],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "transaction.atomic" in done.stdout
    assert [row[1] for row in rows(database_url)] == ["project.created"]


def test_outside_of_a_transaction_it_says_so_instead_of_publishing(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        with pytest.raises(OrakulError, match="there is no transaction"):
            outbox.publish(connection, event())
        with pytest.raises(OrakulError, match=r"cannot publish on builtins\.object.*psycopg"):
            outbox.publish(object(), event())
    assert rows(database_url) == []


def test_data_that_do_not_fit_are_refused_and_the_transaction_goes_on(database_url: str) -> None:
    catalogue_had = CATALOGUE.get("sample.filed")

    class Filed(EventType):
        """A sample was filed."""

        sample_id: int

    if catalogue_had is None:
        CATALOGUE.register("sample.filed", Filed)
    with psycopg.connect(database_url) as connection:
        with pytest.raises(InvalidEventError, match=r"sample\.filed: data\.sample_id"):
            outbox.publish(connection, Event(event_type="sample.filed", data={"sample_id": "one"}))
        with pytest.raises(InvalidEventError, match="cannot be written as JSON"):
            outbox.publish(connection, event(strange=object()))
        with pytest.raises(InvalidEventError, match="at most 500"):
            outbox.publish(connection, event(), subject="x" * 501)
        with as_user(5):
            outbox.publish(connection, Filed(sample_id=9))
    [(_, kind, key, envelope, _)] = rows(database_url)
    assert (kind, key, envelope["data"], envelope["user_id"]) == ("sample.filed", "sample:9", {"sample_id": 9}, "5")


def test_the_line_of_the_document_is_logged_to_the_letter(database_url: str, caplog: Any) -> None:
    told = Event(
        event_type="project.created", data={"project_id": 1, "name": "Тестовый проект", "owner_id": 1}, user_id=1
    )
    with caplog.at_level(logging.INFO, "orakul.events"), psycopg.connect(database_url) as connection:
        outbox.publish(connection, told)
    data = '{"project_id": 1, "name": "Тестовый проект", "owner_id": 1}'
    assert caplog.messages == [f"[EVENT] project.created | ID: {told.event_id} | User: 1 | Data: {data}"]


def test_without_a_transaction_publish_event_answers_whether_it_was_done(
    database_url: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    assert data_dir
    told = event()
    with caplog.at_level(logging.INFO, "orakul.events"):
        assert publish_event(told) is True  # no database is set: it is logged only
        assert rows(database_url) == []
        monkeypatch.setenv("ORAKUL_DATABASE_URL", database_url)
        assert publish_event(told) is True
        assert publish_event(told) is True  # the same event: once
        assert publish_event(event(strange=object())) is False
        monkeypatch.setenv("ORAKUL_DATABASE_URL", "postgresql://postgres@127.0.0.1:1/nowhere")
        assert publish_event(event()) is False
    assert [row[0] for row in rows(database_url)] == [told.event_id]
    assert sum(message.startswith("[EVENT] defect.created") for message in caplog.messages) == 3
    assert sum(message.startswith("Failed to publish event") for message in caplog.messages) == 2


def test_with_a_lock_the_numbers_of_a_subject_are_in_the_order_of_commits(database_url: str) -> None:
    done: list[int] = []

    def publish(number: int) -> None:
        with psycopg.connect(database_url) as connection:
            for step in range(5):
                outbox.publish(connection, event(7, by=number, step=step), lock=True)
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_sleep(0.002)")
        done.append(number)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 8
    by = [json.loads(json.dumps(row[3]))["data"]["by"] for row in rows(database_url)]
    assert len({tuple(by[at : at + 5]) for at in range(0, 40, 5)}) == 8
    assert all(len(set(by[at : at + 5])) == 1 for at in range(0, 40, 5))


def test_parts_are_sixteen_and_a_subject_stays_in_its_own(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        for number in range(200):
            outbox.publish(connection, event(number % 100))
        found = connection.execute("SELECT ordering_key, min(part), max(part) FROM orakul.outbox GROUP BY 1").fetchall()
    assert all(low == high and 0 <= low < 16 for _, low, high in found)
    assert len({low for _, low, _ in found}) == 16
