"""Whatever else SQLAlchemy has a dialect for: rows by its driver, streamed where the driver can. The slower way."""

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from orakul.errors import MissingExtraError, SourceError
from orakul.exports.connecting import ConnectingSource
from orakul.exports.parameters import bind, without_end
from orakul.exports.python_rows import BATCH, Batches
from orakul.exports.source import picked

if TYPE_CHECKING:
    import pyarrow as pa

try:
    import sqlalchemy
    from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError
    from sqlalchemy.pool import NullPool
except ModuleNotFoundError as missing:
    raise MissingExtraError("sqlalchemy", "exports") from missing

__all__ = ["SQLAlchemySource"]


class SQLAlchemySource(ConnectingSource):
    """Reads from any URL of SQLAlchemy; `sqlalchemy+` before it is left out."""

    def __init__(self, url: str) -> None:
        super().__init__()
        try:
            address = sqlalchemy.make_url(url.removeprefix("sqlalchemy+"))
            if address.drivername == "postgresql":
                address = address.set(drivername="postgresql+psycopg")
            options: dict[str, Any] = {"check_same_thread": False} if address.drivername.startswith("sqlite") else {}
            self._engine = sqlalchemy.create_engine(address, poolclass=NullPool, connect_args=options)
        except NoSuchModuleError as error:
            raise SourceError(
                f"SQLAlchemy has no dialect for {url.partition(':')[0]}: install the package that brings it"
            ) from error
        except ModuleNotFoundError as error:
            raise SourceError(f"the driver {error.name} is not installed: pip install {error.name}") from error
        except SQLAlchemyError as error:
            raise SourceError(_said(error)) from error

    def close(self) -> None:
        """Close the connections, and the engine after them."""
        super().close()
        self._engine.dispose()

    def query(self, sql: str, parameters: Mapping[str, Any], columns: tuple[str, ...] | None = None) -> "_Rows":
        """Begin a query and return its rows."""
        given: dict[str, Any] = {}
        try:
            connection = self._connected()
            text = sqlalchemy.text(_bound(sql, parameters, given))
            result = connection.execution_options(stream_results=True, max_row_buffer=BATCH).execute(text, given)
            if not result.returns_rows:
                raise SourceError("the SQL gives no rows: an export needs a SELECT")
            return _Rows(self, result, columns)
        except SQLAlchemyError as error:
            raise SourceError(_said(error)) from error

    def _connected(self) -> sqlalchemy.Connection:
        connection = self._engine.connect()
        self.watch(connection, partial(_interrupt, connection))
        return connection


class _Rows:
    expected = None

    def __init__(
        self, source: SQLAlchemySource, result: "sqlalchemy.CursorResult[Any]", columns: tuple[str, ...] | None
    ) -> None:
        self._source, self._result = source, result
        names = list(result.keys())
        self._batches = Batches(names, picked(names, columns), [None] * len(names), self._fetch)
        self.schema = self._batches.schema

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the rows."""
        with contextlib.suppress(Exception):  # a lost connection does not close well
            self._result.close()

    def __iter__(self) -> "Iterator[pa.RecordBatch]":
        return iter(self._batches)

    def _fetch(self) -> Any:
        if self._source.cancelled:
            raise SourceError("cancelled")
        try:
            return self._result.fetchmany(BATCH)
        except SQLAlchemyError as error:
            raise SourceError(_said(error)) from error


def _interrupt(connection: sqlalchemy.Connection) -> None:
    """Stop it by whatever the driver has for it."""
    raw: Any = connection.connection.driver_connection
    next(getattr(raw, name) for name in ("cancel_safe", "cancel", "interrupt") if hasattr(raw, name))()


def _bound(sql: str, parameters: Mapping[str, Any], given: dict[str, Any]) -> str:
    """Return the SQL with SQLAlchemy's own places for parameters, and every other colon kept from being one."""

    def place(name: str, value: Any) -> str:
        given[f"orakul_{name}"] = value
        return f"\0{name}\0"

    text = bind(without_end(sql), parameters, place).replace(":", "\\:")
    for name in given:
        text = text.replace(f"\0{name.removeprefix('orakul_')}\0", f":{name}")
    return text


def _said(error: Exception) -> str:
    """Return the driver's own words."""
    return str(getattr(error, "orig", None) or error).strip()
