"""SQLite: by Python's own driver, read-only. Types are those that the columns declare, where the values agree."""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote

from orakul.errors import MissingExtraError, SourceError
from orakul.exports.connecting import ConnectingSource
from orakul.exports.parameters import bind, without_end
from orakul.exports.source import Kind, picked

try:
    import pyarrow as pa
except ModuleNotFoundError as missing:
    raise MissingExtraError("pyarrow", "exports") from missing

__all__ = ["SQLiteSource"]

_DECLARED: tuple[tuple[str, pa.DataType], ...] = (
    ("BOOL", pa.bool_()),
    ("DATETIME", pa.timestamp("us")),
    ("TIMESTAMP", pa.timestamp("us")),
    ("DATE", pa.date32()),
    ("INT", pa.int64()),
    ("CHAR", pa.string()),
    ("CLOB", pa.string()),
    ("TEXT", pa.string()),
    ("BLOB", pa.binary()),
    ("REAL", pa.float64()),
    ("FLOA", pa.float64()),
    ("DOUB", pa.float64()),
)
_DECIMAL = re.compile(r"(?:DECIMAL|NUMERIC)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_MOST_DIGITS = 38


class SQLiteSource(ConnectingSource):
    """Reads a file of SQLite: `sqlite:///name.db`."""

    def __init__(self, url: str) -> None:
        super().__init__()
        path = unquote(url.partition("://")[2].partition("?")[0])
        self._path = path.removeprefix("/") or ":memory:"

    def query(self, sql: str, parameters: Mapping[str, Any], columns: tuple[str, ...] | None = None) -> "_Rows":
        """Begin a query and return its rows."""
        given: dict[str, Any] = {}
        text = bind(without_end(sql), parameters, lambda name, value: _placed(given, name, value))
        try:
            connection = self._connected()
            declared = _declared(connection, bind(without_end(sql), parameters, lambda *_: "NULL"))
            cursor = connection.execute(text, given)
            if cursor.description is None:
                raise SourceError("the SQL gives no rows: an export needs a SELECT")
            return _Rows(self, cursor, [each[0] for each in cursor.description], declared, columns)
        except sqlite3.Error as error:
            raise SourceError(str(error)) from error

    def _connected(self) -> sqlite3.Connection:
        if self._path != ":memory:" and not Path(self._path).is_file():
            raise SourceError(f"there is no SQLite file {self._path}")
        where = ":memory:" if self._path == ":memory:" else f"file:{quote(self._path)}?mode=ro"
        connection = sqlite3.connect(where, uri=True, timeout=30, check_same_thread=False, isolation_level=None)
        self.watch(connection, connection.interrupt)
        return connection


class _Rows:
    expected = None

    def __init__(
        self,
        source: SQLiteSource,
        cursor: sqlite3.Cursor,
        names: list[str],
        declared: Mapping[str, pa.Field | None],
        columns: tuple[str, ...] | None,
    ) -> None:
        from orakul.exports.python_rows import BATCH, Batches  # noqa: PLC0415  # Arrow's compute is slow to load

        self._source, self._cursor = source, cursor
        self._batches = Batches(
            names,
            picked(names, columns),
            [declared.get(name) for name in names],
            lambda: cursor.fetchmany(BATCH),
        )
        self.schema = self._batches.schema

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the rows."""
        self._cursor.close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._batches:
                if self._source.cancelled:
                    raise SourceError("cancelled")
                yield batch
        except sqlite3.Error as error:
            raise SourceError(str(error)) from error


def _placed(given: dict[str, Any], name: str, value: Any) -> str:
    given[name] = (
        value.isoformat(" ") if hasattr(value, "hour") else str(value) if hasattr(value, "isoformat") else value
    )
    return f":{name}"


def _declared(connection: sqlite3.Connection, sql: str) -> dict[str, pa.Field | None]:
    """Return what the columns of the SQL are declared as, asked of a view of it."""
    try:
        connection.execute(f"CREATE TEMP VIEW orakul_export AS {sql}")
        found = connection.execute("PRAGMA temp.table_info(orakul_export)").fetchall()
        connection.execute("DROP VIEW temp.orakul_export")
    except sqlite3.Error:
        return {}
    return {name: _field(name, str(kind or "").upper()) for _, name, kind, *_ in found}


def _field(name: str, declared: str) -> pa.Field | None:
    from orakul.exports.python_rows import text_field  # noqa: PLC0415  # Arrow's compute is slow to load

    if found := _DECIMAL.search(declared):
        digits, scale = int(found[1]), int(found[2] or 0)
        return pa.field(name, pa.decimal128(digits, scale)) if scale <= digits <= _MOST_DIGITS else None
    if "JSON" in declared:
        return text_field(name, Kind.JSON)
    return next((pa.field(name, kind) for word, kind in _DECLARED if word in declared), None)
