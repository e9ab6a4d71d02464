"""The contract of sources: what exports read from.

A source is a class `(url)` under the entry-point group `orakul.sources`, by the scheme of the URLs that it reads;
`sqlalchemy` takes the schemes that nobody else does. All of it is called from threads: one source serves several
queries at the same time, each in a thread of its own.

    with open_source("postgresql://…") as source, source.query("select …", {"status": "open"}) as rows:
        for batch in rows:
            ...

The laws, which `tests/contracts/test_sources.py` holds every source to:
- memory is bounded whatever the result's size;
- types are kept: decimals exact, dates, timestamps with and without zone, NULL apart from an empty text, bytes;
  what Arrow has no type for comes as text, marked by the field's metadata (`Kind`);
- parameters are bound, never pasted;
- an error of the database, also one in the middle of the rows, is a SourceError with the database's own message.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from orakul import extensions
from orakul.errors import PlanError

if TYPE_CHECKING:
    from types import TracebackType

    import pyarrow as pa

    from orakul.exports.plan import Csv

__all__ = ["KIND", "CsvRows", "CsvSource", "Kind", "Rows", "Source", "open_source", "source_name"]

KIND = b"orakul.kind"
"""The key of a field's metadata that says what its text is."""


class Kind(StrEnum):
    """What a column is that comes as text."""

    NUMBER = "number"
    """A number without a known scale: `numeric` of PostgreSQL. Exact, and written without quotes."""
    JSON = "json"
    """A JSON document: goes into JSON Lines as it is, not as a quoted text."""
    OTHER = "other"
    """Anything else: a network address, an interval, a range."""


class _Closing(Protocol):
    def close(self) -> None:
        """Let go of what is held; twice does no harm."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None: ...


class Rows(_Closing, Protocol):
    """The rows of one query, read once."""

    @property
    def schema(self) -> "pa.Schema":
        """The columns, known before the first row."""
        ...

    @property
    def expected(self) -> int | None:
        """About how many rows there will be, where the database knows."""
        ...

    def __iter__(self) -> "Iterator[pa.RecordBatch]": ...

    def cancel(self) -> None:
        """Stop the query, from another thread: the one that reads gets a SourceError soon. Never raises."""
        ...

    def __enter__(self) -> Self: ...


class CsvRows(_Closing, Protocol):
    """The rows of one query as finished lines of CSV, by a database that writes CSV itself."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        ...

    @property
    def expected(self) -> int | None:
        """About how many rows there will be, where the database knows."""
        ...

    def __iter__(self) -> Iterator[list[bytes]]:
        """Give lists of rows; each row has its line end and is in the encoding that was asked for."""
        ...

    def cancel(self) -> None:
        """Stop the query, from another thread: the one that reads gets a SourceError soon. Never raises."""
        ...

    def __enter__(self) -> Self: ...


class Source(_Closing, Protocol):
    """A database to read from. Making one does not connect."""

    def __init__(self, url: str) -> None: ...

    def query(self, sql: str, parameters: Mapping[str, Any], columns: tuple[str, ...] | None = None) -> Rows:
        """Begin a query on a connection of its own, and return its rows; of all columns, or of those named, in order.

        Raises SourceError where the database is away, the SQL is wrong, or a column is not there.
        """
        ...

    def __enter__(self) -> Self: ...


@runtime_checkable
class CsvSource(Protocol):
    """A source that can also write CSV itself, faster than from batches."""

    def csv(
        self, sql: str, parameters: Mapping[str, Any], form: "Csv", columns: tuple[str, ...] | None = None
    ) -> CsvRows | None:
        """Begin a query like `Source.query`, or return None where it cannot write this form to the letter."""
        ...


def source_name(url: str) -> str:
    """Return the name of the source that reads such URLs. Raises PlanError where nobody does."""
    scheme, colon, _ = url.partition(":")
    if not colon or "/" not in url:
        raise PlanError("the database is given by a URL such as postgresql://user@host/name or sqlite:///file.db")
    known = extensions.names("orakul.sources")
    dialect = {"postgres": "postgresql"}.get(scheme, scheme)
    if dialect in known:
        return dialect
    return "sqlalchemy"


def open_source(url: str) -> Source:
    """Return the source for a URL, by its scheme. Raises PlanError, or MissingExtraError that names the extra."""
    source: Source = extensions.load("orakul.sources", source_name(url))(url)
    return source
