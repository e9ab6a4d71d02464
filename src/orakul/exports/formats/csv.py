"""CSV as the plan wants it, a column at a time."""

from collections.abc import Sequence
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc

from orakul.exports.csv_form import delimiter_of, encoding_of, header_of, line_end_of, special_of
from orakul.exports.format import Lines, lines_of_array
from orakul.exports.plan import Csv
from orakul.exports.text import TEXT, is_number, is_text, joined, plain, plain_text

__all__ = ["CsvFormat"]

_OF_NUMBERS = frozenset("0123456789+-.,eENaInfity")
_OF_TIMES = frozenset("0123456789+-.: ")


class CsvFormat:
    """Rows as CSV. `ends` says that lines will be cut by size, so that their ends must be known."""

    def __init__(self, form: Csv, *, ends: bool = False) -> None:
        self._form = form
        self._delimiter = delimiter_of(form)
        self._line_end = line_end_of(form)
        self._encoding, _ = encoding_of(form)
        self._special = special_of(form)
        self._ends = ends

    def header(self, names: Sequence[str]) -> bytes:
        """Return the byte order mark and the line of names, where the plan wants them."""
        return header_of(self._form, names)

    def lines(self, batch: pa.RecordBatch) -> Lines:
        """Return the rows as lines."""
        columns = [self._column(field, column) for field, column in zip(batch.schema, batch.columns, strict=True)]
        columns[-1] = joined(columns[-1], self._line_end)
        rows = joined(*columns, between=self._delimiter)
        return lines_of_array(rows) if self._encoding == "utf-8" else self._encoded(rows)

    def _encoded(self, array: pa.Array) -> Lines:
        try:
            if self._ends:
                rows = [row.encode(self._encoding) for row in array.to_pylist()]
                return Lines(b"".join(rows), len(rows), list(accumulate(map(len, rows))))
            text = bytes(lines_of_array(array).data).decode().encode(self._encoding)
        except UnicodeEncodeError as error:
            letter = error.object[error.start]
            raise ValueError(
                f"the letter {letter!r} (U+{ord(letter):04X}) is not in {self._form.encoding}: "
                "take another csv.encoding (utf-8 has every letter), or replace it in the SQL"
            ) from error
        return Lines(text, len(array))

    def _column(self, field: pa.Field, column: pa.Array) -> pa.Array:
        form = self._form
        column = plain(column)
        text = plain_text(column, date=form.date_format, moment=form.datetime_format)
        number = is_number(field)
        if number and form.decimal != "." and not pa.types.is_integer(column.type):
            text = pc.replace_substring(text, pattern=".", replacement=form.decimal)
        text = self._quoted(field.name, text, number=number, free=is_text(field), column=column)
        return pc.fill_null(text, pa.scalar(form.null, TEXT)) if text.null_count else text

    def _quoted(self, name: str, text: pa.Array, *, number: bool, free: bool, column: pa.Array) -> pa.Array:
        form = self._form
        needs = None
        if form.quoting == "all" or (form.quoting == "text" and free):
            needs = True
        elif self._may_need(column, number=number):
            needs = pc.match_substring_regex(text, pattern=self._special)
            if form.quoting != "none":
                needs = pc.or_(needs, pc.equal(text, pa.scalar(form.null, TEXT)))
        if needs is None or (needs is not True and not pc.any(needs).as_py()):
            return text
        if form.quoting == "none":
            raise ValueError(
                f"column {name} has a value with the delimiter, a quote or a line end in it: "
                "csv.quoting none cannot write it; take minimal, or another delimiter"
            )
        inner = pc.replace_substring(text, pattern='"', replacement='""')
        quoted = joined('"', inner, '"')
        return quoted if needs is True else pc.if_else(needs, quoted, text)

    def _may_need(self, column: pa.Array, *, number: bool) -> bool:
        """Whether a value of the column can need quotes at all, by its type."""
        kind = column.type
        form = self._form
        own = set(self._delimiter) | set(form.null)
        if number:
            return bool(own & _OF_NUMBERS)
        if pa.types.is_boolean(kind):
            return self._delimiter in "truefals" or form.null in {"true", "false"}
        if (pa.types.is_date(kind) and not form.date_format) or (
            pa.types.is_timestamp(kind) and not form.datetime_format
        ):
            return bool(own & _OF_TIMES)
        return True
