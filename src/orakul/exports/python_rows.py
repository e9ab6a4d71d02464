"""Rows of Python values as Arrow batches: for sources whose drivers know nothing of Arrow.

The types are settled by what the database declares and by the first rows; a later value that does not fit is an error
that names the column, never a value quietly changed.
"""

import datetime as dt
import decimal
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from orakul.errors import SourceError
from orakul.exports.source import KIND, Kind

__all__ = ["BATCH", "Batches", "text_field"]

BATCH = 8192
"""Rows that are fetched at a time."""

_MOMENT = pa.timestamp("us", "UTC")
_NUMBERS, _DOCUMENTS = {decimal.Decimal, int}, {dict, list}
_TYPES: tuple[tuple[set[type], pa.DataType], ...] = (
    ({bool}, pa.bool_()),
    ({int}, pa.int64()),
    ({int, float}, pa.float64()),
    ({str}, pa.string()),
    ({bytes, bytearray, memoryview}, pa.binary()),
    ({dt.date}, pa.date32()),
    ({dt.time}, pa.time64("us")),
)
_WRONG = (pa.ArrowException, ValueError, TypeError, OverflowError, decimal.DecimalException)


def text_field(name: str, kind: Kind | None = None) -> pa.Field:
    """Return a field of text."""
    return pa.field(name, pa.string(), metadata={KIND: kind.value} if kind else None)


class Batches:
    """The rows that `fetch` gives, list after list until an empty one, as batches of one schema."""

    def __init__(
        self,
        names: Sequence[str],
        places: Sequence[int],
        declared: Sequence[pa.Field | None],
        fetch: Callable[[], Sequence[Sequence[Any]]],
    ) -> None:
        self._fetch = fetch
        self._places = places
        self._first = fetch()
        columns = self._columns(self._first)
        self.schema = pa.schema(
            [_settled(names[place], declared[place], values) for place, values in zip(places, columns, strict=True)]
        )

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        rows, self._first = self._first, ()
        while rows:
            yield self._batch(rows)
            rows = self._fetch()

    def _columns(self, rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
        return [[row[place] for row in rows] for place in self._places]

    def _batch(self, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
        arrays = []
        for field, values in zip(self.schema, self._columns(rows), strict=True):
            try:
                arrays.append(_array(values, field))
            except _WRONG as error:
                raise SourceError(
                    f"column {field.name} began as {field.type} and then has a value that is none "
                    f"({_first_wrong(values, field)!r}): give it one type by CAST in the SQL"
                ) from error
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _settled(name: str, declared: pa.Field | None, values: list[Any]) -> pa.Field:
    """Return what the column is: as declared where its first values fit, else as they are."""
    if declared is not None:
        try:
            _array(values, declared)
        except _WRONG:
            pass
        else:
            return declared
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return declared or text_field(name)
    field = _of_kinds(name, kinds, values)
    try:
        _array(values, field)
    except _WRONG:
        return text_field(name)
    return field


def _of_kinds(name: str, kinds: set[type], values: list[Any]) -> pa.Field:
    """Return what values of such Python types are."""
    marks = ((_NUMBERS, Kind.NUMBER), (_DOCUMENTS, Kind.JSON))
    for family, mark in marks:
        if kinds <= family and kinds != {int}:
            return text_field(name, mark)
    if kinds == {dt.datetime}:
        zoned = next(value for value in values if value is not None).tzinfo is not None
        return pa.field(name, _MOMENT if zoned else pa.timestamp("us"))
    for family, arrow in _TYPES:
        if kinds <= family:
            return pa.field(name, arrow)
    return text_field(name, Kind.OTHER)


def _array(values: list[Any], field: pa.Field) -> pa.Array:
    kind = field.type
    if pa.types.is_string(kind):
        return pa.array([value if value is None or type(value) is str else _text(value) for value in values], kind)
    if pa.types.is_boolean(kind):
        return pa.array([None if value is None else _boolean(value) for value in values], kind)
    if pa.types.is_decimal(kind):
        return pa.array([None if value is None else decimal.Decimal(str(value)) for value in values], kind)
    if pa.types.is_binary(kind):
        return pa.array([None if value is None else _bytes(value) for value in values], kind)
    if pa.types.is_temporal(kind) and any(type(value) is str for value in values):
        return _from_text(values, kind)
    if pa.types.is_integer(kind) and any(type(value) is not int and value is not None for value in values):
        raise TypeError("not an integer")
    return pa.array(values, kind)


def _from_text(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Read dates and times that a database keeps as texts; whole days count as moments, not the other way round."""
    texts = pa.array(values, pa.string())
    if pa.types.is_date(kind) and pc.any(pc.greater(pc.utf8_length(texts), 10)).as_py():
        raise ValueError("more than a date")
    return pc.cast(texts, kind)


def _boolean(value: Any) -> bool:
    if value not in {0, 1}:
        raise ValueError(f"{value!r} is neither true nor false")
    return bool(value)


def _bytes(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError("not bytes")


def _text(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, decimal.Decimal):
        return f"{value:f}" if value.is_finite() else str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    return str(value)


def _first_wrong(values: list[Any], field: pa.Field) -> Any:
    for value in values:
        try:
            _array([value], field)
        except _WRONG:
            return value
    return None
