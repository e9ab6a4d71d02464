"""PostgreSQL: batches by ADBC (COPY in binary form), CSV by COPY in text form, which the server writes itself.

The SQL is a SELECT (WITH and VALUES too). Parameters are put in as literals, quoted by the client library: COPY takes
no others. What Arrow has no type for is asked for as text.
"""

import contextlib
import re
import select
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from orakul.errors import MissingExtraError, SourceError
from orakul.exports.connecting import ConnectingSource
from orakul.exports.parameters import bind, without_end
from orakul.exports.source import picked
from orakul.sources.postgres_columns import (
    PostgresColumn,
    array_of,
    as_arrow,
    as_csv,
    copy_options,
    field_of,
    selecting,
    text_columns,
)
from orakul.sources.postgres_copy import may_read_directly, rows_of

if TYPE_CHECKING:
    import pyarrow as pa

    from orakul.exports.plan import Csv

try:
    import psycopg
    from psycopg import sql as quoting
    from psycopg.conninfo import conninfo_to_dict, make_conninfo
    from psycopg.pq import ExecStatus
except ModuleNotFoundError as missing:
    raise MissingExtraError("psycopg", "exports") from missing

__all__ = ["PostgresSource"]

_SESSION = (
    "SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO, MDY', false), "
    "set_config('IntervalStyle', 'postgres', false), set_config('bytea_output', 'hex', false), "
    "set_config('extra_float_digits', '1', false)"
)
_ROWS, _BYTES = 8192, 2 << 20
_OFTEN = 0.25
_PATIENCE = 10.0
"""How long, in seconds, a server that was told to stop may take before it is left."""


class PostgresSource(ConnectingSource):
    """Reads from PostgreSQL 13 or newer."""

    def __init__(self, url: str) -> None:
        super().__init__()
        scheme, _, rest = url.partition("://")
        try:
            given = conninfo_to_dict(f"postgresql://{rest}" if scheme else url)
        except psycopg.Error as error:
            raise SourceError(f"the database's URL is wrong: {_said(error)}") from error
        given.setdefault("connect_timeout", 10)
        given.setdefault("application_name", "orakul export")
        self._where = make_conninfo("", **given)

    def query(self, sql: str, parameters: Mapping[str, Any], columns: tuple[str, ...] | None = None) -> "_Rows":
        """Begin a query and return its rows."""
        connection = self._connect()
        text, described = self._described(connection, sql, parameters)
        chosen = [described[place] for place in picked([each.name for each in described], columns)]
        expected = _expected(connection, text)
        connection.close()
        return _Rows(self, selecting(text, described, chosen, as_arrow), chosen, expected)

    def csv(
        self, sql: str, parameters: Mapping[str, Any], form: "Csv", columns: tuple[str, ...] | None = None
    ) -> "_CsvRows | None":
        """Begin a query and return its rows as CSV, unless the form is one that COPY does not have."""
        options = copy_options(form)
        if options is None:
            return None
        connection = self._connect()
        text, described = self._described(connection, sql, parameters)
        chosen = [described[place] for place in picked([each.name for each in described], columns)]
        if form.quoting == "text":
            forced = text_columns(chosen)
            options += f", FORCE_QUOTE ({forced})" if forced else ""
        query = selecting(
            text, described, chosen, lambda name, each: as_csv(name, each, form.decimal), renamed=form.quoting == "text"
        )
        copy = f"COPY ({query}) TO STDOUT ({options})"
        return _CsvRows(
            self,
            connection,
            copy,
            names=tuple(each.name for each in chosen),
            expected=_expected(connection, text),
            carriage=form.line_end == "crlf",
        )

    # -- for the rows

    @property
    def where(self) -> str:
        """The connection string."""
        return self._where

    def _connect(self) -> "psycopg.Connection[Any]":
        if self.cancelled:
            raise SourceError("cancelled")
        try:
            connection = psycopg.connect(self._where, autocommit=True)
            self.watch(connection, connection.cancel_safe)
            connection.execute(_SESSION)
        except psycopg.Error as error:
            raise SourceError(f"PostgreSQL does not let us in: {_said(error)}") from error
        return connection

    def _described(
        self, connection: "psycopg.Connection[Any]", sql: str, parameters: Mapping[str, Any]
    ) -> tuple[str, list[PostgresColumn]]:
        """Return the SQL with its parameters, and its columns, without running it."""
        try:
            text = bind(without_end(sql), parameters, lambda _, value: quoting.Literal(value).as_string(connection))
            server = connection.pgconn
            for result in (server.prepare(b"", text.encode()), server.describe_prepared(b"")):
                if result.status != ExecStatus.COMMAND_OK:
                    raise SourceError(_said(result.get_error_message()))
        except (psycopg.Error, ValueError) as error:
            raise SourceError(_said(error)) from error
        if not result.nfields:
            raise SourceError("the SQL gives no rows: an export needs a SELECT")
        columns = [
            PostgresColumn((result.fname(place) or b"").decode(), result.ftype(place), result.fmod(place))
            for place in range(result.nfields)
        ]
        return text, columns


