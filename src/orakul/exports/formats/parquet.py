"""Parquet: batches gathered into row groups of a sensible size."""

import pyarrow as pa
import pyarrow.parquet as pq

from orakul.exports.format import Sink

__all__ = ["ParquetFile"]

_ROWS = 122_880
"""A row group as DuckDB makes them: large enough to compress well, small enough to be held in memory."""


class ParquetFile:
    """One Parquet file, in row groups of at most so many bytes before compression."""

    def __init__(self, sink: Sink, schema: pa.Schema, compression: str, group_bytes: int) -> None:
        stepped = [field.name for field in schema if _is_stepped(field.type)]
        spread = {field.name for field in schema if pa.types.is_floating(field.type)} | set(stepped)
        self._writer = pq.ParquetWriter(
            pa.PythonFile(sink, mode="w"),
            schema,
            compression=compression,
            use_dictionary=[name for name in schema.names if name not in spread],
            column_encoding=dict.fromkeys(stepped, "DELTA_BINARY_PACKED"),
        )
        self._schema = schema
        self._group_bytes = group_bytes
        self._held: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._held.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= _ROWS or self._bytes >= self._group_bytes:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held, self._schema), row_group_size=max(1, self._rows))
            self._held, self._rows, self._bytes = [], 0, 0


def _is_stepped(kind: pa.DataType) -> bool:
    """Whether the values are whole numbers to Parquet: differences take half the time and a third of the room."""
    types = pa.types
    return bool(types.is_integer(kind) or types.is_date(kind) or types.is_time(kind) or types.is_timestamp(kind))
