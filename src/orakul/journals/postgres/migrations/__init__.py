"""The journal's tables, version by version (Alembic)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from orakul.errors import JournalUnavailableError
from orakul.journals.postgres.connection import SCHEMA, explain, shown_url

__all__ = ["SchemaStatus", "maintain", "status", "upgrade"]

_UPGRADE_KEY = 7813586411420706157
_OLDEST = 150_000


class SchemaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where the tables are: the revision they have, the newest there is, and those between, oldest first."""

    current: str | None
    head: str
    pending: list[str]


def upgrade(url: str) -> SchemaStatus:
    """Bring the tables to the newest version and make the partitions of the coming days.

    Two that do it at once do it one after the other; done again, it changes nothing.
    """
    with _connected(url) as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _UPGRADE_KEY})
        connection.commit()
        try:
            _prepare(connection, url)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
            connection.execute(text(f"SELECT {SCHEMA}.maintain()"))
            connection.commit()
            return _status(connection)
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _UPGRADE_KEY})
            connection.commit()


def status(url: str) -> SchemaStatus:
    """Return which version the tables have and what is missing."""
    with _connected(url) as connection:
        return _status(connection)


def maintain(url: str) -> int:
    """Make the partitions of the coming days and clear what is out of date; return how many were made."""
    with _connected(url) as connection:
        made = connection.execute(text(f"SELECT {SCHEMA}.maintain()")).scalar_one()
        connection.commit()
        return int(made)


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    # libpq reads the URL, as everywhere else, so that every form it knows will do.
    def connect() -> psycopg.Connection:
        return psycopg.connect(url, connect_timeout=5, application_name="orakul db", options="-c TimeZone=UTC")

    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    except Exception as error:
        cause = getattr(error, "orig", error)
        unavailable = explain(cause, url) if isinstance(cause, psycopg.Error) else None
        if unavailable is None:
            raise
        raise unavailable from error
    finally:
        engine.dispose()


def _prepare(connection: Connection, url: str) -> None:
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    if version < _OLDEST:
        raise JournalUnavailableError(
            f"PostgreSQL at {shown_url(url)} is version {version // 10_000}; Orakul needs 15 or newer"
        )
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise JournalUnavailableError(
            f"the database at {shown_url(url)} has the encoding {encoding}; make one with ENCODING 'UTF8'"
        )
    known = connection.execute(text("SELECT to_regnamespace(:schema) IS NOT NULL"), {"schema": SCHEMA}).scalar_one()
    if not known:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    connection.commit()


def _status(connection: Connection) -> SchemaStatus:
    script = ScriptDirectory.from_config(_config())
    context = MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA})
    current, head = context.get_current_revision(), script.get_current_head() or ""
    pending = [revision.revision for revision in script.iterate_revisions(head, current or "base")]
    return SchemaStatus(current=current, head=head, pending=pending[::-1])


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