class _CsvRows:
    """The rows of a COPY in text form."""

    def __init__(
        self,
        source: PostgresSource,
        connection: "psycopg.Connection[Any]",
        copy: str,
        *,
        names: tuple[str, ...],
        expected: int | None,
        carriage: bool,
    ) -> None:
        self.names, self.expected = names, expected
        self._source, self._connection, self._copy = source, connection, copy
        self._carriage = carriage

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(psycopg.Error):
            self._connection.close()

    def __iter__(self) -> Iterator[list[bytes]]:
        direct = may_read_directly(self._connection)
        for rows in rows_of(self._connection, self._copy, self._wait) if direct else self._lists():
            yield [bytes(row[:-1]) + b"\r\n" for row in rows] if self._carriage else rows

    def _lists(self) -> Iterator[list[Any]]:
        """Read by the client library, row for row."""
        server = self._connection.pgconn
        try:
            server.send_query(self._copy.encode())
            self._await_result()
            get, rows, held = server.get_copy_data, [], 0
            due = time.monotonic() + _OFTEN
            while True:
                size, row = get(1)
                if size > 0:
                    rows.append(row)
                    held += size
                    if len(rows) == _ROWS or held >= _BYTES:
                        yield rows
                        rows, held = [], 0
                elif size == 0:
                    if rows and time.monotonic() >= due:  # a slow query's rows are told of, and not piled up
                        yield rows
                        rows, held, due = [], 0, time.monotonic() + _OFTEN
                    self._await_data()
                else:
                    break
            if rows:
                yield rows
            self._await_result()
        except psycopg.Error as error:
            raise SourceError(_said(error)) from error

    def _await_data(self) -> None:
        self._wait()
        self._connection.pgconn.consume_input()

    def _wait(self) -> None:
        """Wait until there is more from the server; a server that does not react to a cancel is left."""
        while not select.select([self._connection.pgconn.socket], [], [], 0.5)[0]:
            since = self._source.cancelled_since
            if since is not None and time.monotonic() - since > _PATIENCE:
                raise SourceError("cancelled, and PostgreSQL did not answer")

    def _await_result(self) -> None:
        server = self._connection.pgconn
        while server.is_busy():
            self._await_data()
        result = server.get_result()
        if result is not None and result.status in {ExecStatus.FATAL_ERROR, ExecStatus.NONFATAL_ERROR}:
            raise SourceError(_said(result.get_error_message()))


class _Rows:
    """The rows of a COPY in binary form, as batches."""

    def __init__(self, source: PostgresSource, query: str, columns: list[PostgresColumn], expected: int | None) -> None:
        import pyarrow as pa  # noqa: PLC0415  # loaded when it is needed

        try:
            from adbc_driver_postgresql import dbapi  # noqa: PLC0415  # likewise
        except ModuleNotFoundError as error:
            raise MissingExtraError("adbc-driver-postgresql", "exports") from error
        self.expected = expected
        self._columns = columns
        self._errors: tuple[type[Exception], ...] = (dbapi.Error, pa.ArrowException, OSError)
        try:
            self._connection = dbapi.connect(source.where, autocommit=True)
            cursor = self._connection.cursor()
            source.watch(self, cursor.adbc_cancel)
            cursor.execute(_SESSION)
            cursor.fetchall()
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(8 << 20)})
            cursor.execute(query)
            self._reader = cursor.fetch_record_batch()
            self._cursor = cursor
        except self._errors as error:
            raise SourceError(_said(error)) from error
        self.schema = pa.schema(
            [field_of(column, field) for column, field in zip(columns, self._reader.schema, strict=True)]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(Exception):  # a lost connection does not close well
            self._cursor.close()
            self._connection.close()

    def __iter__(self) -> "Iterator[pa.RecordBatch]":
        import pyarrow as pa  # noqa: PLC0415  # loaded when it is needed

        try:
            for batch in self._reader:
                arrays = [
                    array_of(column, field.type) for column, field in zip(batch.columns, self.schema, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        except self._errors as error:
            raise SourceError(_said(error)) from error


def _expected(connection: "psycopg.Connection[Any]", text: str) -> int | None:
    """Return the planner's guess of how many rows there will be."""
    try:
        found = connection.execute(f"EXPLAIN (FORMAT JSON) {text}".encode()).fetchone()
        return int(found[0][0]["Plan"]["Plan Rows"]) if found else None
    except (psycopg.Error, KeyError, IndexError, TypeError, ValueError):
        return None


def _said(error: object) -> str:
    """Return the database's own words, in one piece."""
    text = re.sub(r"\A(?:\[libpq\][^:]*: )?(?:(?:ERROR|FATAL):\s+)?", "", str(error).strip())
    return text or type(error).__name__
