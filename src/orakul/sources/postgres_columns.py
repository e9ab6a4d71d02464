"""How the columns of PostgreSQL come over: which types, in which words of SQL."""

import codecs
from typing import TYPE_CHECKING

from psycopg import sql as quoting

from orakul.exports.source import KIND, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from orakul.exports.plan import Csv

__all__ = ["PostgresColumn", "array_of", "as_arrow", "as_csv", "copy_options", "field_of", "selecting", "text_columns"]

_NUMERIC, _FLOATS, _BOOL, _JSON, _INET = 1700, {700, 701}, 16, {114, 3802}, 869
_TEXTS = {25, 1042, 1043, 19, 18}
_ARROW = {16, 17, 20, 21, 23, 25, 26, 700, 701, 1042, 1043, 19, 1082, 1083, 1114, 1184}
"""What ADBC gives in a type of Arrow's own: numbers, texts, bytes, dates and times."""
_ARRAYS = {1000: 16, 1005: 21, 1007: 23, 1016: 20, 1009: 25, 1015: 1043, 1014: 1042, 1021: 700, 1022: 701, 1182: 1082}
"""Arrays that go as lists: booleans, integers, texts, floats, dates."""
_ENCODINGS = {
    "utf-8": "UTF8",
    "cp1251": "WIN1251",
    "cp1252": "WIN1252",
    "cp1250": "WIN1250",
    "cp866": "WIN866",
    "koi8-r": "KOI8R",
    "koi8-u": "KOI8U",
    "iso8859-1": "LATIN1",
    "iso8859-5": "ISO_8859_5",
}


class PostgresColumn:
    """A column of the query, as the server describes it."""

    def __init__(self, name: str, oid: int, modifier: int) -> None:
        self.name, self.oid, self.modifier = name, oid, modifier

    @property
    def decimal(self) -> tuple[int, int] | None:
        """The precision and scale of a decimal that has them, and that Arrow can hold."""
        if self.oid != _NUMERIC or self.modifier < 4:  # noqa: PLR2004  # the modifier's own offset
            return None
        precision = (self.modifier - 4) >> 16 & 0xFFFF
        scale = (((self.modifier - 4) & 0x7FF) ^ 1024) - 1024
        return (precision, scale) if precision <= 76 and 0 <= scale <= precision else None  # noqa: PLR2004

    @property
    def kind(self) -> Kind | None:
        """What the column is where it comes as text."""
        if self.oid == _NUMERIC:
            return None if self.decimal else Kind.NUMBER
        if self.oid in _JSON:
            return Kind.JSON
        return None if self.oid in _ARROW or self.oid in _ARRAYS else Kind.OTHER


def field_of(column: PostgresColumn, given: "pa.Field") -> "pa.Field":
    """Return the field that the column has here, where ADBC gave it another."""
    import pyarrow as pa  # noqa: PLC0415  # loaded when it is needed

    kind = given.type.storage_type if isinstance(given.type, pa.BaseExtensionType) else given.type
    if column.decimal:
        kind = (pa.decimal128 if column.decimal[0] <= 38 else pa.decimal256)(*column.decimal)  # noqa: PLR2004
    return pa.field(column.name, kind, metadata={KIND: column.kind.value} if column.kind else None)


def array_of(column: "pa.Array", kind: "pa.DataType") -> "pa.Array":
    """Return values as the field's type has them."""
    import pyarrow as pa  # noqa: PLC0415  # loaded when it is needed

    plain = column.storage if isinstance(column, pa.ExtensionArray) else column
    return plain if plain.type == kind else plain.cast(kind)


def selecting(
    text: str,
    described: list[PostgresColumn],
    chosen: list[PostgresColumn],
    shape: "Callable[[str, PostgresColumn], str]",
    *,
    renamed: bool = False,
) -> str:
    """Return a query of the chosen columns in the shapes that they are wanted in; the SQL itself where it will do.

    They are called c1, c2 … then; with `renamed`, always.
    """
    names = {id(column): f'"c{number}"' for number, column in enumerate(described, 1)}
    wanted = [shape(names[id(column)], column) for column in chosen]
    if wanted == list(names.values()) and not renamed:
        return text
    inner = ", ".join(names.values())
    outer = ", ".join(f'{each} AS "c{number}"' for number, each in enumerate(wanted, 1))
    return f"SELECT {outer} FROM (\n{text}) AS orakul_export ({inner})"  # noqa: S608  # the plan's own SQL


def as_arrow(name: str, column: PostgresColumn) -> str:
    """Return the column as ADBC is asked for it."""
    if column.oid == _INET:  # ::text would add the mask that nobody wrote
        return f"abbrev({name})"
    return f"{name}::text" if column.kind else name


def as_csv(name: str, column: PostgresColumn, decimal: str) -> str:
    """Return the column so that COPY writes what our own CSV has."""
    if decimal != "." and (column.oid in _FLOATS or column.oid == _NUMERIC):
        return f"replace({name}::text, '.', '{decimal}')"
    if column.oid in _ARRAYS:
        return f"array_to_json({name})::text"
    return f"{name}::text" if column.oid == _BOOL else name


def text_columns(chosen: list[PostgresColumn]) -> str:
    """Return the columns of a query by `selecting` that hold texts, as a list of SQL."""
    return ", ".join(f'"c{number}"' for number, each in enumerate(chosen, 1) if each.oid in _TEXTS or each.kind)


def copy_options(form: "Csv") -> str | None:
    """Return the options of COPY that write this form, None where there are none."""
    delimiter = "\t" if form.delimiter == "tab" else form.delimiter
    encoding = _ENCODINGS.get({"utf-8-sig": "utf-8"}.get(name := codecs.lookup(form.encoding).name, name))
    if (
        encoding is None
        or form.quoting == "none"
        or form.date_format
        or form.datetime_format
        or len(delimiter.encode()) != 1
    ):
        return None
    quote = quoting.Literal
    options = f"FORMAT csv, ENCODING '{encoding}', DELIMITER {quote(delimiter).as_string()}"
    options += f", NULL {quote(form.null).as_string()}"
    return options + (", FORCE_QUOTE *" if form.quoting == "all" else "")
