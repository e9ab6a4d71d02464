"""One variant's export: from its SQL to its whole, still unnamed files."""

import errno
import threading
import time
import traceback
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orakul.errors import OrakulError
from orakul.exports.ahead import ahead
from orakul.exports.csv_form import header_of
from orakul.exports.file_names import compression_of, file_name
from orakul.exports.format import TextFormat, lines_of_rows
from orakul.exports.part_file import PartFile
from orakul.exports.parts import BatchParts, Parts, TextParts
from orakul.exports.plan import Column, Group, Plan, Script, Variant
from orakul.exports.result import Failure, Outcome, VariantResult
from orakul.exports.source import CsvRows, CsvSource, Source, open_source, picked
from orakul.exports.staging import Staging
from orakul.exports.tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["VariantWork", "failure_of"]


class _StoppedError(Exception):
    """The work was told to stop."""


class VariantWork:
    """One variant while it is exported. `stop()` may be called from any thread, at any time."""

    def __init__(
        self,
        plan: Plan,
        group: Group,
        script: Script,
        variant: Variant,
        *,
        columns: tuple[Column, ...] | None,
        staging: Staging,
        tally: Tally,
        started: datetime,
    ) -> None:
        self.variant = variant
        self.files: list[PartFile] = []
        self._plan, self._group, self._script = plan, group, script
        self._columns = columns
        self._staging = staging
        self._tally = tally
        self._started = started
        self._lock = threading.Lock()
        self._stopped = False
        self._source: Source | None = None

    def stop(self) -> None:
        """Stop it: what it waits for ends with an error soon."""
        with self._lock:
            self._stopped = True
            if self._source is not None:
                self._source.cancel()

    def run(self) -> VariantResult:
        """Export it, and say how it ended."""
        start = time.monotonic()
        parts: Parts | None = None
        outcome, error = Outcome.SUCCESS, None
        try:
            with self._opened() as source:
                parts = self._export(source)
            outcome = Outcome.SUCCESS if parts.rows else Outcome.NO_DATA
        except _StoppedError:
            outcome = Outcome.CANCELLED
        except Exception as broken:  # noqa: BLE001  # whatever it is, it is this variant's end
            outcome = Outcome.CANCELLED if self._stopped else Outcome.FAILED
            error = None if self._stopped else failure_of(broken, self.variant.id, self._plan)
        rows, size = (parts.rows, parts.bytes) if parts is not None else (0, 0)
        self._tally.done(self.variant.id, rows, size)
        spent = round((time.monotonic() - start) * 1000)
        return VariantResult(id=self.variant.id, outcome=outcome, rows=rows, bytes=size, duration_ms=spent, error=error)

    def _opened(self) -> Source:
        source = open_source(self._plan.database)
        with self._lock:
            self._source = source
            if self._stopped:
                raise _StoppedError
        return source

    def _export(self, source: Source) -> Parts:
        output = self._plan.output
        names = tuple(column.name for column in self._columns) if self._columns else None
        asked: dict[str, Any] = {
            "sql": self.variant.sql, "parameters": self.variant.parameters, "columns": names,
        }  # fmt: skip
        if output.format == "csv" and isinstance(source, CsvSource):
            lines = source.csv(form=output.csv, **asked)
            if lines is not None:
                return self._write_csv(source, lines)
        with source.query(**asked) as rows:
            titles = self._titles(rows.schema.names)
            self._tally.expect(self.variant.id, rows.expected)
            schema = _renamed(rows.schema, titles)
            batches = (_with_schema(batch, schema) for batch in rows if batch.num_rows)
            if output.format == "parquet":
                return self._write_batches(source, batches, schema)
            form = self._text_format()
            parts = self._text_parts(form.header(titles))
            self._drain(source, parts, (form.lines(batch) for batch in batches))
        return parts

    def _write_csv(self, source: Source, rows: CsvRows) -> Parts:
        output = self._plan.output
        with rows:
            self._tally.expect(self.variant.id, rows.expected)
            parts = self._text_parts(header_of(output.csv, self._titles(rows.names)))
            self._drain(source, parts, (lines_of_rows(each, cut=output.cuts) for each in rows))
        return parts

    def _write_batches(self, source: Source, batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema") -> Parts:
        from orakul.exports.formats.parquet import ParquetFile  # noqa: PLC0415  # loaded when it is needed

        compression = compression_of(self._plan.output)
        parts = BatchParts(
            self._plan.output, self._open_part, lambda sink, size: ParquetFile(sink, schema, compression, size)
        )
        self._drain(source, parts, batches)
        return parts

    def _drain(self, source: Source, parts: TextParts | BatchParts, items: Iterable[Any]) -> None:
        """Write everything; the next is read meanwhile. Leaves no reader behind, however it ends."""
        reading = ahead(items)
        try:
            for item in reading:
                self._go_on()
                parts.write(item)
                self._tally.count(self.variant.id, parts.rows, parts.bytes)
            self._go_on()
            self.files = parts.finish(empty_too=self._plan.output.no_data == "header")
        except BaseException:
            source.cancel()
            parts.abandon()
            raise
        finally:
            reading.close()

    def _go_on(self) -> None:
        if self._stopped:
            raise _StoppedError

    def _text_format(self) -> TextFormat:
        output = self._plan.output
        if output.format == "csv":
            from orakul.exports.formats.csv import CsvFormat  # noqa: PLC0415  # loaded when it is needed

            ends = output.bytes_per_file is not None or output.rows_per_file is not None
            return CsvFormat(output.csv, ends=ends)
        from orakul.exports.formats.jsonl import JsonLinesFormat  # noqa: PLC0415  # loaded when it is needed

        return JsonLinesFormat()

    def _text_parts(self, header: bytes) -> TextParts:
        compressed = compression_of(self._plan.output) != "none"
        return TextParts(self._plan.output, self._open_part, header, compressed=compressed)

    def _open_part(self, part: int) -> PartFile:
        plan, output = self._plan, self._plan.output
        compression = compression_of(output) if output.format != "parquet" else "none"
        name = file_name(plan, self._group, self._script, self.variant, part=part, started=self._started)
        staged = self._staging.folder / f"{self.variant.id}-{part:05d}"
        return PartFile(staged, name, variant=self.variant.id, part=part, compression=compression)

    def _titles(self, names: Iterable[str]) -> list[str]:
        """Return what the files call the columns. Raises SourceError where the SQL lacks one that the plan lists."""
        names = list(names)
        known = {column.name: column.title or column.name for column in self._script.columns}
        picked(names, [column.name for column in self._columns or self._script.columns])
        return [known.get(name, name) for name in names]


def failure_of(error: BaseException, variant: str | None, plan: Plan) -> Failure:
    """Say what went wrong, and what to do where that is known."""
    message, shown = str(error) or type(error).__name__, None
    if isinstance(error, OSError) and error.errno is not None:
        message = _of_disk(error, plan)
    elif not isinstance(error, (OrakulError, ValueError)):
        shown = "".join(traceback.format_exception(error))
    return Failure(type=type(error).__name__, message=message, variant=variant, traceback=shown)


def _of_disk(error: OSError, plan: Plan) -> str:
    where = error.filename or plan.output.directory
    if error.errno == errno.ENOSPC:
        return f"the disk of {plan.output.directory} is full: free space, or take another output.directory"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return f"no right to write {where}: change its rights, or take another output.directory"
    return f"{where}: {error.strerror}"


def _renamed(schema: "pa.Schema", titles: list[str]) -> "pa.Schema":
    import pyarrow as pa  # noqa: PLC0415  # loaded when it is needed

    return pa.schema([field.with_name(title) for field, title in zip(schema, titles, strict=True)])


def _with_schema(batch: "pa.RecordBatch", schema: "pa.Schema") -> "pa.RecordBatch":
    import pyarrow as pa  # noqa: PLC0415  # loaded when it is needed

    return pa.RecordBatch.from_arrays(batch.columns, schema=schema)
