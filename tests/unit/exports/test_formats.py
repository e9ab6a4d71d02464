"""What goes into a file comes out of it again: odd values, odd forms, odd cuts."""

import csv
import datetime as dt
import decimal
import io
import itertools
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orakul.exports.format import Lines, lines_of_rows
from orakul.exports.formats.csv import CsvFormat
from orakul.exports.formats.jsonl import JsonLinesFormat
from orakul.exports.formats.parquet import ParquetFile
from orakul.exports.part_file import PartFile
from orakul.exports.parts import BatchParts, Parts, TextParts
from orakul.exports.plan import Csv, Output
from orakul.exports.python_rows import Batches

if TYPE_CHECKING:
    from collections.abc import Callable

LETTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
ROW = st.tuples(
    st.none() | st.text(LETTERS, max_size=12) | st.sampled_from(["", "NULL", '"', ";", ",", "\r\n", "\\N", "ё"]),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.decimals(min_value=-(10**9), max_value=10**9, places=3),
    st.none() | st.floats(),
    st.none() | st.dates(),
    st.none() | st.datetimes(),
    st.none() | st.booleans(),
    st.none() | st.binary(max_size=5),
)
TYPES = [
    pa.string(),
    pa.int64(),
    pa.decimal128(15, 3),
    pa.float64(),
    pa.date32(),
    pa.timestamp("us"),
    pa.bool_(),
    pa.binary(),
]
NAMES = ["t", "n", "d", "f", "day", "at", "ok", "raw"]
SCHEMA = pa.schema(list(zip(NAMES, TYPES, strict=True)))
FORMS = st.builds(
    Csv,
    delimiter=st.sampled_from([",", ";", "tab", "|", "."]),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]),
    bom=st.booleans(),
    decimal=st.sampled_from([".", ","]),
    quoting=st.sampled_from(["minimal", "text", "all"]),
    line_end=st.sampled_from(["lf", "crlf"]),
    null=st.sampled_from(["", "NULL", "\\N", "1", "true"]),
)
OFTEN = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def batch_of(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) or [()] * len(NAMES)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, TYPES, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def same(found: Any, meant: Any) -> bool:
    if isinstance(meant, float) and math.isnan(meant):
        return math.isnan(found)
    return bool(found == meant)


def value_of(text: str, kind: pa.DataType, sign: str = ".") -> Any:
    """Return the value that a text in a file stands for."""
    number = text.replace(sign, ".")
    readers: dict[str, Callable[[], Any]] = {
        "string": lambda: text,
        "int64": lambda: int(text),
        "decimal128(15, 3)": lambda: decimal.Decimal(number),
        "double": lambda: float(number),
        "date32[day]": lambda: dt.date.fromisoformat(text),
        "timestamp[us]": lambda: dt.datetime.fromisoformat(text),
        "bool": lambda: {"true": True, "false": False}[text],
        "binary": lambda: bytes.fromhex(text.removeprefix("\\x")),
    }
    return readers[str(kind)]()


def cells(line: str, delimiter: str) -> list[tuple[str, bool]]:
    """Split one row of CSV by the book: each cell's text, and whether it stood in quotes."""
    found, place = [], 0
    while True:
        if line[place : place + 1] == '"':
            end = place + 1
            while line[end : end + 1] != '"' or line[end + 1 : end + 2] == '"':
                end += 2 if line[end] == '"' else 1
            found.append((line[place + 1 : end].replace('""', '"'), True))
            place = end + 1
        else:
            end = line.find(delimiter, place)
            end = len(line) if end < 0 else end
            found.append((line[place:end], False))
            place = end
        if place >= len(line):
            return found
        assert line[place] == delimiter
        place += 1


@OFTEN
@given(rows=st.lists(ROW, min_size=1, max_size=8), form=FORMS)
def test_csv_of_any_form_reads_back(rows: list[tuple[Any, ...]], form: Csv) -> None:
    made = CsvFormat(form, ends=True)
    lines = made.lines(batch_of(rows))
    header = made.header(NAMES).decode("utf-16" if form.encoding == "utf-16" else "utf-8-sig")
    delimiter = "\t" if form.delimiter == "tab" else form.delimiter
    end = "\r\n" if form.line_end == "crlf" else "\n"
    assert header.endswith(end)
    assert lines.count == len(rows)
    for number, row in enumerate(rows):
        line = bytes(lines.between(number, number + 1)).decode("utf-16-le" if form.encoding == "utf-16" else "utf-8")
        assert line.endswith(end)
        for (text, quoted), kind, meant in zip(cells(line.removesuffix(end), delimiter), TYPES, row, strict=True):
            if not quoted and text == form.null:
                assert meant is None
            else:
                assert same(value_of(text, kind, form.decimal), meant)


@OFTEN
@given(rows=st.lists(ROW, min_size=1, max_size=8))
def test_json_lines_read_back(rows: list[tuple[Any, ...]]) -> None:
    lines = JsonLinesFormat().lines(batch_of(rows))
    texts = bytes(lines.data).decode().removesuffix("\n").split("\n")
    for text, row in zip(texts, rows, strict=True):
        document = json.loads(text, parse_float=decimal.Decimal)
        assert list(document) == NAMES
        for found, kind, meant in zip(document.values(), TYPES, row, strict=True):
            if meant is None or found is None:
                assert found is meant
            else:
                assert same(found if isinstance(found, bool) else value_of(str(found), kind), meant)


