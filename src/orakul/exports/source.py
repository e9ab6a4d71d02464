"""The contract of sources: what exports read from.

A source is a class `(url)` under the entry-point group `orakul.sources`, by the scheme of the URLs that it reads;
`sqlalchemy` takes the schemes that nobody else does. A driver in the scheme (`postgresql+psycopg`) makes no difference,
and `sqlalchemy+…` is SQLAlchemy whatever comes after.

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

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from orakul import extensions
from orakul.errors import PlanError, SourceError

if TYPE_CHECKING:
    from types import TracebackType

    import pyarrow as pa

    from orakul.exports.plan import Csv

__all__ = ["KIND", "CsvRows", "CsvSource", "Kind", "Rows", "Source", "open_source", "picked", "source_name"]

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

    def __enter__(self) -> Self: ...


class Source(_Closing, Protocol):
    """A database to read from, one query at a time. Making one does not connect."""

    def __init__(self, url: str) -> None: ...

    def query(self, sql: str, parameters: Mapping[str, Any], columns: tuple[str, ...] | None = None) -> Rows:
        """Begin a query on a connection of its own, and return its rows; of all columns, or of those named, in order.

        Raises SourceError where the database is away, the SQL is wrong, or a column is not there.
        """
        ...

    def cancel(self) -> None:
        """Stop, from another thread, whatever it does now, connecting included, and whatever it is asked later.

        The one that waits for it gets a SourceError soon. Never raises.
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
    scheme, colon, _ = url.partition("://")
    if not colon:
        raise PlanError("the database is given by a URL such as postgresql://user@host/name or sqlite:///file.db")
    known = extensions.names("orakul.sources")
    dialect = scheme.partition("+")[0]
    dialect = {"postgres": "postgresql"}.get(dialect, dialect)
    return dialect if dialect in known else "sqlalchemy"


def picked(names: Sequence[str], columns: Sequence[str] | None) -> list[int]:
    """Return the places of the wanted columns among those of the SQL, all of them where `columns` is None.

    Raises SourceError for one that the SQL does not give, and where two have one name.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(f"the SQL gives two columns the name {twice[0]}: tell them apart by AS")
    if columns is None:
        return list(range(len(names)))
    for name in columns:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            meant = f"did you mean {near[0]}?" if near else f"it gives: {', '.join(names)}"
            raise SourceError(f"the SQL gives no column {name}; {meant}")
    return [names.index(name) for name in columns]


def open_source(url: str) -> Source:
    """Return the source for a URL, by its scheme. Raises PlanError, or MissingExtraError that names the extra."""
    source: Source = extensions.load("orakul.sources", source_name(url))(url)
    return source
