"""JSON Lines: an object a row, a column at a time."""

import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from orakul.exports.format import Lines, lines_of_array
from orakul.exports.text import TEXT, is_json, is_number, joined, plain, plain_text

__all__ = ["JsonLinesFormat"]

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


class JsonLinesFormat:
    """Rows as objects. Numbers stand as they are, to the last digit; NaN and infinities, that JSON lacks, as texts."""

    def header(self, names: Sequence[str]) -> bytes:  # noqa: ARG002  # the contract's form
        """Return nothing: every line names its columns."""
        return b""

    def lines(self, batch: pa.RecordBatch) -> Lines:
        """Return the rows as lines."""
        parts: list[pa.Array | str] = []
        before = "{"
        for field, column in zip(batch.schema, batch.columns, strict=True):
            parts += [f"{before}{json.dumps(field.name, ensure_ascii=False)}:", _values(field, column)]
            before = ","
        return lines_of_array(joined(*parts, "}\n"))


def _values(field: pa.Field, column: pa.Array) -> pa.Array:
    column = plain(column)
    kind = column.type
    text = plain_text(column)
    if is_number(field):
        if not pa.types.is_integer(kind) and not pa.types.is_decimal(kind):
            odd = pc.match_substring_regex(text, pattern="[NnIi]")
            if pc.any(odd).as_py():
                text = pc.if_else(odd, joined('"', text, '"'), text)
    elif is_json(field):
        text = pc.replace_substring_regex(text, pattern=r"[\r\n]+", replacement=" ")
    elif not pa.types.is_boolean(kind) and not pa.types.is_nested(kind):
        text = joined('"', _escaped(text), '"')
    return pc.fill_null(text, pa.scalar("null", TEXT)) if text.null_count else text


def _escaped(text: pa.Array) -> pa.Array:
    if not pc.any(pc.match_substring_regex(text, pattern=r'[\x00-\x1f"\\]')).as_py():
        return text
    for found in ("\\", '"'):
        text = pc.replace_substring(text, pattern=found, replacement="\\" + found)
    if pc.any(pc.match_substring_regex(text, pattern=r"[\x00-\x1f]")).as_py():
        for code in range(0x20):
            letter = chr(code)
            text = pc.replace_substring(text, pattern=letter, replacement=_SHORT.get(letter, f"\\u{code:04x}"))
    return text
