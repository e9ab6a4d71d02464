"""DuckDB: batches of Arrow as it makes them, read-only. Without a file, one in memory, that reads files by SQL."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, unquote

from orakul.errors import MissingExtraError, SourceError
from orakul.exports.connecting import ConnectingSource
from orakul.exports.parameters import bind, without_end
from orakul.exports.source import KIND, Kind, picked

if TYPE_CHECKING:
    import pyarrow as pa

try:
    import duckdb
except ModuleNotFoundError as missing:
    raise MissingExtraError("duckdb", "duckdb") from missing

__all__ = ["DuckDBSource"]

_ROWS = 32_768
_AS_TEXT = {
    "HUGEINT": Kind.NUMBER,
    "UHUGEINT": Kind.NUMBER,
    "BIGNUM": Kind.NUMBER,
    "UUID": Kind.OTHER,
    "JSON": Kind.JSON,
    "INTERVAL": Kind.OTHER,
    "BIT": Kind.OTHER,
    "TIME WITH TIME ZONE": Kind.OTHER,
    "GEOMETRY": Kind.OTHER,
}


class DuckDBSource(ConnectingSource):
    """Reads a file of DuckDB: `duckdb:///name.duckdb`, with its settings as `?threads=2&memory_limit=1GB`."""

    def __init__(self, url: str) -> None:
        super().__init__()
        path, _, options = url.partition("://")[2].partition("?")
        self._path = unquote(path).removeprefix("/") or ":memory:"
        self._options: dict[str, str | bool | int | float | list[str]] = dict(parse_qsl(options))

    def query(self, sql: str, parameters: Mapping[str, Any], columns: tuple[str, ...] | None = None) -> "_Rows":
        """Begin a query and return its rows."""
        given: dict[str, Any] = {}
        text = bind(without_end(sql), parameters, lambda name, value: _placed(given, name, value))
        if not text.strip():
            raise SourceError("the SQL is empty")
        try:
            connection = self._connected()
            described = connection.execute(f"DESCRIBE {text}", given or None).fetchall()
            if not described:
                raise SourceError("the SQL gives no rows: an export needs a SELECT")
            names = [str(each[0]) for each in described]
            kinds = {str(each[0]): _AS_TEXT.get(str(each[1])) for each in described}
            chosen = [names[place] for place in picked(names, columns)]
            expected = _expected(connection, text, given)
            reader = connection.execute(_selecting(text, names, chosen, kinds), given or None)
            batches = getattr(reader, "to_arrow_reader", None) or reader.fetch_record_batch  # its name before 1.4
            return _Rows(self, batches(_ROWS), [(name, kinds[name]) for name in chosen], expected)
        except duckdb.Error as error:
            raise SourceError(str(error)) from error

    def _connected(self) -> duckdb.DuckDBPyConnection:
        memory = self._path == ":memory:"
        if not memory and not Path(self._path).is_file():
            raise SourceError(f"there is no DuckDB file {self._path}")
        connection = duckdb.connect(self._path, read_only=not memory, config=self._options)
        self.watch(connection, connection.interrupt)
        connection.execute("SET TimeZone = 'UTC'")
        return connection


class _Rows:
    def __init__(
        self,
        source: DuckDBSource,
        reader: "pa.RecordBatchReader",
        columns: list[tuple[str, Kind | None]],
        expected: int | None,
    ) -> None:
        import pyarrow as pa  # noqa: PLC0415  # loaded when it is needed

        self._source, self._reader = source, reader
        self.expected = expected
        self.schema = pa.schema(
            [
                pa.field(name, field.type, metadata={KIND: kind.value} if kind else None)
                for (name, kind), field in zip(columns, reader.schema, strict=True)
            ]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the rows."""
        self._reader.close()

    def __iter__(self) -> "Iterator[pa.RecordBatch]":
        import pyarrow as pa  # noqa: PLC0415  # loaded when it is needed

        try:
            for batch in self._reader:
                if self._source.cancelled:
                    raise SourceError("cancelled")
                yield pa.RecordBatch.from_arrays(batch.columns, schema=self.schema)
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise SourceError(str(error)) from error


def _placed(given: dict[str, Any], name: str, value: Any) -> str:
    given[name] = value
    return f"${name}"


def _selecting(text: str, names: list[str], chosen: list[str], kinds: Mapping[str, Kind | None]) -> str:
    if chosen == names and not any(kinds.values()):
        return text
    own = {name: f"c{number}" for number, name in enumerate(names, 1)}
    wanted = ", ".join(f"{own[name]}::VARCHAR AS {own[name]}" if kinds[name] else own[name] for name in chosen)
    return f"SELECT {wanted} FROM (\n{text}) AS orakul_export ({', '.join(own.values())})"  # noqa: S608  # the plan's SQL


def _expected(connection: duckdb.DuckDBPyConnection, text: str, given: Mapping[str, Any]) -> int | None:
    """Return the planner's guess of how many rows there will be."""
    try:
        found = connection.execute(f"EXPLAIN (FORMAT JSON) {text}", dict(given) or None).fetchone()
        return int(json.loads(found[1])[0]["extra_info"]["Estimated Cardinality"]) if found else None
    except (duckdb.Error, KeyError, IndexError, TypeError, ValueError):
        return None
