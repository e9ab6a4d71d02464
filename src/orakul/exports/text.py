r"""Arrow columns as text, a whole column at a time; the one place that says how a value looks in a file of text.

Decimals and integers to the last digit, floats the shortest that reads back the same, dates and times ISO 8601
(a space before the time, `+00` for moments, which are in UTC), booleans `true` and `false`, bytes `\x…`, lists and
records as JSON.
"""

from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from orakul.exports.source import KIND, Kind

__all__ = ["TEXT", "is_json", "is_number", "is_text", "joined", "json_text", "kind_of", "plain", "plain_text"]

TEXT = pa.large_string()


def kind_of(field: pa.Field) -> Kind | None:
    """Return what a column of text is by its source."""
    said = (field.metadata or {}).get(KIND)
    return Kind(said.decode()) if said else None


def is_number(field: pa.Field) -> bool:
    """Whether the column's values are numbers."""
    kind = field.type
    return (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or kind_of(field) is Kind.NUMBER
    )


def is_json(field: pa.Field) -> bool:
    """Whether the column's text is JSON already."""
    return kind_of(field) is Kind.JSON


def is_text(field: pa.Field) -> bool:
    """Whether the column's values are texts that anything may stand in."""
    kind = field.type
    return not is_number(field) and (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_nested(kind)
    )


def plain(column: pa.Array) -> pa.Array:
    """Return the column without dictionaries and extensions."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column


def plain_text(column: pa.Array, *, date: str | None = None, moment: str | None = None) -> pa.Array:
    """Return the column as large strings, NULL kept; with formats for dates and moments where they are given."""
    column = plain(column)
    kind = column.type
    if pa.types.is_timestamp(kind):
        text = _moment(column, moment)
    elif pa.types.is_date(kind) and date:
        text = pc.cast(pc.strftime(column, format=date), TEXT)
    elif pa.types.is_time(kind):
        text = _no_zeros(pc.cast(column, TEXT), kind.unit)
    elif pa.types.is_floating(kind):
        text = _floating(column)
    elif _is_bytes(kind):
        text = pa.array([None if each is None else "\\x" + each.hex() for each in column.to_pylist()], TEXT)
    elif pa.types.is_nested(kind) or pa.types.is_duration(kind) or pa.types.is_interval(kind):
        text = pa.array([None if each is None else json_text(each) for each in column.to_pylist()], TEXT)
    else:
        text = pc.cast(column, TEXT)
    return text


def _is_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def joined(*parts: pa.Array | str, between: str = "") -> pa.Array:
    """Return the columns and texts joined row by row; NULL where any is."""
    scalars = [pa.scalar(part, TEXT) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*scalars, pa.scalar(between, TEXT))


def json_text(value: Any) -> str:
    """Return a value of Python as JSON."""
    return _JSON.encode(value).decode()


def _moment(column: pa.Array, form: str | None) -> pa.Array:
    kind = column.type
    if kind.tz is not None:  # as UTC's own time: what Arrow writes for a zone is ten times slower
        column = column.cast(pa.timestamp(kind.unit, "UTC")).cast(pa.timestamp(kind.unit))
    if form:
        seconds = pc.floor_temporal(column, unit="second").cast(pa.timestamp("s"))
        return pc.cast(pc.strftime(seconds, format=form), TEXT)
    text = _no_zeros(pc.cast(column, TEXT), kind.unit)
    return joined(text, "+00") if kind.tz is not None else text


def _no_zeros(text: pa.Array, unit: str) -> pa.Array:
    return text if unit == "s" else pc.replace_substring_regex(text, pattern=r"\.?0+$", replacement="")


def _floating(column: pa.Array) -> pa.Array:
    text = pc.cast(column, TEXT)
    if pc.all(pc.is_finite(column)).as_py() is False:
        for found, meant in (("nan", "NaN"), ("inf", "Infinity"), ("-inf", "-Infinity")):
            text = pc.if_else(pc.equal(text, found), pa.scalar(meant, TEXT), text)
    return text


_JSON = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
