"""Columns of values as PostgreSQL's binary arrays and rows: built in one go, and exact for any text.

A batch travels as some fifty arrays. psycopg's own lists are quoted element by element, which costs more than all
the rest of an append; a binary array is lengths and bytes. So are the rows of a binary COPY.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from struct import Struct
from typing import Any

import psycopg
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

__all__ = [
    "BigintArray",
    "BooleanArray",
    "Column",
    "IntegerArray",
    "JsonArray",
    "SmallintArray",
    "TextArray",
    "TimeArray",
    "fields",
    "register",
    "rows",
]

_HEAD = Struct(">iiiii")
_EMPTY = Struct(">iii")
_LENGTH = Struct(">i").pack
_BIGINT = Struct(">iq").pack
_INTEGER = Struct(">ii").pack
_SMALLINT = Struct(">ih").pack
_WIDTH = Struct(">h").pack
_COPY_BEGINS = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_ENDS = _WIDTH(-1)
_NULL = _LENGTH(-1)
_TRUE, _FALSE = _LENGTH(1) + b"\x01", _LENGTH(1) + b"\x00"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _array(element: int, parts: list[bytes], count: int) -> bytes:
    if not count:
        return _EMPTY.pack(0, 0, element)
    return _HEAD.pack(1, 1, element, count, 1) + b"".join(parts)


class _Array:
    __slots__ = ("data",)
    element = 0
    encode: Callable[[Any], bytes]

    def __init__(self, values: Iterable[Any]) -> None:
        encode = self.encode
        parts = [_NULL if value is None else encode(value) for value in values]
        self.data = _array(self.element, parts, len(parts))


class TextArray(_Array):
    """`text[]`."""

    __slots__ = ()
    element = 25

    @staticmethod
    def encode(value: str) -> bytes:
        """Return length and bytes."""
        raw = value.encode()
        return _LENGTH(len(raw)) + raw


class JsonArray(TextArray):
    """`json[]`, from texts."""

    __slots__ = ()
    element = 114


class BigintArray(_Array):
    """`bigint[]`."""

    __slots__ = ()
    element = 20

    @staticmethod
    def encode(value: int) -> bytes:
        """Return length and number."""
        return _BIGINT(8, value)


class IntegerArray(_Array):
    """`integer[]`."""

    __slots__ = ()
    element = 23

    @staticmethod
    def encode(value: int) -> bytes:
        """Return length and number."""
        return _INTEGER(4, value)


class SmallintArray(_Array):
    """`smallint[]`."""

    __slots__ = ()
    element = 21

    @staticmethod
    def encode(value: int) -> bytes:
        """Return length and number."""
        return _SMALLINT(2, value)


class BooleanArray(_Array):
    """`boolean[]`."""

    __slots__ = ()
    element = 16

    @staticmethod
    def encode(value: bool) -> bytes:  # noqa: FBT001 (it is the value)
        """Return length and byte."""
        return _TRUE if value else _FALSE


class TimeArray(_Array):
    """`timestamptz[]`."""

    __slots__ = ()
    element = 1184

    @staticmethod
    def encode(value: datetime) -> bytes:
        """Return length and the microseconds since 2000."""
        return _BIGINT(8, (value - _EPOCH) // _MICROSECOND)


Column = type[_Array]
"""The kind of a column's values."""


def fields(kind: Column, values: Sequence[Any]) -> Iterable[bytes]:
    """Return a column's values as the fields of rows; what is the same throughout is encoded once."""
    first, encode = values[0], kind.encode
    if values.count(first) == len(values):
        return repeat(_NULL if first is None else encode(first), len(values))
    return [_NULL if value is None else encode(value) for value in values]


def rows(columns: Sequence[Iterable[bytes]]) -> bytes:
    """Return the columns as a whole binary COPY."""
    head = _WIDTH(len(columns))
    return b"".join((_COPY_BEGINS, *chain.from_iterable(zip(repeat(head), *columns, strict=False)), _COPY_ENDS))


_ARRAY_OIDS = {TextArray: 1009, JsonArray: 199, BigintArray: 1016, BooleanArray: 1000, TimeArray: 1185}


class _Built(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> Buffer:
        data: bytes = obj.data
        return data


_DUMPERS = {kind: type(f"_{kind.__name__}Dumper", (_Built,), {"oid": oid}) for kind, oid in _ARRAY_OIDS.items()}


def register(connection: psycopg.Connection | psycopg.AsyncConnection) -> None:
    """Let the connection take these arrays as parameters."""
    for kind, dumper in _DUMPERS.items():
        connection.adapters.register_dumper(kind, dumper)