def test_csv_is_what_python_reads_too() -> None:
    rows = [('say "hi",\r\n', 1, None, 0.5, None, None, True, None), ("", None, None, None, None, None, None, None)]
    text = bytes(CsvFormat(Csv()).lines(batch_of(rows)).data).decode()
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert found == [['say "hi",\r\n', "1", "", "0.5", "", "", "true", ""], [""] * 8]
    assert text.endswith('\n"",,,,,,,\n'), "an empty text is in quotes, NULL is not"


def test_a_value_that_cannot_be_written_is_an_error() -> None:
    batch = batch_of([("a;b", 1, None, None, None, None, None, None)])
    with pytest.raises(ValueError, match="quoting none cannot write it"):
        CsvFormat(Csv(delimiter=";", quoting="none")).lines(batch)
    with pytest.raises(ValueError, match=r"'→' \(U\+2192\) is not in cp1251"):
        CsvFormat(Csv(encoding="cp1251")).lines(batch_of([("a → b", 1, None, None, None, None, None, None)]))


def parts_of(folder: Path, made: type[Parts], output: Output, **options: Any) -> Any:
    def opened(part: int) -> PartFile:
        compression = output.compression if output.format != "parquet" else None
        return PartFile(folder / str(part), str(part), variant="v", part=part, compression=compression or "none")

    return made(output, opened, **options)


@OFTEN
@given(
    sizes=st.lists(st.lists(st.integers(1, 40), max_size=12), max_size=5),
    rows=st.none() | st.integers(1, 7),
    size=st.none() | st.integers(8, 90),
)
def test_cuts_are_where_they_were_asked_for(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[list[int]], rows: int | None, size: int | None
) -> None:
    output = Output(directory=Path(), rows_per_file=rows, bytes_per_file=size)
    parts = parts_of(tmp_path_factory.mktemp("parts"), TextParts, output, header=b"head\n", compressed=False)
    every = [b"x" * (length - 1) + b"\n" for lengths in sizes for length in lengths]
    for lengths in sizes:
        parts.write(lines_of_rows([b"x" * (length - 1) + b"\n" for length in lengths], cut=True))
    done = parts.finish(empty_too=False)
    texts = [part.staged.read_bytes() for part in done]
    assert all(text.startswith(b"head\n") for text in texts)
    assert b"".join(text.removeprefix(b"head\n") for text in texts) == b"".join(every)
    assert sum(part.rows for part in done) == parts.rows == len(every)
    assert [part.bytes for part in done] == [len(text) for text in texts]
    for part in done:
        assert 0 < part.rows <= (rows or math.inf)
        assert part.bytes <= (size or math.inf) or part.rows == 1
    for part, after in itertools.pairwise(done):  # no file ends before it must
        first = len(after.staged.read_bytes().removeprefix(b"head\n").split(b"\n")[0]) + 1
        assert part.rows == rows or (size is not None and part.bytes + first > size)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_compressed_text_is_whole_and_cut_near_the_size(tmp_path: Path, compression: str) -> None:
    output = Output(directory=tmp_path, bytes_per_file=40_000, compression=compression)  # type: ignore[arg-type]
    parts = parts_of(tmp_path, TextParts, output, header=b"", compressed=True)
    rows = [f"{number * 7919 % 1_000_003} {number}\n".encode() for number in range(200_000)]
    for first in range(0, len(rows), 5000):
        parts.write(lines_of_rows(rows[first : first + 5000], cut=True))
    done = parts.finish(empty_too=False)
    assert len(done) > 3
    text = b"".join(pa.input_stream(str(part.staged), compression=compression).read() for part in done)
    assert text == b"".join(rows)


@pytest.mark.parametrize(("rows", "size"), [(None, None), (700, None), (None, 4000)])
def test_parquet_in_parts_reads_back(tmp_path: Path, rows: int | None, size: int | None) -> None:
    output = Output(directory=tmp_path, format="parquet", rows_per_file=rows, bytes_per_file=size)
    table = pa.table({"n": list(range(5000)), "t": [f"т{n * 7919 % 4999}" for n in range(5000)]})
    made = {"make": lambda sink, group: ParquetFile(sink, table.schema, "zstd", group)}
    parts = parts_of(tmp_path, BatchParts, output, **made)
    for batch in table.to_batches(max_chunksize=900):
        parts.write(batch)
    done = parts.finish(empty_too=False)
    assert pa.concat_tables([pq.read_table(part.staged) for part in done]).equals(table)
    assert (len(done) > 1) == (rows is not None or size is not None)
    assert [part.rows for part in done[:-1]] == [rows] * (len(done) - 1) or rows is None


def test_lines_without_cuts_are_not_copied() -> None:
    data = b"a\nb\n"
    assert Lines(data, 2).between(0, 2) is data


def test_python_values_settle_into_types() -> None:
    rows = [
        (1, decimal.Decimal("1.50"), {"a": 1}, None, b"x", dt.datetime(2025, 1, 1, tzinfo=dt.UTC), 1, dt.timedelta(1))
    ]
    fetched = iter([rows, []])
    names = ["i", "d", "j", "nil", "b", "z", "f", "o"]
    batches = Batches(names, range(8), [None] * 8, lambda: next(fetched))
    assert [str(kind) for kind in batches.schema.types] == [
        "int64",
        "string",
        "string",
        "string",
        "binary",
        "timestamp[us, tz=UTC]",
        "int64",
        "string",
    ]
    (row,) = [row for batch in batches for row in batch.to_pylist()]
    assert list(row.values()) == [1, "1.50", '{"a": 1}', None, b"x", rows[0][5], 1, "1 day, 0:00:00"]
