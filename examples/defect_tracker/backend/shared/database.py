"""The database: one for all services, a schema of its own for each, and numbered migrations beside the code."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from backend.shared import settings

__all__ = ["engine", "migrate", "session"]

log = logging.getLogger("tracker")

engine = create_engine(settings.DATABASE_URL.replace("postgresql://", "postgresql+psycopg://", 1), pool_pre_ping=True)


def session() -> Iterator[Session]:
    """Give a request its session; what the route has not committed is rolled back."""
    with Session(engine) as opened:
        yield opened


def migrate(schema: str, folder: Path, *, patience: float = 60.0) -> None:
    """Bring a service's schema up to date: each numbered file once, whoever starts at the same time."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return _migrate(schema, folder)
        except OperationalError as error:  # the database is still starting
            if time.monotonic() > deadline:
                raise
            log.info("waiting for the database: %s", str(error.orig).splitlines()[0])
            time.sleep(1.0)


def _migrate(schema: str, folder: Path) -> None:
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"tracker {schema}"})
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        connection.execute(text(f'SET LOCAL search_path TO "{schema}"'))
        connection.execute(text("CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY)"))
        done = set(connection.execute(text("SELECT name FROM migrations")).scalars())
        for file in sorted(folder.glob("*.sql")):
            if file.name not in done:
                log.info("%s: %s", schema, file.stem)
                connection.execute(text(file.read_text("utf-8")))
                connection.execute(text("INSERT INTO migrations VALUES (:name)"), {"name": file.name})
